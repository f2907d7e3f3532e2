"""Credits and withdrawals: one command each, posted to the ledger, its outcome told as an answer or an error."""

from __future__ import annotations

from services.balance.application.ports import Ledger
from services.balance.domain.errors import (
    AccountNotFound,
    BalanceError,
    BalanceLimitExceeded,
    InsufficientPoints,
    OrderAlreadyPaid,
    OrderNumberInvalid,
    ProgramNotFound,
)
from services.balance.domain.ledger import Command, Kind, NoAccount, Operation, Recorded, Refusal
from services.balance.domain.names import PROGRAMS, AccountName, operation_name
from shared.errors import RequestIdReused
from shared.luhn import is_luhn_valid
from shared.rate_limit import KeyedLimiter
from shared.requests import RequestKey


class PostPoints:
    """Moves points. A refusal is written down like any operation, so refusals are limited per caller."""

    def __init__(self, ledger: Ledger, refusals: KeyedLimiter) -> None:
        self._ledger = ledger
        self._refusals = refusals

    async def credit(self, account: AccountName, amount: int, reference: str, key: RequestKey) -> Recorded:
        """Credits points, and opens the account if it is missing.

        Raises ProgramNotFound, BalanceLimitExceeded, RequestIdReused.
        """
        return await self._post(_command(Kind.CREDIT, account, amount, reference, key))

    async def withdraw(self, account: AccountName, amount: int, order_number: str, key: RequestKey) -> Recorded:
        """Spends points on an order.

        Raises OrderNumberInvalid, ProgramNotFound, AccountNotFound, InsufficientPoints, OrderAlreadyPaid, RequestIdReused, RateLimited.
        """
        if not is_luhn_valid(order_number):
            raise OrderNumberInvalid
        return await self._post(_command(Kind.WITHDRAWAL, account, amount, order_number, key))

    async def _post(self, command: Command) -> Recorded:
        if command.account.program not in PROGRAMS:
            raise ProgramNotFound
        self._refusals.check(command.actor)
        (outcome,) = (await self._ledger.post([command])).outcomes
        if isinstance(outcome, NoAccount):
            raise AccountNotFound
        if not isinstance(outcome, Recorded):
            raise RequestIdReused
        if outcome.operation.refusal is not None:
            if not outcome.replayed:
                self._refusals.count(command.actor)
            raise refusal_error(outcome.operation)
        return outcome


def _command(kind: Kind, account: AccountName, amount: int, reference: str, key: RequestKey) -> Command:
    return Command(kind, account, amount, reference, key.actor, key.request_id, key.fingerprint)


def refusal_error(operation: Operation) -> BalanceError:
    """Returns the error of a refused operation, the same each time it is asked for."""
    if operation.refusal is Refusal.INSUFFICIENT_POINTS:
        return InsufficientPoints(available=operation.available_at_refusal or 0, required=operation.requested_amount)
    if operation.refusal is Refusal.ORDER_ALREADY_PAID:
        return OrderAlreadyPaid(operation_name(operation.account, operation.related_version or 0))
    return BalanceLimitExceeded()
