"""Finds accounts where something has run out that is not written down yet."""

from __future__ import annotations

from collections.abc import Sequence

from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

# Both indexes hold only what is still open, and what is due stands at their beginning. `clock_timestamp()` is asked anew for each row,
# so that every lot that will ever expire had to be looked at, each second; the statement's time is one, and a place in the index.
FIND_DUE = """
    with due as (
        (select account_key from hold where state = 1 and expires_at <= statement_timestamp() order by expires_at limit %(limit)s)
        union
        (select account_key from lot
         where is_open and expires_at <= statement_timestamp() and remaining > held order by expires_at limit %(limit)s)
    )
    select program, account_id from account join due using (account_key) limit %(limit)s
"""


class PostgresDue:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, limit: int) -> Sequence[AccountName]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(FIND_DUE, {"limit": limit})
            return [AccountName(program, account_id) for program, account_id in await cursor.fetchall()]
