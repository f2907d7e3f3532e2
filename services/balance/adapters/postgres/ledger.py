"""Posts batches of commands: two round trips, load and store, with the pure decision between them.

The rows of the batch's accounts are locked in key order, so that batches of other processes wait instead of dead-locking; everything
that decides is read after the locks, in statements of their own, because a statement sees nothing that was committed after it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow

from services.balance.adapters.postgres.rows import ACCOUNT_COLUMNS, OPERATION_COLUMNS, account_of, account_row, operation_of, operation_row
from services.balance.domain.ledger import Command, Decision, Kind, State, decide
from shared.postgres.pool import Pool

Connection = AsyncConnection[TupleRow]
Cursor = AsyncCursor[TupleRow]

# An account that does not exist can't be locked: those that a credit may open are made first, in key order like the locks.
OPEN_ACCOUNTS = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    select account_key, program, account_id, clock_timestamp(), clock_timestamp()
    from unnest(%s::uuid[], %s::text[], %s::text[]) as opened (account_key, program, account_id)
    order by account_key
    on conflict (account_key) do nothing
"""
LOCK_ACCOUNTS = f"""
    select account_key, {ACCOUNT_COLUMNS} from account where account_key = any(%s::uuid[]) order by account_key for no key update
"""  # noqa: S608  the columns are ours
# Not now(): that is when the transaction began, before it waited for the locks.
READ_CLOCK = "select clock_timestamp()"
FIND_RECORDED = f"""
    select account_key, {OPERATION_COLUMNS} from operation
    join unnest(%s::uuid[], %s::text[], %s::uuid[]) as asked (account_key, actor, request_id) using (account_key, actor, request_id)
"""  # noqa: S608
FIND_PAYMENTS = f"""
    select account_key, {OPERATION_COLUMNS} from operation
    join unnest(%s::uuid[], %s::text[]) as asked (account_key, reference) using (account_key, reference)
    where kind = 2 and refusal is null
"""  # noqa: S608
INSERT_OPERATIONS = f"""
    insert into operation (account_key, {OPERATION_COLUMNS})
    select * from unnest(
        %s::uuid[], %s::bigint[], %s::smallint[], %s::smallint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::text[], %s::text[], %s::uuid[], %s::bytea[], %s::timestamptz[], %s::smallint[], %s::bigint[], %s::bigint[])
"""  # noqa: S608
UPDATE_ACCOUNTS = """
    update account
    set version = after.version, posted = after.posted, held = after.held, pending = after.pending, debt = after.debt,
        lifetime_earned = after.lifetime_earned, lifetime_spent = after.lifetime_spent, updated_at = after.updated_at
    from unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::timestamptz[]) as after (account_key, version, posted, held, pending, debt, lifetime_earned, lifetime_spent, updated_at)
    where account.account_key = after.account_key
"""


class PostgresLedger:
    """The ledger in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def post(self, commands: Sequence[Command]) -> Decision:
        async with self._pool.connection() as connection, connection.pipeline():
            decision = decide(commands, await _load(connection, commands))
            await _store(connection, decision)
            await connection.commit()
        return decision


async def _load(connection: Connection, commands: Sequence[Command]) -> State:
    names = {command.account.key: command.account for command in commands}
    opened = sorted({(name.key, name.program, name.account_id) for name in (c.account for c in commands if c.opens_account)})
    if opened:
        await connection.execute(OPEN_ACCOUNTS, _columns(opened))
    locked = await connection.execute(LOCK_ACCOUNTS, [sorted(names)])
    clock = await connection.execute(READ_CLOCK)
    recorded = await connection.execute(FIND_RECORDED, _columns([(c.account.key, c.actor, c.request_id) for c in commands]))
    payments = await _find_payments(connection, commands)
    accounts = {names[key]: account_of(names[key], row) for key, *row in await locked.fetchall()}
    known = [operation_of(names[key], row) for key, *row in await recorded.fetchall()]
    paid = [operation_of(names[key], row) for key, *row in await payments.fetchall()] if payments else []
    return State(
        now=await _single(clock),
        accounts=accounts,
        recorded={operation.identity: operation for operation in known},
        payments={(operation.account, operation.reference): operation for operation in paid},
    )


async def _find_payments(connection: Connection, commands: Sequence[Command]) -> Cursor | None:
    asked = {(command.account.key, command.reference) for command in commands if command.kind is Kind.WITHDRAWAL}
    return await connection.execute(FIND_PAYMENTS, _columns(sorted(asked))) if asked else None


async def _store(connection: Connection, decision: Decision) -> None:
    if decision.operations:
        await connection.execute(INSERT_OPERATIONS, _columns([operation_row(operation) for operation in decision.operations]))
        await connection.execute(UPDATE_ACCOUNTS, _columns([account_row(account) for account in decision.accounts]))


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turns rows into the arrays that `unnest` takes, one a column."""
    return [list(column) for column in zip(*rows, strict=True)]


async def _single(cursor: Cursor) -> datetime:
    row = await cursor.fetchone()
    assert row is not None
    now: datetime = row[0]
    return now
