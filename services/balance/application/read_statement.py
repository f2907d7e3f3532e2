"""Reads an account's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.balance.application.ports import StatementFilter, Statements
from services.balance.domain.errors import OperationNotFound
from services.balance.domain.ledger import Operation
from services.balance.domain.names import AccountName


class ReadStatement:
    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def page(self, wanted: StatementFilter) -> tuple[Sequence[Operation], int | None]:
        """Returns a page, newest first, and the version below which the next one begins, None after the last."""
        rows = await self._statements.list(replace(wanted, limit=wanted.limit + 1))
        page = rows[: wanted.limit]
        return page, page[-1].version if len(rows) > wanted.limit else None

    async def by_version(self, account: AccountName, version: int) -> Operation:
        """Raises OperationNotFound."""
        return _found(await self._statements.by_version(account, version))

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation:
        """Raises OperationNotFound, also for another actor's request."""
        return _found(await self._statements.by_request(account, actor, request_id))


def _found(operation: Operation | None) -> Operation:
    if operation is None:
        raise OperationNotFound
    return operation
