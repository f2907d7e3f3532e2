"""What an order is stored as."""

from __future__ import annotations

from services.orders.adapters.postgres.order_rows import order_values
from services.orders.adapters.postgres.order_statements import CHANGING
from tests.orders.unit.ordering.orders import an_order


def test_all_that_can_change_of_an_order_is_stored() -> None:
    assert set(CHANGING) == {*order_values(an_order()), "version"}
