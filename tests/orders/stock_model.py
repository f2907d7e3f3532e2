"""Stock counted in plain Python, from its rules alone: what every call must answer and what must be there afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

SUPPLY, RETURN = "SUPPLY", "RETURN"
SELLABLE, QUARANTINED, RECALLED, EXPIRED = "SELLABLE", "QUARANTINED", "RECALLED", "EXPIRED"
HELD, COMMITTED, RELEASED = "HELD", "COMMITTED", "RELEASED"

# SKU, number, origin.
LotKey = tuple[str, str, str]


class Refused(Exception):
    """The call is refused for this reason."""

    @property
    def reason(self) -> str:
        return str(self.args[0])


@dataclass
class ModelLot:
    lot_id: UUID | None
    expires_on: date
    units: int
    state: str


@dataclass
class ModelHold:
    lines: dict[str, int]
    overdue: bool
    state: str = HELD
    bound: Counter[LotKey] = field(default_factory=Counter)
    returned: Counter[LotKey] = field(default_factory=Counter)


class StockModel:
    """One location. `min_days` has the SKUs, and how many days a unit of each must keep when it is sold."""

    def __init__(self, today: date, min_days: Mapping[str, int]) -> None:
        self.today = today
        self.min_days = min_days
        self.lots: dict[LotKey, ModelLot] = {}
        self.holds: dict[UUID, ModelHold] = {}

    def on_hand(self, sku: str) -> int:
        return sum(lot.units for key, lot in self.lots.items() if key[0] == sku and lot.state == SELLABLE)

    def reserved(self, sku: str) -> int:
        return sum(hold.lines.get(sku, 0) for hold in self.holds.values() if hold.state == HELD)

    def fits(self, key: LotKey, days: int = 0) -> bool:
        return self.lots[key].expires_on >= self.today + timedelta(days=days + self.min_days[key[0]])

    def sellable(self, sku: str) -> list[LotKey]:
        """Returns the lots that a sale may take, in the order in which it takes them."""
        found = [key for key, lot in self.lots.items() if key[0] == sku and lot.state == SELLABLE and lot.units and self.fits(key)]
        return sorted(found, key=lambda key: (self.lots[key].expires_on, str(self.lots[key].lot_id)))

    def receive(self, lot_id: UUID | None, sku: str, number: str, expires_on: date, units: int) -> None:
        known = self.lots.get((sku, number, SUPPLY))
        if any(key[:2] == (sku, number) and lot.state == RECALLED for key, lot in self.lots.items()):
            raise Refused("LOT_STATE")
        if known and known.expires_on != expires_on:
            raise Refused("LOT_CONFLICT")
        if (known and known.state != SELLABLE) or expires_on < self.today + timedelta(days=self.min_days[sku]):
            raise Refused("LOT_STATE")
        if known:
            known.units += units
        else:
            self.lots[sku, number, SUPPLY] = ModelLot(lot_id, expires_on, units, SELLABLE)

    def adjust(self, key: LotKey, expected: int, delta: int) -> None:
        lot = self.lots[key]
        if lot.units != expected:
            raise Refused("STOCK_CHANGED")
        if lot.units + delta < 0:
            raise Refused("STOCK_NEGATIVE")
        if delta > 0 and lot.state in {RECALLED, EXPIRED}:
            raise Refused("LOT_STATE")
        lot.units += delta

    def quarantine(self, key: LotKey) -> None:
        if self.lots[key].state != SELLABLE:
            raise Refused("LOT_STATE")
        self.lots[key].state = QUARANTINED

    def make_sellable(self, key: LotKey) -> None:
        if self.lots[key].state != QUARANTINED or key[2] == RETURN or not self.fits(key):
            raise Refused("LOT_STATE")
        self.lots[key].state = SELLABLE

    def recall(self, sku: str, number: str) -> None:
        found = [lot for key, lot in self.lots.items() if key[:2] == (sku, number)]
        if not found:
            raise Refused("LOT_NOT_FOUND")
        for lot in found:
            lot.state = RECALLED

    def expire_lots(self, days: int) -> None:
        for key, lot in self.lots.items():
            if lot.state == SELLABLE and lot.units and not self.fits(key, days):
                lot.state = EXPIRED

    def reserve(self, hold_id: UUID, lines: dict[str, int], overdue: bool) -> None:
        for sku, asked in lines.items():
            if sum(self.lots[key].units for key in self.sellable(sku)) - self.reserved(sku) < asked:
                raise Refused("INSUFFICIENT_STOCK")
        self.holds[hold_id] = ModelHold(dict(lines), overdue)

    def commit(self, hold_id: UUID) -> None:
        hold = self.holds[hold_id]
        if hold.state == COMMITTED:
            return
        self._must_be(hold, HELD)
        taken: Counter[LotKey] = Counter()
        for sku, asked in hold.lines.items():
            missing = asked
            for key in self.sellable(sku):
                units = min(missing, self.lots[key].units)
                taken[key] += units
                missing -= units
            if missing:
                raise Refused("INSUFFICIENT_STOCK")
        for key, units in taken.items():
            self.lots[key].units -= units
        hold.state, hold.bound = COMMITTED, +taken

    def release(self, hold_id: UUID, state: str) -> None:
        hold = self.holds[hold_id]
        if hold.state == COMMITTED:
            raise Refused("RESERVATION_STATE")
        if hold.state == HELD:
            hold.state = state

    def expire_holds(self) -> None:
        for hold in self.holds.values():
            if hold.state == HELD and hold.overdue:
                hold.state = EXPIRED

    def restock(self, hold_id: UUID) -> None:
        hold = self.holds[hold_id]
        if hold.state == RELEASED:
            return
        self._must_be(hold, COMMITTED)
        for key, units in (hold.bound - hold.returned).items():
            self.lots[key].units += units
        hold.state, hold.bound, hold.returned = RELEASED, Counter(), Counter()

    def swap(self, hold_id: UUID, sku: str, packed: Mapping[str, int]) -> None:
        hold = self.holds[hold_id]
        self._must_be(hold, COMMITTED)
        after = Counter({(sku, number, SUPPLY): units for number, units in packed.items()})
        before = Counter({key: units for key, units in hold.bound.items() if key[0] == sku})
        for key, units in after.items():
            if key not in self.lots or not self._may_pack(key, units - before[key]):
                raise Refused("LOT_NOT_FOUND")
        for key in after | before:
            self.lots[key].units += before[key] - after[key]
        hold.bound = hold.bound - before + after

    def dispatch(self, hold_id: UUID) -> None:
        hold = self.holds[hold_id]
        self._must_be(hold, COMMITTED)
        if any(not self._may_pack(key, 0) for key in hold.bound):
            raise Refused("LOT_NOT_FOUND")

    def take_back(self, hold_id: UUID, sku: str, units: int) -> None:
        """`units` are no more than are out."""
        hold = self.holds[hold_id]
        self._must_be(hold, COMMITTED)
        out = [key for key in hold.bound - hold.returned if key[0] == sku]
        for key in sorted(out, key=lambda key: (self.lots[key].expires_on, str(self.lots[key].lot_id)), reverse=True):
            back = min(units, hold.bound[key] - hold.returned[key])
            units -= back
            if back:
                hold.returned[key] += back
                source = self.lots[key]
                state = RECALLED if source.state == RECALLED else QUARANTINED
                self.lots.setdefault((*key[:2], RETURN), ModelLot(None, source.expires_on, 0, state)).units += back

    def _may_pack(self, key: LotKey, more: int) -> bool:
        lot = self.lots[key]
        if more > 0:
            return lot.state == SELLABLE and self.fits(key) and lot.units >= more
        return lot.state not in {QUARANTINED, RECALLED} and lot.expires_on >= self.today

    def _must_be(self, hold: ModelHold, state: str) -> None:
        if hold.state != state:
            raise Refused("RESERVATION_STATE")
