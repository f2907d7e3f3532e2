"""Posts groups of commands: two round trips, load and store, with the pure decision between them.

The rows of the batch's accounts are locked in key order, so that batches of other processes wait instead of dead-locking; everything
that decides is read after the locks, in statements of their own, because a statement sees nothing that was committed after it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow

from services.balance.adapters.postgres.rows import (
    HOLD_COLUMNS,
    LOT_COLUMNS,
    OPERATION_COLUMNS,
    READ_ACCOUNTS,
    account_row,
    columns,
    hold_of,
    hold_row,
    loaded_of,
    lot_of,
    lot_row,
    operation_of,
    operation_row,
    with_lots,
)
from services.balance.domain.commands import Command, HoldCommand, Reverse, Withdraw
from services.balance.domain.decide import Decision, Group, State, decide
from services.balance.domain.journal import Loaded, LotsTruncated
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

Connection = AsyncConnection[TupleRow]
Cursor = AsyncCursor[TupleRow]
Names = Mapping[UUID, AccountName]

# Most accounts have fewer open lots; for one that has more, the rest is loaded if these don't suffice.
LOTS_AT_FIRST = 32
ALL_LOTS = 2**31 - 1

# For this transaction only, because a connection may be shared (pgbouncer). One locked account must not stall a batch for long. With
# arrays as parameters the planner flips between plans while tables grow; the walk along the keys is always right.
POSTING_SETTINGS = """
    select set_config('lock_timeout', '200ms', true), set_config('plan_cache_mode', 'force_generic_plan', true),
        set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('jit', 'off', true)
"""
# An account that does not exist can't be locked: those that a credit may open are made first, in key order like the locks.
OPEN_ACCOUNTS = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    select account_key, program, account_id, clock_timestamp(), clock_timestamp()
    from unnest(%s::uuid[], %s::text[], %s::text[]) as opened (account_key, program, account_id)
    order by account_key
    on conflict (account_key) do nothing
    returning account_key
"""
LOCK_ACCOUNTS = "select from account where account_key = any(%s::uuid[]) order by account_key for no key update"
# Looked up key by key (`offset 0` keeps the planner from joining another way): a plan made while a table or a partial index was small would
# otherwise walk all of it for as long as the plan lives.
FIND_RECORDED = f"""
    select found.* from unnest(%s::uuid[], %s::text[], %s::uuid[]) as asked (key, actor, request_id)
    cross join lateral (
        select account_key, {OPERATION_COLUMNS} from operation
        where operation.account_key = asked.key and operation.actor = asked.actor and operation.request_id = asked.request_id offset 0
    ) as found
"""  # noqa: S608  the columns are ours
FIND_PAYMENTS = f"""
    select found.* from unnest(%s::uuid[], %s::text[]) as asked (key, reference)
    cross join lateral (
        select account_key, {OPERATION_COLUMNS} from operation
        where operation.account_key = asked.key and operation.reference = asked.reference and kind = 2 and refusal is null offset 0
    ) as found
"""  # noqa: S608
FIND_HOLDS = f"""
    select found.* from unnest(%s::uuid[], %s::bigint[]) as asked (key, hold_id)
    cross join lateral (
        select account_key, {HOLD_COLUMNS} from hold where hold.account_key = asked.key and hold.hold_id = asked.hold_id offset 0
    ) as found
"""  # noqa: S608
FIND_ORIGINALS = f"""
    select found.* from unnest(%s::uuid[], %s::bigint[]) as asked (key, version)
    cross join lateral (
        select account_key, {OPERATION_COLUMNS}, (
            select coalesce(sum(reversal.requested_amount), 0)::bigint from operation as reversal
            where reversal.account_key = operation.account_key and reversal.related_version = operation.version
                and reversal.kind = 9 and reversal.refusal is null
        )
        from operation where operation.account_key = asked.key and operation.version = asked.version offset 0
    ) as found
"""  # noqa: S608
FIND_LOTS = f"""
    select found.* from unnest(%s::uuid[], %s::bigint[]) as asked (key, lot_id)
    cross join lateral (
        select account_key, {LOT_COLUMNS} from lot where lot.account_key = asked.key and lot.lot_id = asked.lot_id offset 0
    ) as found
"""  # noqa: S608
INSERT_OPERATIONS = f"""
    insert into operation (account_key, {OPERATION_COLUMNS})
    select key, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, v16, lot_ids::bigint[], lot_amounts::bigint[], v19
    from unnest(
        %s::uuid[], %s::bigint[], %s::smallint[], %s::smallint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::text[], %s::text[], %s::uuid[], %s::bytea[], %s::timestamptz[], %s::smallint[], %s::bigint[], %s::bigint[], %s::text[],
        %s::text[], %s::bigint[]
    ) as made (key, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, v16, lot_ids, lot_amounts, v19)
"""  # noqa: S608
UPDATE_ACCOUNTS = """
    update account
    set version = after.version, posted = after.posted, held = after.held, debt = after.debt,
        lifetime_earned = after.lifetime_earned, lifetime_spent = after.lifetime_spent, min_balance = after.min_balance,
        updated_at = after.updated_at
    from unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::timestamptz[]) as after (account_key, version, posted, held, debt, lifetime_earned, lifetime_spent, min_balance, updated_at)
    where account.account_key = after.account_key
"""
INSERT_LOTS = f"""
    insert into lot (account_key, {LOT_COLUMNS}, is_open)
    select *, remaining > 0
    from unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        as made (account_key, {LOT_COLUMNS})
"""  # noqa: S608
UPDATE_LOTS = """
    update lot set remaining = after.remaining, held = after.held, is_open = after.remaining > 0
    from unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[]) as after (account_key, lot_id, remaining, held)
    where lot.account_key = after.account_key and lot.lot_id = after.lot_id
"""
STORE_HOLDS = f"""
    insert into hold (account_key, {HOLD_COLUMNS})
    select account_key, hold_id, state, amount, remaining, captured, reference, expires_at, lot_ids::bigint[], lot_amounts::bigint[]
    from unnest(%s::uuid[], %s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[],
        %s::text[], %s::text[]) as after (account_key, {HOLD_COLUMNS})
    on conflict (account_key, hold_id) do update
    set state = excluded.state, remaining = excluded.remaining, captured = excluded.captured, expires_at = excluded.expires_at,
        lot_ids = excluded.lot_ids, lot_amounts = excluded.lot_amounts
"""  # noqa: S608


class PostgresLedger:
    """The ledger in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def post(self, groups: Sequence[Group]) -> Decision:
        commands = [command for group in groups for command in group.commands]
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute(POSTING_SETTINGS)
            opened = await _lock(connection, commands)
            decision = await _decide(connection, groups, commands, opened)
            if decision.operations or opened is None:
                await _store(connection, decision)
                await connection.commit()
            else:  # then no account stays open for a credit that failed
                await connection.rollback()
        return decision


async def _lock(connection: Connection, commands: Sequence[Command]) -> Cursor | None:
    """Locks the accounts, after opening those that a credit may open; the keys of those that it opened can be fetched."""
    opened = {(name.key, name.program, name.account_id) for name in (c.account for c in commands if c.opens_account)}
    cursor = await connection.execute(OPEN_ACCOUNTS, columns(sorted(opened))) if opened else None
    await connection.execute(LOCK_ACCOUNTS, [sorted({command.account.key for command in commands})])
    return cursor


async def _decide(connection: Connection, groups: Sequence[Group], commands: Sequence[Command], opened: Cursor | None) -> Decision:
    state = await _load(connection, commands, LOTS_AT_FIRST)
    names = {name.key: name for name in state.accounts}
    new = [names[key] for (key,) in await opened.fetchall()] if opened else []
    try:
        return decide(groups, replace(state, opened=new))
    except LotsTruncated:
        return decide(groups, replace(await _load(connection, commands, ALL_LOTS), opened=new))


async def _load(connection: Connection, commands: Sequence[Command], lots_max: int) -> State:
    names = {command.account.key: command.account for command in commands}
    accounts = await connection.execute(READ_ACCOUNTS, [lots_max, list(names)])
    recorded = await connection.execute(FIND_RECORDED, columns([(c.account.key, c.actor, c.request_id) for c in commands]))
    payments = await _maybe(connection, FIND_PAYMENTS, {(c.account.key, c.reference) for c in commands if isinstance(c, Withdraw)})
    originals = await _maybe(connection, FIND_ORIGINALS, {(c.account.key, c.version) for c in commands if isinstance(c, Reverse)})
    holds = await _maybe(connection, FIND_HOLDS, {(c.account.key, c.hold_id) for c in commands if isinstance(c, HoldCommand)})
    rows = await accounts.fetchall()
    found = await _originals(names, originals)
    return State(
        now=min((row[0] for row in rows), default=datetime.now(UTC)),
        accounts=await _accounts(connection, names, rows, lots_max, await _by_account(holds), [original for original, _ in found.values()]),
        recorded={operation.identity: operation for operation in await _operations(names, recorded)},
        payments={(operation.account, operation.reference): operation for operation in await _operations(names, payments)},
        originals=found,
    )


async def _accounts(
    connection: Connection,
    names: Names,
    rows: Sequence[TupleRow],
    lots_max: int,
    holds: Mapping[UUID, Sequence[Sequence[Any]]],
    originals: Sequence[Operation],
) -> Mapping[AccountName, Loaded]:
    """Returns the accounts with their holds that are named or have run out, and the lots that a reversal may touch."""
    touched = {(operation.account.key, lot_id) for operation in originals for lot_id in _lots_of(operation)}
    lots = await _by_account(await _maybe(connection, FIND_LOTS, touched))
    return {
        names[row[1]]: with_lots(
            loaded_of(names[row[1]], row, lots_max=lots_max, holds=[hold_of(hold) for hold in holds.get(row[1], ())]),
            [lot_of(lot) for lot in lots.get(row[1], ())],
        )
        for row in rows
    }


def _lots_of(operation: Operation) -> Iterable[int]:
    """Returns the lots that a reversal of the operation may touch."""
    return {operation.version, *(lot_id for lot_id, _ in operation.lots)}


async def _maybe(connection: Connection, statement: str, asked: set[tuple[Any, ...]]) -> Cursor | None:
    """Sends a statement only if something is asked for, without waiting for its answer."""
    return await connection.execute(statement, columns(sorted(asked))) if asked else None


async def _by_account(cursor: Cursor | None) -> Mapping[UUID, Sequence[Sequence[Any]]]:
    """Returns the rows by account, without their key."""
    found: dict[UUID, list[Sequence[Any]]] = {}
    for key, *row in await cursor.fetchall() if cursor else ():
        found.setdefault(key, []).append(row)
    return found


async def _operations(names: Names, cursor: Cursor | None) -> Sequence[Operation]:
    return [operation_of(names[key], row) for key, *row in await cursor.fetchall()] if cursor else []


async def _originals(names: Names, cursor: Cursor | None) -> Mapping[tuple[AccountName, int], tuple[Operation, int]]:
    rows = await cursor.fetchall() if cursor else []
    found = [(operation_of(names[key], row), before) for key, *row, before in rows]
    return {(operation.account, operation.version): (operation, before) for operation, before in found}


async def _store(connection: Connection, decision: Decision) -> None:
    made = {(operation.account, operation.version) for operation in decision.operations}
    new_lots = [lot_row(name, lot) for name, lot in decision.lots if (name, lot.id) in made]
    old_lots = [(name.key, lot.id, lot.remaining, lot.held) for name, lot in decision.lots if (name, lot.id) not in made]
    for statement, rows in (
        (INSERT_OPERATIONS, [operation_row(operation) for operation in decision.operations]),
        (UPDATE_ACCOUNTS, [account_row(account) for account in decision.accounts]),
        (INSERT_LOTS, new_lots),
        (UPDATE_LOTS, old_lots),
        (STORE_HOLDS, [hold_row(name, hold) for name, hold in decision.holds]),
    ):
        if rows:
            await connection.execute(statement, columns(rows))
