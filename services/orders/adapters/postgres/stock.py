"""Stock in the caller's transaction: what holds, sells and frees units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres import stock_statements as statements
from services.orders.adapters.postgres.order_round_trips import SETTINGS, named, positional, sender_in_transaction
from services.orders.application.inventory.stock import BoundLot, Cause
from services.orders.domain.inventory.errors import LotNotFound, ReservationNotFound, ReservationStateRefused, StockShort
from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.inventory.swap import SET_ASIDE, PackableLot, Swap, swap_lots
from shared.postgres.round_trips import RoundTrips, Rows

HELD, COMMITTED, RELEASED, EXPIRED = "HELD", "COMMITTED", "RELEASED", "EXPIRED"


class PostgresStock:
    """Implements the port Stock. What it raises leaves the transaction usable and without a change of ours.

    To plan its statements costs more than to run them. Who keeps `round_trips` for all transactions has them prepared on the connections.
    """

    def __init__(self, connection: AsyncConnection, round_trips: RoundTrips | None = None) -> None:
        self._connection = connection
        self._round_trips = round_trips or RoundTrips(prepares=False)
        self._is_set = False

    async def reserve(
        self, reservation_id: UUID, location_id: str, lines: Mapping[str, int], *, order_id: UUID | None, expires_at: datetime, cause: Cause
    ) -> None:
        asked = {"location": location_id, "skus": list(lines), "quantities": list(lines.values())}
        values = reservation_values(reservation_id, location_id, lines, order_id=order_id, expires_at=expires_at, cause=cause)
        reserve = f"{statements.RESERVE} returning sku"
        if len(await self._run(reserve, values)) == len(lines):
            return
        short = _short(await self._run(statements.SHORT_LEVELS, asked))
        # Nothing is short: the statement knew the lots as they were before it waited for the levels. They are locked now.
        if short or len(await self._run(reserve, values)) != len(lines):
            raise StockShort(short)

    async def extend(self, reservation_id: UUID, expires_at: datetime) -> None:
        if not await self._run(statements.EXTEND, {"reservation": reservation_id, "expires_at": expires_at}):
            raise ReservationStateRefused(await self._state(reservation_id))

    async def commit(self, reservation_id: UUID, cause: Cause) -> Sequence[BoundLot]:
        location, state = await self._lock(reservation_id)
        if state == COMMITTED:
            return await self.bound(reservation_id)
        if state != HELD:
            raise ReservationStateRefused(state)
        place = {"reservation": reservation_id, "location": location}
        bound = [BoundLot(*row) for row in await self._run(statements.COMMIT, {**place, **asdict(cause)})]
        if not bound:
            raise StockShort(_short(await self._run(statements.SHORT_LOTS, place)))
        return bound

    async def release(self, reservation_id: UUID, cause: Cause, *, expired: bool = False) -> bool:
        values = {"reservation": reservation_id, "state": EXPIRED if expired else RELEASED, **asdict(cause)}
        if await self._run(statements.RELEASE, values):
            return True
        state = await self._state(reservation_id)
        if state == COMMITTED:
            raise ReservationStateRefused(state)
        return False

    async def restock(self, reservation_id: UUID, cause: Cause) -> None:
        location, state = await self._lock(reservation_id)
        if state == RELEASED:
            return
        _check_sold(state)
        await self._run(statements.RESTOCK, {"reservation": reservation_id, "location": location, "kind": "RESTOCK", **asdict(cause)})

    async def swap(self, reservation_id: UUID, packed: Mapping[str, Mapping[str, int]], cause: Cause) -> Sequence[BoundLot]:
        location, state = await self._lock(reservation_id)
        _check_sold(state)
        skus = [sku for sku, lots in packed.items() for _ in lots]
        numbers = [number for lots in packed.values() for number in lots]
        rows = await self._run(statements.PACKABLE, {"location": location, "skus": skus, "lot_numbers": numbers})
        found = [PackableLot(*row) for row in rows]
        swap = swap_lots([lot for lot in await self.bound(reservation_id) if lot.sku in packed], packed, found)
        if swap.deltas:
            await self._apply(swap, {"reservation": reservation_id, "location": location}, cause)
        return await self.bound(reservation_id)

    async def dispatch(self, reservation_id: UUID, cause: Cause) -> None:
        _check_sold((await self._lock(reservation_id))[1])
        for sku, lot_number in await self._run(statements.UNFIT_TO_LEAVE, {"reservation": reservation_id, "set_aside": list(SET_ASIDE)}):
            raise LotNotFound(sku=sku, lot=lot_number)
        await self._run(statements.DISPATCH, {"reservation": reservation_id, **asdict(cause)})

    async def take_back(self, reservation_id: UUID, returned: Mapping[str, int], cause: Cause) -> None:
        location, state = await self._lock(reservation_id)
        _check_sold(state)
        asked = {"skus": list(returned), "quantities": list(returned.values())}
        values = {"reservation": reservation_id, "location": location, **asked, **asdict(cause)}
        if not await self._run(statements.TAKE_BACK, values):
            raise ValueError("more units would come back than are out")

    async def bound(self, reservation_id: UUID) -> Sequence[BoundLot]:
        return [BoundLot(*row) for row in await self._run(statements.BOUND, {"reservation": reservation_id})]

    async def _lock(self, reservation_id: UUID) -> tuple[str, str]:
        """Locks the reservation and its levels; returns its location and its state."""
        for location_id, state, _ in await self._run(statements.LOCK, {"reservation": reservation_id}):
            return location_id, state
        raise ReservationNotFound

    async def _state(self, reservation_id: UUID) -> str:
        for (state,) in await self._run(statements.STATE, {"reservation": reservation_id}):
            return str(state)
        raise ReservationNotFound

    async def _apply(self, swap: Swap, place: Mapping[str, Any], cause: Cause) -> None:
        lots = {"lots": list(swap.deltas), "deltas": list(swap.deltas.values())}
        await self._run(statements.SWAP_LOTS, {**place, **lots, "kind": "SWAP", **asdict(cause)})
        skus, bound, quantities = zip(*swap.bound, strict=True)
        await self._run(statements.UNBIND, {**place, "skus": list(skus)})
        await self._run(statements.BIND, {**place, "skus": list(skus), "lots": list(bound), "quantities": list(quantities)})

    async def _run(self, statement: str, values: Mapping[str, Any]) -> Rows:
        send = await sender_in_transaction(self._round_trips, self._connection)
        settings = [] if self._is_set else [SETTINGS]
        *_, rows = await send([*settings, named(positional(statement), values)])
        self._is_set = True
        return rows


def reservation_values(
    reservation_id: UUID, location_id: str, lines: Mapping[str, int], *, order_id: UUID | None, expires_at: datetime, cause: Cause
) -> dict[str, Any]:
    """Returns what the statement RESERVE takes. It holds all lines, and says how many, or does nothing."""
    asked = {"location": location_id, "skus": list(lines), "quantities": list(lines.values())}
    return {**asked, "reservation": reservation_id, "order": order_id, "expires_at": expires_at, **asdict(cause)}


def _check_sold(state: str) -> None:
    if state != COMMITTED:
        raise ReservationStateRefused(state)


def _short(rows: Rows) -> list[ShortLine]:
    return [ShortLine(*row) for row in rows]
