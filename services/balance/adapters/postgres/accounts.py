"""Opens and reads accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.balance.adapters.postgres import request_log
from services.balance.adapters.postgres.rows import READ_ACCOUNTS, array, loaded_of
from services.balance.application.ports import AccountView
from services.balance.domain.journal import Loaded
from services.balance.domain.model import Account
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool
from shared.postgres.round_trips import RoundTrips, Rows
from shared.requests import RequestKey

OPEN = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    values (%s, %s, %s, clock_timestamp(), clock_timestamp())
    on conflict (account_key) do nothing
"""
ALL_LOTS = 2**31 - 1


class PostgresAccounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, name: AccountName, key: RequestKey, view: Callable[[Loaded, datetime], AccountView]) -> AccountView:
        async with self._pool.connection() as connection:
            reply = await request_log.begin(connection, key)
            if reply is not None:
                return view_of(name, reply)
            await connection.execute(OPEN, [name.key, name.program, name.account_id])
            (row,) = await (await connection.execute(READ_ACCOUNTS, [ALL_LOTS, [name.key]])).fetchall()
            opened = view(*_loaded(name, row))
            await request_log.finish(connection, key, reply_of(opened))
        return opened

    async def load(self, name: AccountName) -> tuple[Loaded, datetime] | None:
        (found,) = await self.load_many([name])
        return found

    async def load_many(self, names: Sequence[AccountName]) -> Sequence[tuple[Loaded, datetime] | None]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_ACCOUNTS, [ALL_LOTS, [name.key for name in names]])
            return _found(names, await cursor.fetchall())


class AccountBatches:
    """Reads accounts for many callers, in one round trip. The connections of the pool are for batches alone (see RoundTrips)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._round_trips = RoundTrips()

    async def load_many(self, names: Sequence[AccountName]) -> Sequence[tuple[Loaded, datetime] | None]:
        asked = READ_ACCOUNTS, [str(ALL_LOTS), array(name.key_text for name in names)]
        async with self._pool.connection() as connection:
            (rows,) = await self._round_trips.send(connection, [asked])
        return _found(names, rows)


def _found(names: Sequence[AccountName], rows: Rows) -> Sequence[tuple[Loaded, datetime] | None]:
    by_key = {row[1]: row for row in rows}
    return [_loaded(name, by_key[name.key_text]) if name.key_text in by_key else None for name in names]


def _loaded(name: AccountName, row: Sequence[Any]) -> tuple[Loaded, datetime]:
    return loaded_of(name, row, lots_max=ALL_LOTS), row[0]


_NUMBERS = ("version", "posted", "held", "debt", "lifetime_earned", "lifetime_spent", "min_balance")
_TIMES = ("created_at", "updated_at")


def reply_of(view: AccountView) -> dict[str, Any]:
    """Returns the view as the request log keeps it."""
    return {
        **{name: getattr(view.account, name) for name in _NUMBERS},
        **{name: getattr(view.account, name).isoformat() for name in _TIMES},
        "available": view.available,
        "pending": view.pending,
        "next_expiry": view.next_expiry and [view.next_expiry[0].isoformat(), view.next_expiry[1]],
    }


def view_of(name: AccountName, reply: Mapping[str, Any]) -> AccountView:
    """Returns the view that `reply_of` made this of."""
    account = Account(name, *(reply[number] for number in _NUMBERS), *(datetime.fromisoformat(reply[time]) for time in _TIMES))
    expiry = reply["next_expiry"]
    return AccountView(account, reply["available"], reply["pending"], expiry and (datetime.fromisoformat(expiry[0]), expiry[1]))
