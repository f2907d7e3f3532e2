"""What may be done to lots, and what may be packed in place of what was bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from services.orders.application.inventory.stock import BoundLot
from services.orders.domain.inventory.errors import LotConflict, LotNotFound, LotStateRefused, StockChanged, StockNegative
from services.orders.domain.inventory.lots import Correction, Delivery, ShelfLife, adjusted, quarantined, received, released
from services.orders.domain.inventory.model import Lot, LotState, Origin
from services.orders.domain.inventory.swap import PackableLot, swap_lots

TODAY = date(2026, 3, 4)
NOW = datetime(2026, 3, 4, tzinfo=UTC)
KEEPS = ShelfLife(TODAY, min_remaining_days=30)
LOT = Lot(uuid4(), "main", "A", "L", TODAY + timedelta(days=30), 5, LotState.SELLABLE, Origin.SUPPLY, NOW)
DELIVERY = Delivery("main", "A", "L", LOT.expires_on, 3)


def test_a_delivery_makes_a_lot_or_lets_it_grow() -> None:
    elsewhere = replace(LOT, location_id="other", on_hand=100)
    returned = replace(LOT, origin=Origin.RETURN, state=LotState.QUARANTINED, on_hand=100)

    assert received([], DELIVERY, new_id := uuid4(), KEEPS, NOW) == replace(LOT, id=new_id, on_hand=3)
    assert received([elsewhere, returned, LOT], DELIVERY, uuid4(), KEEPS, NOW) == replace(LOT, on_hand=8)


def test_only_what_can_be_sold_is_taken_in() -> None:
    for state in (LotState.QUARANTINED, LotState.RECALLED, LotState.EXPIRED):
        with pytest.raises(LotStateRefused):
            received([replace(LOT, state=state)], DELIVERY, uuid4(), KEEPS, NOW)
    with pytest.raises(LotStateRefused):
        received([replace(LOT, location_id="other", state=LotState.RECALLED)], DELIVERY, uuid4(), KEEPS, NOW)
    with pytest.raises(LotStateRefused, match="does not keep"):
        received([], replace(DELIVERY, expires_on=LOT.expires_on - timedelta(days=1)), uuid4(), KEEPS, NOW)
    with pytest.raises(LotConflict):
        received([LOT], replace(DELIVERY, expires_on=LOT.expires_on + timedelta(days=1)), uuid4(), KEEPS, NOW)


def test_units_are_corrected_by_whoever_knows_how_many_there_are() -> None:
    assert adjusted(LOT, Correction(5, counted=0)).on_hand == 0
    assert adjusted(LOT, Correction(5, delta=-5)).on_hand == 0
    assert adjusted(LOT, Correction(5, counted=9)).on_hand == 9
    with pytest.raises(StockChanged):
        adjusted(LOT, Correction(4, counted=9))
    with pytest.raises(StockNegative):
        adjusted(LOT, Correction(5, delta=-6))


@pytest.mark.parametrize("state", [LotState.RECALLED, LotState.EXPIRED])
def test_what_is_never_sold_again_only_becomes_less(state: LotState) -> None:
    gone = replace(LOT, state=state)

    assert adjusted(gone, Correction(5, counted=0)).counted == 0
    with pytest.raises(LotStateRefused):
        adjusted(gone, Correction(5, delta=1))
    with pytest.raises(LotStateRefused):
        quarantined(gone)
    with pytest.raises(LotStateRefused):
        released(gone, KEEPS)


def test_what_was_set_aside_is_released_unless_it_was_returned_or_keeps_too_short() -> None:
    aside = quarantined(LOT)

    assert (aside.counted, released(aside, KEEPS)) == (0, LOT)
    for refused in (replace(aside, origin=Origin.RETURN), replace(aside, expires_on=TODAY + timedelta(days=29)), LOT):
        with pytest.raises(LotStateRefused):
            released(refused, KEEPS)


def packable(number: str, on_hand: int, *, state: str = "SELLABLE", keeps: bool = True, fit: bool = True) -> PackableLot:
    return PackableLot("A", number, uuid4(), state, on_hand, keeps, fit)


def bound_of(lot: PackableLot, quantity: int) -> BoundLot:
    return BoundLot("A", lot.lot_id, lot.lot_number, TODAY, quantity)


def test_units_change_hands_by_what_is_packed_more_or_less() -> None:
    first, second = packable("1", 0), packable("2", 3)

    swap = swap_lots([bound_of(first, 4)], {"A": {"1": 1, "2": 3}}, [first, second])

    assert swap.deltas == {first.lot_id: 3, second.lot_id: -3}
    assert list(swap.bound) == [("A", first.lot_id, 1), ("A", second.lot_id, 3)]
    assert swap_lots([bound_of(first, 4)], {"A": {"1": 4}}, [first]).deltas == {}


def test_what_was_sold_in_time_may_be_packed_as_long_as_it_keeps() -> None:
    near = packable("1", 5, state="EXPIRED", fit=False)

    assert swap_lots([bound_of(near, 4)], {"A": {"1": 4}}, [near]).deltas == {}
    for lot in (replace(near, keeps=False), replace(near, state="RECALLED"), replace(near, state="QUARANTINED")):
        with pytest.raises(LotNotFound):
            swap_lots([bound_of(lot, 4)], {"A": {"1": 4}}, [lot])


def test_more_units_are_a_sale_of_now() -> None:
    first = packable("1", 0)
    for other in (packable("2", 2), packable("2", 9, fit=False), packable("2", 9, state="EXPIRED"), packable("3", 9)):
        with pytest.raises(LotNotFound) as refused:
            swap_lots([bound_of(first, 4)], {"A": {"1": 1, "2": 3}}, [first, other])
        assert refused.value.metadata == {"sku": "A", "lot": "2"}


def test_as_many_units_are_packed_as_were_bound() -> None:
    lot = packable("1", 9)

    for packed in ({"1": 3}, {"1": 5}, {}):
        with pytest.raises(ValueError, match="as many units"):
            swap_lots([bound_of(lot, 4)], {"A": packed}, [lot])
