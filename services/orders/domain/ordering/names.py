"""Resource names of orders: `customers/{customer}/orders/{order}`; the id of an order is a UUID."""

from __future__ import annotations

from uuid import UUID

from services.orders.domain.errors import OrderNotFound
from services.orders.domain.ids import read_id


def parse_order(name: str) -> tuple[str, UUID]:
    """Returns the ids of the customer and the order in a well-formed name. Raises OrderNotFound if it can't be anybody's."""
    _, customer_id, _, order = name.split("/")
    order_id = read_id(order)
    if order_id is None:
        raise OrderNotFound
    return customer_id, order_id


def order_name(customer_id: str, order_id: UUID) -> str:
    return f"customers/{customer_id}/orders/{order_id}"
