"""Medicines and how they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.orders.domain.catalogue.medicine import Particulars, changed, new_medicine, replaced
from services.orders.domain.errors import EtagMismatch
from shared.errors import InvalidRequest
from tests.orders.world import NOW

PARTICULARS = Particulars(
    sku="A",
    display_name="Ibuprofen",
    form="tablet",
    strength="400 mg",
    price_minor=499,
    currency="EUR",
    rx_required=False,
    schedule=0,
    max_per_order=0,
    max_per_period=6,
    period_days=30,
    min_remaining_shelf_days=0,
    cold_chain=False,
    withdrawn=False,
)
LATER = NOW + timedelta(hours=1)


def test_a_change_counts_and_is_never_earlier_than_the_one_before() -> None:
    medicine = changed(new_medicine(PARTICULARS, LATER), {"price_minor": 1}, '"1"', NOW)

    assert (medicine.price_minor, medicine.version, medicine.created_at, medicine.updated_at) == (1, 2, LATER, LATER)


@pytest.mark.parametrize("etag", ['"0"', '"2"', "1", "W/1"])
def test_a_change_of_another_state_is_refused(etag: str) -> None:
    medicine = new_medicine(PARTICULARS, NOW)

    with pytest.raises(EtagMismatch):
        changed(medicine, {"price_minor": 1}, etag, LATER)
    with pytest.raises(EtagMismatch):
        replaced(medicine, PARTICULARS, etag, LATER)


@pytest.mark.parametrize("changes", [{"max_per_period": 0}, {"period_days": 0}])
def test_a_limit_has_a_period_and_a_period_a_limit(changes: dict[str, int]) -> None:
    medicine = new_medicine(PARTICULARS, NOW)

    with pytest.raises(InvalidRequest) as error:
        changed(medicine, changes, "", LATER)
    assert [violation.field for violation in error.value.violations] == ["medicine.period_days"]
    with pytest.raises(InvalidRequest):
        replaced(medicine, replace(PARTICULARS, **changes), "", LATER)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        new_medicine(replace(PARTICULARS, **changes), NOW)  # type: ignore[arg-type]


def test_what_is_replaced_by_itself_does_not_change() -> None:
    medicine = new_medicine(PARTICULARS, NOW)

    assert replaced(medicine, PARTICULARS, '"1"', LATER) == medicine
    assert replaced(medicine, replace(PARTICULARS, form="gel"), "", LATER).version == 2
