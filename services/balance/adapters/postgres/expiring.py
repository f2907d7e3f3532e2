"""Lots by the time when they expire: along the index of one account's open lots, or of everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.balance.adapters.postgres.statements import READING_SETTINGS
from services.balance.application.history_ports import ExpiringFilter, ExpiringLot, LotPosition
from services.balance.domain.model import Lot
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

# Both ends as rows: from `expires_at < ...` the planner would see that everybody's index of what expires could serve too, and where
# everything expires at the end of a year it would walk through all of that.
_AFTER = "coalesce(%(time)s::timestamptz, statement_timestamp())"
_OF_ACCOUNT = f"account_key = %(key)s and (expires_at, lot_id) > ({_AFTER}, %(lot)s) and (expires_at, lot_id) < (%(before)s, 0)"
_OF_ALL = f"expires_at < %(before)s and (expires_at, account_key, lot_id) > ({_AFTER}, %(key)s, %(lot)s)"
# Where a list begins: behind all lots that expire at this very moment.
_NOW = None, UUID(int=2**128 - 1), 2**63 - 1


def _listing(condition: str, order: str) -> str:
    # The page is cut before anything is joined to it, and the limit of 1 keeps the planner from joining with all accounts. Points of a hold
    # that has run out are free, though that is not written down yet.
    return f"""
        select program, account_id, account_key, lot_id, amount, remaining, held - freed.points, available_at, expires_at
        from (
            select account_key, lot_id, amount, remaining, held, available_at, expires_at from lot
            where is_open and {condition}
            order by {order} limit %(limit)s
        ) as page
        cross join lateral (select program, account_id from account where account.account_key = page.account_key limit 1) as owner
        cross join lateral (
            select coalesce(sum(use.amount), 0)::bigint as points
            from hold cross join unnest(lot_ids, lot_amounts) as use (lot_id, amount)
            where hold.account_key = page.account_key and state = 1 and hold.expires_at <= clock_timestamp() and use.lot_id = page.lot_id
        ) as freed
        order by {order}
    """  # noqa: S608  the texts are ours


OF_ACCOUNT = _listing(_OF_ACCOUNT, "expires_at, lot_id")
OF_ALL = _listing(_OF_ALL, "expires_at, account_key, lot_id")


class PostgresExpiringLots:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, wanted: ExpiringFilter) -> Sequence[ExpiringLot]:
        every, after = wanted.scope.is_every, wanted.after
        time, key, lot = (after.expires_at, after.account_key, after.lot_id) if after else _NOW
        parameters = {
            "key": key if every else wanted.scope.key,
            "time": time,
            "lot": lot,
            "before": wanted.before,
            "limit": wanted.limit,
        }
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute(READING_SETTINGS)
            cursor = await connection.execute(OF_ALL if every else OF_ACCOUNT, parameters)
            return [_expiring(row) for row in await cursor.fetchall()]


def _expiring(row: Sequence[Any]) -> ExpiringLot:
    program, account_id, key, *lot = row
    read = Lot(*lot)
    assert read.expires_at is not None
    return ExpiringLot(AccountName(program, account_id), read, LotPosition(read.expires_at, key, read.id))
