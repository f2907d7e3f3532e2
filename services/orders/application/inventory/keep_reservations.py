"""Reservations of no order: made, extended, sold and freed for other services. Those of orders belong to their orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from services.orders.application.inventory.ports import StockWrite, StockWrites
from services.orders.application.inventory.stock import Cause
from services.orders.application.observer import Observer
from services.orders.domain.inventory.errors import (
    LinesRepeatSku,
    LocationUnknown,
    ReservationNotFound,
    ReservationStateRefused,
    StockShort,
)
from services.orders.domain.inventory.model import Reservation
from services.orders.domain.inventory.names import reservation_name
from shared.clock import Clock
from shared.errors import FieldViolation, InvalidRequest
from shared.requests import RequestKey

HELD_MAX = timedelta(days=30)

Step = Callable[[StockWrite, Cause], Awaitable[object]]


class KeepReservations:
    """Each method returns the reservation after it."""

    def __init__(self, writes: StockWrites, clock: Clock, observer: Observer) -> None:
        self._writes = writes
        self._clock = clock
        self._observer = observer

    async def create(self, location_id: str, lines: Sequence[tuple[str, int]], expires_at: datetime, key: RequestKey) -> Reservation:
        """Raises InvalidRequest, LinesRepeatSku, LocationUnknown, StockShort, RequestIdReused."""
        self._check_end(expires_at)
        asked = _by_sku(lines)
        async with self._writes.begin() as write:
            answer = await write.answered(key, Reservation)
            if answer is not None:
                return answer
            if not await write.has_location(location_id):
                raise LocationUnknown
            reservation_id = uuid4()
            cause = Cause(key.actor, reservation_name(reservation_id))
            try:
                await write.stock.reserve(reservation_id, location_id, asked, order_id=None, expires_at=expires_at, cause=cause)
            except StockShort as short:
                self._observer.stock_was_short(location_id, short.lines)
                raise
            return await _answer(write, reservation_id, key)

    async def extend(self, reservation_id: UUID, expires_at: datetime, key: RequestKey) -> Reservation:
        """Raises InvalidRequest, ReservationNotFound, ReservationStateRefused, RequestIdReused."""
        self._check_end(expires_at)
        return await self._change(reservation_id, key, lambda write, _: write.stock.extend(reservation_id, expires_at))

    async def commit(self, reservation_id: UUID, key: RequestKey) -> Reservation:
        """Raises ReservationNotFound, ReservationStateRefused, StockShort, RequestIdReused."""
        return await self._change(reservation_id, key, lambda write, cause: write.stock.commit(reservation_id, cause))

    async def release(self, reservation_id: UUID, key: RequestKey) -> Reservation:
        """Raises ReservationNotFound, ReservationStateRefused, RequestIdReused."""
        return await self._change(reservation_id, key, lambda write, cause: write.stock.release(reservation_id, cause))

    async def _change(self, reservation_id: UUID, key: RequestKey, step: Step) -> Reservation:
        async with self._writes.begin() as write:
            answer = await write.answered(key, Reservation)
            if answer is not None:
                return answer
            reservation = await write.reservation(reservation_id)
            if reservation is None:
                raise ReservationNotFound
            if reservation.order_id is not None:
                raise ReservationStateRefused(reservation.state, "the reservation belongs to an order, which alone moves it")
            await step(write, Cause(key.actor, reservation_name(reservation_id)))
            return await _answer(write, reservation_id, key)

    def _check_end(self, expires_at: datetime) -> None:
        if expires_at > self._clock.now() + HELD_MAX:
            rule = f"must be at most {HELD_MAX.days} days from now"
            raise InvalidRequest(f"expire_time: {rule}", violations=[FieldViolation("expire_time", rule)])


def _by_sku(lines: Sequence[tuple[str, int]]) -> dict[str, int]:
    asked: dict[str, int] = {}
    for sku, quantity in lines:
        if sku in asked:
            raise LinesRepeatSku(sku)
        asked[sku] = quantity
    return asked


async def _answer(write: StockWrite, reservation_id: UUID, key: RequestKey) -> Reservation:
    reservation = await write.reservation(reservation_id)
    assert reservation is not None
    await write.commit(key, Reservation, reservation)
    return reservation
