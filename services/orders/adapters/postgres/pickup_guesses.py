"""How often an order's pickup code was guessed wrong, in all processes together: a token bucket for each order, in one statement."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import RateLimited

_LEFT = "greatest(0, guess.tries - cast(:per_second as float8) * extract(epoch from clock_timestamp() - guess.counted_at)::float8)"
# 8 is READY: of no other order is the code asked for, so none can be filled up with guesses. Who is in the way waits for the row.
_COUNT = text(f"""
with asked as (
    select order_id, pickup_code = :pickup_code as is_right from customer_order where order_id = :order_id and state = 8
), counted as (
    insert into pickup_guess as guess (order_id, tries, counted_at)
    select order_id, 1, clock_timestamp() from asked where not is_right
    on conflict (order_id) do update set tries = {_LEFT} + 1, counted_at = clock_timestamp() where {_LEFT} + 1 <= cast(:burst as float8)
    returning tries
)
select is_right, exists (select from counted) as is_counted from asked
""")  # noqa: S608
_EXCESS = text(f"""
select {_LEFT} + 1 - cast(:burst as float8) as tries from pickup_guess as guess join customer_order using (order_id)
where order_id = :order_id and state = 8
""")  # noqa: S608
_FORGET = text("delete from pickup_guess where order_id = :order_id")


class PostgresPickupGuesses:
    """`PickupGuesses`: `burst` at once, and `per_second` from then on."""

    def __init__(self, engine: AsyncEngine, *, burst: int, per_second: float) -> None:
        self._engine = engine
        self._burst = burst
        self._per_second = per_second

    async def admit(self, order_id: UUID, pickup_code: str) -> None:
        limit: dict[str, Any] = {"order_id": order_id, "burst": self._burst, "per_second": self._per_second}
        async with self._engine.begin() as connection:
            guess = (await connection.execute(_COUNT, limit | {"pickup_code": pickup_code})).first()
            if guess is None or guess.is_counted:
                return
            excess: float = (await connection.execute(_EXCESS, limit)).scalar() or 0
        # Time may have forgiven one between the two statements: a wrong guess that is not counted is not admitted for that.
        if not guess.is_right or excess > 0:
            raise RateLimited(retry_after_s=max(1.0, excess / self._per_second))

    async def forget(self, order_id: UUID) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(_FORGET, {"order_id": order_id})
