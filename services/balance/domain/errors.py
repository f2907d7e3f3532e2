"""Why the ledger refuses: a class per reason of galen.balance.v1.ErrorReason."""

from __future__ import annotations

from shared.errors import GalenError


class BalanceError(GalenError):
    domain = "balance.galen"


class AccountNotFound(BalanceError):
    reason = "ACCOUNT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the account was never opened")


class ProgramNotFound(BalanceError):
    reason = "PROGRAM_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such programme")


class OperationNotFound(BalanceError):
    reason = "OPERATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such operation")


class InsufficientPoints(BalanceError):
    reason = "INSUFFICIENT_POINTS"

    def __init__(self, *, available: int, required: int) -> None:
        super().__init__("not enough points", metadata={"available": str(available), "required": str(required)})


class OrderAlreadyPaid(BalanceError):
    reason = "ORDER_ALREADY_PAID"

    def __init__(self, operation: str) -> None:
        super().__init__("points were withdrawn for this order already", metadata={"operation": operation})


class OrderNumberInvalid(BalanceError):
    reason = "ORDER_NUMBER_INVALID"

    def __init__(self) -> None:
        super().__init__("the order number fails the Luhn check")


class BalanceLimitExceeded(BalanceError):
    reason = "BALANCE_LIMIT_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the account would hold more points than an account may")
