"""What may be done to a lot, and what it is after it.

A lot that is RECALLED or EXPIRED is never sold again: its units only become fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from services.orders.domain.inventory.errors import LotConflict, LotStateRefused, StockChanged, StockNegative
from services.orders.domain.inventory.model import Lot, LotState, Origin

_FINAL = {LotState.RECALLED, LotState.EXPIRED}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Units of a lot that came in."""

    location_id: str
    sku: str
    lot_number: str
    expires_on: date
    quantity: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a lot was found to have: that many units (`counted`), or that many more (`delta`).

    `expected` are those that it was thought to have.
    """

    expected: int
    counted: int | None = None
    delta: int = 0


@dataclass(frozen=True, slots=True)
class ShelfLife:
    """What the medicine demands: a lot is fit to be sold if it keeps for `min_remaining_days` from today."""

    today: date
    min_remaining_days: int

    def fits(self, expires_on: date) -> bool:
        return expires_on >= self.today + timedelta(days=self.min_remaining_days)


TOO_SHORT = "the lot does not keep as long as is demanded of a sale"


def received(known: Sequence[Lot], delivery: Delivery, new_id: UUID, shelf_life: ShelfLife, now: datetime) -> Lot:
    """Returns the lot with the units that came in; `known` are all lots of the SKU with its number, wherever they are.

    Raises LotConflict, LotStateRefused: only what can be sold is taken in, and nothing of what was recalled anywhere.
    """
    if any(lot.state is LotState.RECALLED for lot in known):
        raise LotStateRefused(LotState.RECALLED)
    lot = same_lot(known, delivery)
    if lot is not None and lot.expires_on != delivery.expires_on:
        raise LotConflict(lot.expires_on)
    if lot is not None and lot.state is not LotState.SELLABLE:
        raise LotStateRefused(lot.state)
    if not shelf_life.fits(delivery.expires_on):
        raise LotStateRefused(LotState.EXPIRED, TOO_SHORT)
    return replace(lot or _new_lot(delivery, new_id, now), on_hand=delivery.quantity + (lot.on_hand if lot else 0))


def same_lot(known: Sequence[Lot], delivery: Delivery) -> Lot | None:
    """Returns the lot that grows by the delivery."""
    return next((lot for lot in known if lot.location_id == delivery.location_id and lot.origin is Origin.SUPPLY), None)


def _new_lot(delivery: Delivery, new_id: UUID, now: datetime) -> Lot:
    return Lot(
        id=new_id,
        location_id=delivery.location_id,
        sku=delivery.sku,
        lot_number=delivery.lot_number,
        expires_on=delivery.expires_on,
        on_hand=0,
        state=LotState.SELLABLE,
        origin=Origin.SUPPLY,
        received_at=now,
    )


def adjusted(lot: Lot, correction: Correction) -> Lot:
    """Raises StockChanged, StockNegative, LotStateRefused."""
    if lot.on_hand != correction.expected:
        raise StockChanged(expected=correction.expected, actual=lot.on_hand)
    units = lot.on_hand + correction.delta if correction.counted is None else correction.counted
    if units < 0:
        raise StockNegative(lot.on_hand)
    if units > lot.on_hand and lot.state in _FINAL:
        raise LotStateRefused(lot.state)
    return replace(lot, on_hand=units)


def quarantined(lot: Lot) -> Lot:
    """Raises LotStateRefused."""
    if lot.state is not LotState.SELLABLE:
        raise LotStateRefused(lot.state)
    return replace(lot, state=LotState.QUARANTINED)


def released(lot: Lot, shelf_life: ShelfLife) -> Lot:
    """Raises LotStateRefused, also for what customers returned, and with EXPIRED for what no longer keeps long enough."""
    if lot.state is not LotState.QUARANTINED or lot.origin is Origin.RETURN:
        raise LotStateRefused(lot.state)
    if not shelf_life.fits(lot.expires_on):
        raise LotStateRefused(LotState.EXPIRED, TOO_SHORT)
    return replace(lot, state=LotState.SELLABLE)


def recalled(lot: Lot) -> Lot:
    return replace(lot, state=LotState.RECALLED)
