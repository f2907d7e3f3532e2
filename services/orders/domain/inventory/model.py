"""Locations, levels, lots, movements and reservations: what is known of them. Times are in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID


class LotState(StrEnum):
    """The names are those of galen.inventory.v1.LotState."""

    SELLABLE = "SELLABLE"
    QUARANTINED = "QUARANTINED"
    RECALLED = "RECALLED"
    EXPIRED = "EXPIRED"


class Origin(StrEnum):
    """The names are those of galen.inventory.v1.LotOrigin."""

    SUPPLY = "SUPPLY"
    RETURN = "RETURN"


class Kind(StrEnum):
    """The names are those of galen.inventory.v1.MovementKind."""

    RECEIVE = "RECEIVE"
    ADJUST = "ADJUST"
    RESERVE = "RESERVE"
    RELEASE = "RELEASE"
    COMMIT = "COMMIT"
    RESTOCK = "RESTOCK"
    QUARANTINE = "QUARANTINE"
    UNQUARANTINE = "UNQUARANTINE"
    RECALL = "RECALL"
    EXPIRE = "EXPIRE"
    SWAP = "SWAP"
    DISPATCH = "DISPATCH"
    RETURN = "RETURN"


class ReservationState(StrEnum):
    """The names are those of galen.inventory.v1.ReservationState."""

    HELD = "HELD"
    COMMITTED = "COMMITTED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class Rule(StrEnum):
    """What must be equal. The names are those of galen.inventory.v1.StockRule."""

    RESERVED_IS_SUM_OF_HELD_LINES = "RESERVED_IS_SUM_OF_HELD_LINES"
    ON_HAND_IS_SUM_OF_SELLABLE_LOTS = "ON_HAND_IS_SUM_OF_SELLABLE_LOTS"
    LEVEL_IS_LAST_MOVEMENT = "LEVEL_IS_LAST_MOVEMENT"
    LOT_IS_SUM_OF_MOVEMENTS = "LOT_IS_SUM_OF_MOVEMENTS"


@dataclass(frozen=True, slots=True)
class Location:
    id: str
    display_name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a SKU a location has. `version` is 0 where it never had any."""

    location_id: str
    sku: str
    on_hand: int = 0
    reserved: int = 0
    reorder_point: int = 0
    version: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class Lot:
    """Units of a SKU that were made together. `expires_on` is the last day of their shelf life."""

    id: UUID
    location_id: str
    sku: str
    lot_number: str
    expires_on: date
    on_hand: int
    state: LotState
    origin: Origin
    received_at: datetime
    version: int = 1

    @property
    def counted(self) -> int:
        """The units that count as on hand of the level."""
        return self.on_hand if self.state is LotState.SELLABLE else 0


@dataclass(frozen=True, slots=True)
class LotAndLevel:
    """A lot after a change, and its level."""

    lot: Lot
    level: Level


@dataclass(frozen=True, slots=True)
class AffectedOrder:
    """An order that has units of a recalled lot; `state` is the name of galen.orders.v1.OrderState."""

    customer_id: str
    order_id: UUID
    order_number: str
    quantity: int
    state: str


@dataclass(frozen=True, slots=True)
class Recall:
    """The lots after a recall, and the newest orders that have units of them; `total` counts all such orders."""

    lots: tuple[Lot, ...]
    orders: tuple[AffectedOrder, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of stock. `lot_id` is None where no lot is concerned."""

    number: int
    location_id: str
    kind: Kind
    sku: str
    lot_id: UUID | None
    on_hand_delta: int
    reserved_delta: int
    on_hand_after: int
    reserved_after: int
    lot_delta: int
    reason: str
    actor: str
    reference: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReservedLot:
    """Units of a sold line that come from one lot."""

    lot_id: UUID
    lot_number: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ReservationLine:
    sku: str
    quantity: int
    lots: tuple[ReservedLot, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """Units that are held for a purchase. `order_id` is None for one that no order has."""

    id: UUID
    location_id: str
    order_id: UUID | None
    state: ReservationState
    lines: tuple[ReservationLine, ...]
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that should be equal and is not."""

    location_id: str
    sku: str
    rule: Rule
    expected: int
    actual: int
