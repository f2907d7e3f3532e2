"""Posts groups of commands: two round trips, one that locks and loads, one that stores, with the pure decision between them.

The rows of the batch's accounts are locked in key order, so that batches of other processes wait instead of dead-locking; everything
that decides is read after the locks, in statements of their own, because a statement sees nothing that was committed after it began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.balance.adapters.postgres.rows import (
    HOLD_COLUMNS,
    LOT_COLUMNS,
    OPERATION_COLUMNS,
    READ_ACCOUNTS,
    account_row,
    array,
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
from services.balance.domain.openings import Parted, opened_for_nothing
from shared.postgres.pool import Pool
from shared.postgres.round_trips import RoundTrips, Rows, Statement

Send = Callable[[Sequence[Statement]], Awaitable[Sequence[Rows]]]
# Accounts and rows by the text of the account's key.
Names = Mapping[str, AccountName]
Answers = Mapping[str, Rows]
Grouped = Mapping[str, Sequence[Sequence[Any]]]

# Most accounts have fewer open lots; for one that has more, the rest is loaded if these don't suffice.
LOTS_AT_FIRST = 32
ALL_LOTS = 2**31 - 1

BEGIN: Statement = ("begin", ())
COMMIT: Statement = ("commit", ())
ROLLBACK: Statement = ("rollback", ())
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
    returning account_key::text
"""
LOCK_ACCOUNTS = "select from account where account_key = any(%s::uuid[]) order by account_key for no key update"
# Looked up key by key (`offset 0` keeps the planner from joining another way): a plan made while a table or a partial index was small would
# otherwise walk all of it for as long as the plan lives.
FIND_RECORDED = f"""
    select found.* from unnest(%s::uuid[], %s::text[], %s::uuid[]) as asked (key, actor, request_id)
    cross join lateral (
        select account_key::text, {OPERATION_COLUMNS} from operation
        where operation.account_key = asked.key and operation.actor = asked.actor and operation.request_id = asked.request_id offset 0
    ) as found
"""  # noqa: S608  the columns are ours
FIND_PAYMENTS = f"""
    select found.* from unnest(%s::uuid[], %s::text[]) as asked (key, reference)
    cross join lateral (
        select account_key::text, {OPERATION_COLUMNS} from operation
        where operation.account_key = asked.key and operation.reference = asked.reference and kind = 2 and refusal is null offset 0
    ) as found
"""  # noqa: S608
FIND_HOLDS = f"""
    select found.* from unnest(%s::uuid[], %s::bigint[]) as asked (key, hold_id)
    cross join lateral (
        select account_key::text, {HOLD_COLUMNS} from hold where hold.account_key = asked.key and hold.hold_id = asked.hold_id offset 0
    ) as found
"""  # noqa: S608
FIND_ORIGINALS = f"""
    select found.* from unnest(%s::uuid[], %s::bigint[]) as asked (key, version)
    cross join lateral (
        select account_key::text, {OPERATION_COLUMNS}, (
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
        select account_key::text, {LOT_COLUMNS} from lot where lot.account_key = asked.key and lot.lot_id = asked.lot_id offset 0
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
    """The ledger in PostgreSQL. The connections of the pool are for nobody else (see RoundTrips)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._round_trips = RoundTrips()

    async def post(self, groups: Sequence[Group]) -> Decision:
        async with self._pool.connection() as connection:
            return await _post(partial(self._round_trips.send, connection), groups)


async def _post(send: Send, groups: Sequence[Group]) -> Decision:
    """No account stays open for a credit that was refused: the transaction is given up then, and what has a use of it is decided anew."""
    decision, opened = await _decide(send, groups)
    unopened = opened_for_nothing(opened, decision)
    if not unopened or not decision.operations:
        await send([*_changes(decision), COMMIT] if decision.operations else [ROLLBACK])
        return decision
    await send([ROLLBACK])
    parted = [Parted(group, unopened) for group in groups]
    again = await _post(send, [part.rest for part in parted])
    outcomes = [part.joined(first, later) for part, first, later in zip(parted, decision.outcomes, again.outcomes, strict=True)]
    return replace(again, outcomes=outcomes)


async def _decide(send: Send, groups: Sequence[Group]) -> tuple[Decision, Sequence[AccountName]]:
    """Returns the decision, and the accounts that were opened for it."""
    commands = [command for group in groups for command in group.commands]
    names = {command.account.key_text: command.account for command in commands}
    answers = await _ask(send, _locks(names, commands) | _questions(names, commands, LOTS_AT_FIRST))
    opened = [names[key] for (key,) in answers.get("opened", ())]
    try:
        return decide(groups, replace(await _state(send, names, answers, LOTS_AT_FIRST), opened=opened)), opened
    except LotsTruncated:
        answers = await _ask(send, _questions(names, commands, ALL_LOTS))
        return decide(groups, replace(await _state(send, names, answers, ALL_LOTS), opened=opened)), opened


async def _ask(send: Send, questions: Mapping[str, Statement]) -> Answers:
    return dict(zip(questions, await send(list(questions.values())), strict=True))


def _locks(names: Names, commands: Sequence[Command]) -> dict[str, Statement]:
    """Opens the accounts that a credit may open, then locks all: in key order, which the statements see to."""
    opened = {(name.key_text, name.program, name.account_id) for name in (c.account for c in commands if c.opens_account)}
    return {
        "begin": BEGIN,
        "settings": (POSTING_SETTINGS, ()),
        **_asked(opened=(OPEN_ACCOUNTS, opened)),
        "locked": (LOCK_ACCOUNTS, [array(names)]),
    }


def _questions(names: Names, commands: Sequence[Command], lots_max: int) -> dict[str, Statement]:
    return {
        "accounts": (READ_ACCOUNTS, [str(lots_max), array(names)]),
        **_asked(
            recorded=(FIND_RECORDED, {(c.account.key_text, c.actor, c.request_id) for c in commands}),
            payments=(FIND_PAYMENTS, {(c.account.key_text, c.reference) for c in commands if isinstance(c, Withdraw)}),
            originals=(FIND_ORIGINALS, {(c.account.key_text, c.version) for c in commands if isinstance(c, Reverse)}),
            holds=(FIND_HOLDS, {(c.account.key_text, c.hold_id) for c in commands if isinstance(c, HoldCommand)}),
        ),
    }


def _asked(**statements: tuple[str, Collection[Sequence[Any]]]) -> dict[str, Statement]:
    """Returns the statements that something is asked of, with their rows as arrays."""
    return {name: (statement, columns(rows)) for name, (statement, rows) in statements.items() if rows}


async def _state(send: Send, names: Names, answers: Answers, lots_max: int) -> State:
    rows = answers["accounts"]
    originals = _originals(names, answers.get("originals", ()))
    lots = await _touched_lots(send, [original for original, _ in originals.values()])
    holds = _by_account(answers.get("holds", ()))
    return State(
        now=min((row[0] for row in rows), default=datetime.now(UTC)),
        accounts={names[row[1]]: _loaded(names[row[1]], row, lots_max, holds, lots) for row in rows},
        recorded={operation.identity: operation for operation in _operations(names, answers["recorded"])},
        payments={(operation.account, operation.reference): operation for operation in _operations(names, answers.get("payments", ()))},
        originals=originals,
    )


async def _touched_lots(send: Send, originals: Sequence[Operation]) -> Grouped:
    """Returns the lots that reversals may touch, closed ones too."""
    keys = {
        (operation.account.key_text, lot_id)
        for operation in originals
        for lot_id in (operation.version, *(lot_id for lot_id, _ in operation.lots))
    }  # fmt: skip
    return _by_account((await _ask(send, _asked(lots=(FIND_LOTS, keys))))["lots"]) if keys else {}


def _loaded(name: AccountName, row: Sequence[Any], lots_max: int, holds: Grouped, lots: Grouped) -> Loaded:
    """Returns the account with its holds that are named or have run out, and the lots that a reversal may touch."""
    named = [hold_of(hold) for hold in holds.get(name.key_text, ())]
    return with_lots(loaded_of(name, row, lots_max=lots_max, holds=named), [lot_of(lot) for lot in lots.get(name.key_text, ())])


def _by_account(rows: Rows) -> Grouped:
    """Returns the rows by account, without their key."""
    found: dict[str, list[Sequence[Any]]] = {}
    for key, *row in rows:
        found.setdefault(key, []).append(row)
    return found


def _operations(names: Names, rows: Rows) -> Iterable[Operation]:
    return (operation_of(names[key], row) for key, *row in rows)


def _originals(names: Names, rows: Rows) -> Mapping[tuple[AccountName, int], tuple[Operation, int]]:
    found = [(operation_of(names[key], row), before) for key, *row, before in rows]
    return {(operation.account, operation.version): (operation, before) for operation, before in found}


def _changes(decision: Decision) -> Iterable[Statement]:
    made = {(operation.account, operation.version) for operation in decision.operations}
    new_lots = [lot_row(name, lot) for name, lot in decision.lots if (name, lot.id) in made]
    old_lots = [(name.key_text, lot.id, lot.remaining, lot.held) for name, lot in decision.lots if (name, lot.id) not in made]
    return _asked(
        operations=(INSERT_OPERATIONS, [operation_row(operation) for operation in decision.operations]),
        accounts=(UPDATE_ACCOUNTS, [account_row(account) for account in decision.accounts]),
        new_lots=(INSERT_LOTS, new_lots),
        old_lots=(UPDATE_LOTS, old_lots),
        holds=(STORE_HOLDS, [hold_row(name, hold) for name, hold in decision.holds]),
    ).values()
