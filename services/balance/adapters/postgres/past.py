"""Reads accounts as they were."""

from __future__ import annotations

from datetime import datetime

from services.balance.adapters.postgres.version_search import NEWEST, version_at
from services.balance.application.history_ports import PastAccount
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

# An operation has its time some milliseconds before it is committed. Asked about a time so near, we wait for the writers that may still
# commit an earlier operation, or the answer would change later; nobody writes longer than this.
AWAIT_WRITERS = """
    select from account where account_key = %(key)s and %(moment)s > clock_timestamp() - interval '1 minute' for share
"""
AS_OF = f"""
    with recursive {NEWEST}, {version_at("reached", "moment")}
    select account.created_at, operation.version, operation.posted_after, operation.held_after, operation.created_at
    from account
    left join operation on operation.account_key = account.account_key and operation.version = (select low from reached where low = high)
    where account.account_key = %(key)s
"""  # noqa: S608  the texts are ours


class PostgresPast:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def as_of(self, name: AccountName, moment: datetime) -> PastAccount | None:
        parameters = {"key": name.key, "moment": moment}
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute(AWAIT_WRITERS, parameters)
            row = await (await connection.execute(AS_OF, parameters)).fetchone()
        if row is None:
            return None
        opened_at, version, posted, held, updated_at = row
        return PastAccount(name, opened_at, version or 0, posted or 0, held or 0, updated_at or opened_at)
