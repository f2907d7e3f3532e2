"""What the ledger holds when it is measured, and the requests that are made of it: unique, and serialised before the clock runs.

pgbench has a database of its own, alike but for the keys of accounts: it can't derive them from names, so they are numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID, uuid4

import psycopg
from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.domain.names import AccountName
from shared.grpc.page_tokens import PageTokens
from shared.luhn import with_check_digit

PROGRAM = "main"
HOT = "bench-hot"
LOTS_PER_ACCOUNT = 3
LOT_AMOUNT = 1_000_000_000
BATCH_SIZE = 100
SERVICE = "/galen.balance.v1.BalanceService/"
# The key of pgbench's account number `{}`, in SQL.
NUMBERED_KEY = "lpad(to_hex({}::bigint), 32, '0')::uuid"

SEED_KEYS = "create temporary table seed (account_key uuid, account_id text) on commit drop"
SEED_ACCOUNTS = f"""
    insert into balance.account (account_key, program, account_id, version, posted, lifetime_earned, created_at, updated_at)
    select account_key, '{PROGRAM}', account_id, {LOTS_PER_ACCOUNT}, {LOTS_PER_ACCOUNT * LOT_AMOUNT}, {LOTS_PER_ACCOUNT * LOT_AMOUNT},
        now(), now()
    from seed
"""
SEED_OPERATIONS = f"""
    insert into balance.operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after,
        reference, actor, request_id, fingerprint, created_at, lot_ids, lot_amounts)
    select account_key, n, 1, 2, 1, {LOT_AMOUNT}, {LOT_AMOUNT}, n * {LOT_AMOUNT}, 0,
        'seed', 'services/accrual', gen_random_uuid(), '\\x00', now(), array[n], array[{LOT_AMOUNT}]
    from seed cross join generate_series(1::bigint, {LOTS_PER_ACCOUNT}) as n
"""
# Two lots that expire, and one that doesn't.
SEED_LOTS = f"""
    insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
    select account_key, n, {LOT_AMOUNT}, {LOT_AMOUNT}, 0, now(),
        case when n < {LOTS_PER_ACCOUNT} then now() + n * interval '1 year' end, true
    from seed cross join generate_series(1::bigint, {LOTS_PER_ACCOUNT}) as n
"""
# One account with a long history: a credit, and withdrawals of all of it but what remains in the lot.
SEED_HISTORY = f"""
    with account as (
        insert into balance.account (account_key, program, account_id, version, posted, lifetime_earned, lifetime_spent,
            created_at, updated_at)
        values (%(key)s, '{PROGRAM}', %(id)s, %(count)s, {LOT_AMOUNT} - %(count)s + 1, {LOT_AMOUNT}, %(count)s - 1,
            now(), now())
    ), lot as (
        insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, is_open)
        values (%(key)s, 1, {LOT_AMOUNT}, {LOT_AMOUNT} - %(count)s + 1, 0, now(), true)
    )
    insert into balance.operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after,
        reference, actor, request_id, fingerprint, created_at, lot_ids, lot_amounts)
    select %(key)s, n, case n when 1 then 1 else 2 end, case n when 1 then 2 else 1 end, case n when 1 then 1 else 3 end,
        moved, moved, {LOT_AMOUNT} - n + 1, 0,
        n::text, 'services/orders', {NUMBERED_KEY.format("n")}, '\\x00', now(), array[1], array[moved]
    from generate_series(1::bigint, %(count)s) as n
    cross join lateral (select case n when 1 then {LOT_AMOUNT}::bigint else 1 end) as m (moved)
"""


def named_accounts(count: int) -> Iterator[tuple[UUID, str]]:
    """Yields keys and ids of so many accounts for calls, and of the hot one."""
    for account_id in (HOT, *map(_account_id, range(1, count + 1))):
        yield AccountName(PROGRAM, account_id).key, account_id


def numbered_accounts(count: int) -> Iterator[tuple[UUID, str]]:
    """Yields keys and ids of so many accounts for pgbench, and of number 0, the hot one."""
    return ((UUID(int=number), str(number)) for number in range(count + 1))


def seed(uri: str, accounts: Iterable[tuple[UUID, str]]) -> None:
    """Makes the accounts, each with some lots."""
    with psycopg.connect(uri) as connection:
        connection.execute(SEED_KEYS)
        with connection.cursor().copy("copy seed from stdin") as copy:
            for row in accounts:
                copy.write_row(row)
        for statement in (SEED_ACCOUNTS, SEED_OPERATIONS, SEED_LOTS):
            connection.execute(statement)
    _settle(uri)


def seed_history(uri: str, operations: int) -> str:
    """Makes an account with so many operations; returns its id."""
    account_id = f"bench-history-{operations}"
    with psycopg.connect(uri) as connection:
        connection.execute(SEED_HISTORY, {"key": AccountName(PROGRAM, account_id).key, "id": account_id, "count": operations})
    _settle(uri)
    return account_id


def _settle(uri: str) -> None:
    """Leaves nothing to be done in the background while something is measured."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("vacuum (analyze) balance.account, balance.operation, balance.lot")
        connection.execute("checkpoint")


def spread(accounts: int) -> Callable[[], str]:
    """Returns a source of random accounts."""
    return lambda: _account_id(random.randint(1, accounts))


def hot() -> str:
    """The one account that everyone wants."""
    return HOT


def withdrawals(pick: Callable[[], str], count: int) -> list[bytes]:
    return [_withdrawal(pick()).SerializeToString() for _ in range(count)]


def reads(pick: Callable[[], str], count: int) -> list[bytes]:
    return [messages.GetAccountRequest(name=_name(pick())).SerializeToString() for _ in range(count)]


def batches(pick: Callable[[], str], count: int) -> list[bytes]:
    """Returns calls of BATCH_SIZE withdrawals each."""
    return [_batch(pick).SerializeToString() for _ in range(count)]


def reservations(pick: Callable[[], str], count: int) -> list[bytes]:
    """Returns requests that set a point aside."""
    requests = (
        messages.ReservePointsRequest(account=_name(pick()), amount=1, reference=_order_number(), request_id=str(uuid4()))
        for _ in range(count)
    )
    return [request.SerializeToString() for request in requests]


def captures(uri: str) -> list[bytes]:
    """Returns a capture of each hold that is open, in no order."""
    with psycopg.connect(uri) as connection:
        holds = connection.execute("""
            select account_id, hold_id from balance.hold join balance.account using (account_key) where state = 1 order by random()
        """).fetchall()
    requests = (
        messages.CapturePointsRequest(hold=f"{_name(account_id)}/holds/{hold_id}", request_id=str(uuid4())) for account_id, hold_id in holds
    )
    return [request.SerializeToString() for request in requests]


def pages(page_tokens: PageTokens, account_id: str, operations: int, count: int) -> list[bytes]:
    """Returns requests for pages from anywhere in an account's history."""
    return list(_pages(page_tokens, account_id, operations, count))


def _pages(page_tokens: PageTokens, account_id: str, operations: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        request = messages.ListOperationsRequest(parent=_name(account_id), page_size=50)
        request.page_token = page_tokens.seal(request, [random.randint(100, operations)])
        yield request.SerializeToString()


def _batch(pick: Callable[[], str]) -> messages.BatchApplyRequest:
    commands = [messages.BatchCommand(withdraw=_withdrawal(pick())) for _ in range(BATCH_SIZE)]
    return messages.BatchApplyRequest(
        parent=f"programs/{PROGRAM}", commands=commands, mode=messages.BATCH_MODE_INDEPENDENT, request_id=str(uuid4())
    )


def _withdrawal(account_id: str) -> messages.WithdrawPointsRequest:
    return messages.WithdrawPointsRequest(account=_name(account_id), amount=1, order_number=_order_number(), request_id=str(uuid4()))


def _order_number() -> str:
    return with_check_digit(str(random.getrandbits(60)))


def _account_id(number: int) -> str:
    return f"bench-{number:07d}"


def _name(account_id: str) -> str:
    return f"programs/{PROGRAM}/accounts/{account_id}"
