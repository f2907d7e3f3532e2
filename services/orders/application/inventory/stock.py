"""Stock as the other features see it: what a use case does to it inside its own transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BoundLot:
    """Units of a SKU that come from one lot."""

    sku: str
    lot_id: UUID
    lot_number: str
    expires_on: date
    quantity: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why stock moves: who does it and what for; both end up in the movements."""

    actor: str
    reference: str
    reason: str = ""


class Stock(Protocol):
    """Moves stock in the transaction it belongs to. Every change leaves movements.

    Locks, in this order: the reservation, stock levels by SKU, lots by (expiry, id). Call it after the order is locked; `reserve` as
    late as possible: the row of a SKU that everyone wants is locked from there to the commit.
    """

    async def reserve(
        self, reservation_id: UUID, location_id: str, lines: Mapping[str, int], *, order_id: UUID | None, expires_at: datetime, cause: Cause
    ) -> None:
        """Holds units, all or none. Raises StockShort with every line that is short."""

    async def extend(self, reservation_id: UUID, expires_at: datetime) -> None:
        """Moves the end of a held reservation, never to an earlier time. Raises ReservationNotFound, ReservationStateRefused."""

    async def commit(self, reservation_id: UUID, cause: Cause) -> Sequence[BoundLot]:
        """Sells what is held: the lots that expire first, and keep as long as the medicine demands. Again: the same lots.

        Raises ReservationNotFound, ReservationStateRefused, StockShort (lots expired or were lost meanwhile).
        """

    async def release(self, reservation_id: UUID, cause: Cause, *, expired: bool = False) -> bool:
        """Frees what is held; False if it was freed before. Raises ReservationNotFound, ReservationStateRefused if it was committed."""

    async def restock(self, reservation_id: UUID, cause: Cause) -> None:
        """Puts sold units that never left back into their lots; into quarantine where the lot is no longer sellable. Once."""

    async def swap(self, reservation_id: UUID, packed: Mapping[str, Mapping[str, int]], cause: Cause) -> Sequence[BoundLot]:
        """Binds the units that were packed, by SKU and lot number, in place of those bound before. Returns all that are bound then.

        The sums must be those of the lines. Raises LotNotFound for a lot that is not sellable here, keeps too short or has too little;
        `LotNotFound.metadata` names `sku` and `lot`.
        """

    async def dispatch(self, reservation_id: UUID, cause: Cause) -> None:
        """Notes that the units have left: movements without effect on the levels.

        Raises LotNotFound, like `swap`, for a lot that was set aside or recalled since, or whose last day is over.
        """

    async def take_back(self, reservation_id: UUID, returned: Mapping[str, int], cause: Cause) -> None:
        """Takes units that had left into quarantine, the latest expiring of those that were bound first."""

    async def bound(self, reservation_id: UUID) -> Sequence[BoundLot]:
        """Returns the lots that are bound, in the order of SKU and expiry."""
