"""The hash chains in PostgreSQL: links and heads are inserted, never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from services.balance.adapters.postgres.rows import columns
from services.balance.adapters.postgres.snapshot import snapshot
from services.balance.adapters.postgres.stream import Horizon
from services.balance.application.proof_ports import ChainSnapshot, ChainTurn
from services.balance.domain.chain import CHAINS, Head, Link, Recorded, SignedHead, key_range, last_position
from services.balance.domain.names import AccountName
from services.balance.domain.verification import StoredLink
from shared.postgres.pool import Pool

# What is linked of an operation: a JSON array as PostgreSQL writes it, whatever the session's settings. A credit is linked with the
# lot that it made, whose amount and times never change. Its place in the stream stays out: it says how the operation
# is found, not what happened.
_CONTENT = """
    json_build_array(
        operation.kind, operation.debit_book, operation.credit_book, operation.amount, operation.requested_amount, operation.posted_after,
        operation.held_after, operation.reference, operation.actor, operation.request_id, encode(operation.fingerprint, 'hex'),
        operation.created_at at time zone 'UTC', operation.refusal, operation.available_at_refusal, operation.related_version,
        operation.lot_ids, operation.lot_amounts, operation.debt_change, lot.amount, lot.available_at at time zone 'UTC',
        lot.expires_at at time zone 'UTC'
    )::text
"""
# What belongs to an operation is looked up for each: the limits keep the planner from joining whole tables that it has no figures of yet.
_LOT = """
    left join lateral (
        select amount, available_at, expires_at from lot
        where lot.account_key = operation.account_key and lot.lot_id = operation.version limit 1
    ) as lot on true
"""
_HEAD_COLUMNS = "chain, number, hash, position, made_at, key_id, signature"

# The lock ends with the transaction, so it also holds behind a pooler. Were it not there, the key of the links would keep two from
# writing the same number, and one of them would have worked in vain.
TAKE_TURN = "select pg_try_advisory_xact_lock(hashtextextended('galen balance chain', 0))"
TIPS = f"""
    select last.* from generate_series(0, {CHAINS - 1}) as chosen
    cross join lateral (select {_HEAD_COLUMNS} from chain_head where chain = chosen order by number desc limit 1) as last
"""  # noqa: S608  all of it is ours
NEXT = f"""
    select clock_timestamp(), operation.stream_position, operation.account_key, operation.version, {_CONTENT}
    from (select * from operation where stream_position > %s order by stream_position limit %s) as operation {_LOT}
    where operation.stream_position <= %s order by operation.stream_position
"""  # noqa: S608  the bound stands outside: a range of both ends would be taken for small, and sorted whole for each batch
OLDEST_UNLINKED = """
    select extract(epoch from clock_timestamp() - created_at)::float8 from operation
    where stream_position > %s order by stream_position limit 1
"""
INSERT_LINKS = """
    insert into chain_link (chain, number, account_key, version, hash)
    select * from unnest(%s::smallint[], %s::bigint[], %s::uuid[], %s::bigint[], %s::bytea[])
"""
INSERT_HEADS = f"""
    insert into chain_head ({_HEAD_COLUMNS}) select * from unnest(%s::smallint[], %s::bigint[], %s::bytea[], %s::bigint[],
        %s::timestamptz[], %s::text[], %s::bytea[])
"""  # noqa: S608
LINKS = f"""
    select chain_link.chain, chain_link.number, chain_link.account_key, chain_link.version, chain_link.hash, account.program,
        account.account_id, case when operation.account_key is not null then {_CONTENT} end
    from chain_link
    left join lateral (
        select * from operation where operation.account_key = chain_link.account_key and operation.version = chain_link.version limit 1
    ) as operation on true
    {_LOT}
    left join lateral (
        select program, account_id from account where account.account_key = chain_link.account_key limit 1
    ) as account on true
    where chain_link.chain = %s and chain_link.number > %s order by chain_link.number limit %s
"""  # noqa: S608
HEADS = f"select {_HEAD_COLUMNS} from chain_head where chain = %s and number > %s and number <= %s order by number"  # noqa: S608
UNLINKED = """
    select account.program, account.account_id, operation.version
    from operation left join account on account.account_key = operation.account_key
    where operation.account_key between %s and %s
        and operation.stream_position <= %s
        and not exists (
            select from chain_link where chain_link.account_key = operation.account_key and chain_link.version = operation.version
        )
    order by operation.account_key, operation.version limit 100
"""


class PostgresChains:
    """For one chainer at a time; forgets nothing but its horizon."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._horizon = Horizon()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[ChainTurn | None]:
        try:
            async with self._pool.connection() as connection:
                ((taken,),) = await (await connection.execute(TAKE_TURN)).fetchall()
                yield _Turn(connection, self._horizon) if taken else None
        except Exception:
            self._horizon.forget()
            raise

    async def lag_s(self) -> float:
        async with self._pool.connection() as connection:
            last = last_position(tip.head for tip in await _tips(connection))
            row = await (await connection.execute(OLDEST_UNLINKED, [last])).fetchone()
        return max(0.0, row[0]) if row else 0.0

    @asynccontextmanager
    async def snapshot(self, chain: int) -> AsyncIterator[ChainSnapshot]:
        async with snapshot(self._pool) as connection:
            yield _Snapshot(connection, chain)


class _Turn:
    def __init__(self, connection: AsyncConnection[TupleRow], horizon: Horizon) -> None:
        self._connection = connection
        self._horizon = horizon

    async def tips(self) -> Sequence[SignedHead]:
        return await _tips(self._connection)

    async def next(self, after: int, limit: int) -> tuple[Sequence[Recorded], datetime]:
        complete = await self._horizon.find(self._connection)
        rows = await (await self._connection.execute(NEXT, [after, limit, complete or 0])).fetchall()
        now = rows[0][0] if rows else datetime.now(UTC)
        return [Recorded(position, key, version, content.encode()) for _, position, key, version, content in rows], now

    async def append(self, links: Sequence[Link], heads: Sequence[SignedHead]) -> None:
        rows = [(link.chain, link.number, link.account_key, link.version, link.hash) for link in links]
        await self._connection.execute(INSERT_LINKS, columns(rows))
        await self._connection.execute(INSERT_HEADS, columns([_head_row(head) for head in heads]))


class _Snapshot:
    def __init__(self, connection: AsyncConnection[TupleRow], chain: int) -> None:
        self._connection = connection
        self._chain = chain

    async def links(self, after: int, limit: int) -> Sequence[StoredLink]:
        rows = await (await self._connection.execute(LINKS, [self._chain, after, limit])).fetchall()
        return [StoredLink(Link(*row[:5]), _name(*row[5:7]), None if row[7] is None else row[7].encode()) for row in rows]

    async def heads(self, after: int, to: int) -> Sequence[SignedHead]:
        rows = await (await self._connection.execute(HEADS, [self._chain, after, to])).fetchall()
        return [_head_of(row) for row in rows]

    async def unlinked(self) -> Sequence[tuple[AccountName | None, int]]:
        last = last_position(tip.head for tip in await _tips(self._connection))
        rows = await (await self._connection.execute(UNLINKED, [*key_range(self._chain), last])).fetchall()
        return [(_name(program, account_id), version) for program, account_id, version in rows]


async def _tips(connection: AsyncConnection[TupleRow]) -> Sequence[SignedHead]:
    return [_head_of(row) for row in await (await connection.execute(TIPS)).fetchall()]


def _name(program: str | None, account_id: str | None) -> AccountName | None:
    return AccountName(program, account_id) if program is not None and account_id is not None else None


def _head_of(row: Sequence[Any]) -> SignedHead:
    return SignedHead(Head(*row[:5]), *row[5:])


def _head_row(signed: SignedHead) -> tuple[Any, ...]:
    head = signed.head
    return head.chain, head.number, head.hash, head.position, head.made_at, signed.key_id, signed.signature
