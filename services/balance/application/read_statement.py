"""Reads an account's history."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.balance.application.ports import StatementFilter, StatementPage, Statements
from services.balance.domain.errors import HoldNotFound, OperationNotFound
from services.balance.domain.model import Hold, HoldState, Operation
from services.balance.domain.names import AccountName


class ReadStatement:
    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def page(self, wanted: StatementFilter) -> StatementPage:
        """Returns a page of a statement, newest first."""
        return await self._statements.page(wanted)

    async def by_version(self, account: AccountName, version: int) -> Operation:
        """Raises OperationNotFound."""
        return _found(await self._statements.by_version(account, version))

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation:
        """Raises OperationNotFound, also for another actor's request."""
        return _found(await self._statements.by_request(account, actor, request_id))

    async def hold(self, account: AccountName, hold_id: int) -> Hold:
        """Returns the hold as of now: one that has run out shows so, though it is not written down yet. Raises HoldNotFound."""
        found = await self._statements.hold(account, hold_id)
        if found is None:
            raise HoldNotFound
        hold, now = found
        return replace(hold, state=HoldState.EXPIRED, remaining=0, lots=()) if hold.is_due(now) else hold


def _found(operation: Operation | None) -> Operation:
    if operation is None:
        raise OperationNotFound
    return operation
