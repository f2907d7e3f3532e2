"""Why the ledger refuses: a class per reason of galen.balance.v1.ErrorReason."""

from __future__ import annotations

from typing import ClassVar

from shared.errors import GalenError


class BalanceError(GalenError):
    domain = "balance.galen"


class PlainBalanceError(BalanceError):
    """A reason that says everything."""

    text: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.text)


class TooLittle(BalanceError):
    """A reason that tells what there was and what was asked for, in hundredths of a point."""

    text: ClassVar[str]

    def __init__(self, *, available: int, required: int) -> None:
        super().__init__(self.text, metadata={"available": str(available), "required": str(required)})


class AccountNotFound(PlainBalanceError):
    reason = "ACCOUNT_NOT_FOUND"
    text = "the account was never opened"


class ProgramNotFound(PlainBalanceError):
    reason = "PROGRAM_NOT_FOUND"
    text = "there is no such programme"


class OperationNotFound(PlainBalanceError):
    reason = "OPERATION_NOT_FOUND"
    text = "there is no such operation"


class HoldNotFound(PlainBalanceError):
    reason = "HOLD_NOT_FOUND"
    text = "there is no such hold"


class HoldExpired(PlainBalanceError):
    reason = "HOLD_EXPIRED"
    text = "the hold ran out"


class HoldResolved(PlainBalanceError):
    reason = "HOLD_RESOLVED"
    text = "the hold was captured or released before"


class NotReversible(PlainBalanceError):
    reason = "NOT_REVERSIBLE"
    text = "only credits, withdrawals and captures that were applied can be reversed"


class AccountNotEmpty(PlainBalanceError):
    reason = "ACCOUNT_NOT_EMPTY"
    text = "the account has operations already"


class LotTimesInvalid(PlainBalanceError):
    reason = "LOT_TIMES_INVALID"
    text = "the points would expire before they could be spent"


class BatchAborted(PlainBalanceError):
    reason = "BATCH_ABORTED"
    text = "another command of the batch was refused"


class OrderNumberInvalid(PlainBalanceError):
    reason = "ORDER_NUMBER_INVALID"
    text = "the order number fails the Luhn check"


class BalanceLimitExceeded(PlainBalanceError):
    reason = "BALANCE_LIMIT_EXCEEDED"
    text = "the account would hold more points than an account may"


class InsufficientPoints(TooLittle):
    reason = "INSUFFICIENT_POINTS"
    text = "not enough points"


class CaptureExceedsHold(TooLittle):
    reason = "CAPTURE_EXCEEDS_HOLD"
    text = "the hold has less left"


class ReversalExceedsOriginal(TooLittle):
    reason = "REVERSAL_EXCEEDS_ORIGINAL"
    text = "less of the operation is left to reverse"


class PointsAlreadySpent(TooLittle):
    reason = "POINTS_ALREADY_SPENT"
    text = "some of the points are spent"


class OrderAlreadyPaid(BalanceError):
    reason = "ORDER_ALREADY_PAID"

    def __init__(self, operation: str) -> None:
        super().__init__("points were withdrawn for this order already", metadata={"operation": operation})


class VersionMismatch(PlainBalanceError):
    reason = "VERSION_MISMATCH"
    text = "it has changed since it was read"


class ProgramExists(PlainBalanceError):
    reason = "PROGRAM_EXISTS"
    text = "there is a programme of this id with another title"


class ChainNotFound(PlainBalanceError):
    reason = "CHAIN_NOT_FOUND"
    text = "there is no such chain"


class BeforeHistory(BalanceError):
    reason = "BEFORE_HISTORY"

    def __init__(self, opened: str) -> None:
        super().__init__("the account did not exist then", metadata={"opened": opened})
