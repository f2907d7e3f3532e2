"""Reads operations back. A statement walks the primary key backwards, so a page costs the same however long the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.balance.adapters.postgres.rows import HOLD_COLUMNS, OPERATION_COLUMNS, hold_of, operation_of
from services.balance.application.ports import StatementFilter
from services.balance.domain.model import Hold, Kind, Operation
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

LIST = f"""
    select {OPERATION_COLUMNS} from operation
    where account_key = %s and version < %s and kind = any(%s::smallint[]) and (refusal is null or %s)
    order by version desc limit %s
"""  # noqa: S608  the columns are ours
BY_VERSION = f"select {OPERATION_COLUMNS} from operation where account_key = %s and version = %s"  # noqa: S608
BY_REQUEST = f"select {OPERATION_COLUMNS} from operation where account_key = %s and actor = %s and request_id = %s"  # noqa: S608
HOLD = f"select {HOLD_COLUMNS} from hold where account_key = %s and hold_id = %s"  # noqa: S608
AFTER_ALL = 2**63 - 1


class PostgresStatements:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, wanted: StatementFilter) -> Sequence[Operation]:
        kinds = [kind.value for kind in wanted.kinds or Kind]
        before = AFTER_ALL if wanted.before_version is None else wanted.before_version
        return await self._read(wanted.account, LIST, [wanted.account.key, before, kinds, wanted.include_refused, wanted.limit])

    async def by_version(self, account: AccountName, version: int) -> Operation | None:
        return next(iter(await self._read(account, BY_VERSION, [account.key, version])), None)

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation | None:
        return next(iter(await self._read(account, BY_REQUEST, [account.key, actor, request_id])), None)

    async def hold(self, account: AccountName, hold_id: int) -> Hold | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(HOLD, [account.key, hold_id])).fetchone()
        return hold_of(row) if row else None

    async def _read(self, account: AccountName, statement: str, parameters: Sequence[Any]) -> Sequence[Operation]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return [operation_of(account, row) for row in await cursor.fetchall()]
