"""Packs units of other lots than those that were bound when an order was paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.orders.domain.inventory.errors import LotNotFound

SET_ASIDE = {"QUARANTINED", "RECALLED"}


class Bound(Protocol):
    """Units of one lot that are bound."""

    @property
    def sku(self) -> str: ...

    @property
    def lot_id(self) -> UUID: ...

    @property
    def quantity(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PackableLot:
    """A lot that somebody wants to pack. `keeps`: its last day is not over; `fit`: it keeps as long as the medicine demands of a sale."""

    sku: str
    lot_number: str
    lot_id: UUID
    state: str
    on_hand: int
    keeps: bool
    fit: bool


@dataclass(frozen=True, slots=True)
class Swap:
    """`bound`: SKU, lot and units that are bound from now on; `deltas`: by how much the units of lots change, by lot."""

    bound: Sequence[tuple[str, UUID, int]]
    deltas: Mapping[UUID, int]


def swap_lots(bound: Sequence[Bound], packed: Mapping[str, Mapping[str, int]], lots: Sequence[PackableLot]) -> Swap:
    """Decides what changes hands when `packed` (units by SKU and lot number) takes the place of all that was bound of its SKUs.

    Units that are bound already only need a lot that nobody has set aside and that still keeps: they were sold in time. More units are a
    sale of now. Raises LotNotFound for a lot that can't be had; ValueError if the sums are not those that were bound.
    """
    known = {(lot.sku, lot.lot_number): lot for lot in lots}
    before = {lot.lot_id: lot.quantity for lot in bound}
    after: list[tuple[str, UUID, int]] = []
    for sku, quantities in packed.items():
        for number, quantity in quantities.items():
            lot = known.get((sku, number))
            if lot is None or not _usable(lot, quantity - before.get(lot.lot_id, 0)):
                raise LotNotFound(sku=sku, lot=number)
            after.append((sku, lot.lot_id, quantity))
    _check_sums(bound, after)
    deltas = Counter(before)
    deltas.subtract({lot_id: quantity for _, lot_id, quantity in after})
    return Swap(after, {lot_id: delta for lot_id, delta in deltas.items() if delta})


def _usable(lot: PackableLot, more: int) -> bool:
    if more > 0:
        return lot.state == "SELLABLE" and lot.fit and lot.on_hand >= more
    return lot.state not in SET_ASIDE and lot.keeps


def _check_sums(bound: Sequence[Bound], after: Sequence[tuple[str, UUID, int]]) -> None:
    sums: Counter[str] = Counter()
    for lot in bound:
        sums[lot.sku] += lot.quantity
    for sku, _, quantity in after:
        sums[sku] -= quantity
    if any(sums.values()):
        raise ValueError("as many units must be packed as were bound")
