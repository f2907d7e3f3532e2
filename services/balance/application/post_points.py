"""Everything that moves points: one command each, posted to the ledger, its outcome told as an answer or an error."""

from __future__ import annotations

from services.balance.application.ports import Ledger
from services.balance.application.programs import Programs
from services.balance.domain import errors
from services.balance.domain.commands import Command, Credit, Withdraw
from services.balance.domain.decide import Group, Outcome, Recorded, Unrecorded
from services.balance.domain.model import Operation, Refusal
from services.balance.domain.names import operation_name
from shared.errors import GalenError, RequestIdReused
from shared.luhn import is_luhn_valid
from shared.rate_limit import KeyedLimiter


class PostPoints:
    """Moves points. A refusal is written down like any operation, so refusals are limited per caller."""

    def __init__(self, ledger: Ledger, programs: Programs, refusals: KeyedLimiter) -> None:
        self._ledger = ledger
        self._programs = programs
        self._refusals = refusals

    async def post(self, command: Command) -> Recorded:
        """Posts a command; returns its operation, made now or before.

        Raises ProgramNotFound, AccountNotFound, OrderNumberInvalid, LotTimesInvalid, RequestIdReused, RateLimited, and whatever error
        stands for the refusal of its kind: see domain/errors.py.
        """
        check(command)
        await self._programs.require(command.account.program)
        caller = command.actor, command.account  # a service that acts for many must not be held up by one of them
        self._refusals.check(caller)
        (outcome,) = await self._ledger.post(Group([command]))
        error = error_of(outcome)
        if error is None:
            assert isinstance(outcome, Recorded)
            return outcome
        if isinstance(outcome, Recorded) and not outcome.replayed:
            self._refusals.count(caller)
        raise error


def check(command: Command) -> None:
    """Refuses what no state could make acceptable. Raises OrderNumberInvalid, LotTimesInvalid."""
    if isinstance(command, Withdraw) and not is_luhn_valid(command.reference):
        raise errors.OrderNumberInvalid
    if isinstance(command, Credit) and command.is_never_available:
        raise errors.LotTimesInvalid


def error_of(outcome: Outcome) -> GalenError | None:
    """Returns the error of an outcome, the same each time it is asked for; None if the command was applied."""
    if isinstance(outcome, Unrecorded):
        return _UNRECORDED[outcome]()
    return None if outcome.operation.refusal is None else _refusal_error(outcome.operation, outcome.operation.refusal)


_UNRECORDED: dict[Unrecorded, type[RequestIdReused | errors.PlainBalanceError]] = {
    Unrecorded.KEY_REUSED: RequestIdReused,
    Unrecorded.NO_ACCOUNT: errors.AccountNotFound,
    Unrecorded.NO_HOLD: errors.HoldNotFound,
    Unrecorded.NO_OPERATION: errors.OperationNotFound,
    Unrecorded.VERSION_MISMATCH: errors.VersionMismatch,
    Unrecorded.LOT_TIMES: errors.LotTimesInvalid,
    Unrecorded.ABORTED: errors.BatchAborted,
}
_PLAIN: dict[Refusal, type[errors.PlainBalanceError]] = {
    Refusal.BALANCE_LIMIT_EXCEEDED: errors.BalanceLimitExceeded,
    Refusal.HOLD_EXPIRED: errors.HoldExpired,
    Refusal.HOLD_RESOLVED: errors.HoldResolved,
    Refusal.NOT_REVERSIBLE: errors.NotReversible,
    Refusal.ACCOUNT_NOT_EMPTY: errors.AccountNotEmpty,
}
_SHORT: dict[Refusal, type[errors.TooLittle]] = {
    Refusal.INSUFFICIENT_POINTS: errors.InsufficientPoints,
    Refusal.CAPTURE_EXCEEDS_HOLD: errors.CaptureExceedsHold,
    Refusal.REVERSAL_EXCEEDS_ORIGINAL: errors.ReversalExceedsOriginal,
    Refusal.POINTS_ALREADY_SPENT: errors.PointsAlreadySpent,
}


def _refusal_error(operation: Operation, refusal: Refusal) -> GalenError:
    if refusal is Refusal.ORDER_ALREADY_PAID:
        return errors.OrderAlreadyPaid(operation_name(operation.account, operation.related_version or 0))
    if refusal in _SHORT:
        return _SHORT[refusal](available=operation.available_at_refusal or 0, required=operation.requested_amount)
    return _PLAIN[refusal]()
