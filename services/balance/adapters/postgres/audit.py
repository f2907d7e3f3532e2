"""The ledger's tables as an audit sees them: in one snapshot, a range of account keys at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from services.balance.adapters.postgres import audit_statements as statements
from services.balance.adapters.postgres.snapshot import snapshot
from services.balance.application.proof_ports import AuditedAccount, AuditedTables, KeyRange
from services.balance.domain.books import Totals
from services.balance.domain.invariants import Finding, Invariant
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool


class PostgresAudits:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def snapshot(self, program: str | None) -> AsyncIterator[AuditedTables]:
        async with snapshot(self._pool) as connection:
            await connection.execute(statements.PLANNING)
            yield _Snapshot(connection, program)


class _Snapshot:
    def __init__(self, connection: AsyncConnection[TupleRow], program: str | None) -> None:
        self._connection = connection
        self._program = program

    async def count(self, keys: KeyRange) -> int:
        ((count,),) = await self._rows(statements.COUNT, keys)
        return int(count)

    async def accounts(self, keys: KeyRange, limit: int) -> Sequence[AuditedAccount]:
        rows = await self._rows(statements.NEXT, keys, limit=limit)
        return [AuditedAccount(key, AccountName(program, account_id), version) for key, program, account_id, version in rows]

    async def findings(self, keys: KeyRange, accounts: Sequence[AuditedAccount]) -> Sequence[Finding]:
        names = {account.key: account.name for account in accounts}
        rows = [row for statement in statements.ALL for row in await self._rows(statement, keys)]
        return [_finding(names, row) for row in rows]

    async def totals(self, keys: KeyRange) -> Totals:
        totals = Totals()
        for debit, credit, amount in await self._rows(statements.TRANSFERS, keys):
            totals.books[debit] -= int(amount)
            totals.books[credit] += int(amount)
        ((posted, held),) = await self._rows(statements.SUMS, keys)
        totals.posted, totals.held = int(posted), int(held)
        return totals

    async def _rows(self, statement: str, keys: KeyRange, **parameters: Any) -> Sequence[TupleRow]:
        parameters |= {"low": keys.low, "high": keys.high, "program": self._program}
        cursor = await self._connection.execute(statement, parameters)
        return await cursor.fetchall()


def _finding(names: dict[UUID, AccountName], row: Sequence[Any]) -> Finding:
    key, version, invariant, what, expected, found, _ = row
    numbers = "" if expected is None and found is None else f": expected {expected}, found {found}"
    return Finding(Invariant[invariant], names.get(key), version, what + numbers)
