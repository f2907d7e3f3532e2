"""Why the accrual service refuses: a class per reason of galen.accrual.v1.ErrorReason."""

from __future__ import annotations

from shared.errors import GalenError

# A claim is usually settled within seconds; whoever has too many open may ask again after that.
PENDING_RETRY_S = 30.0


class AccrualError(GalenError):
    domain = "accrual.galen"


class ClaimNotFound(AccrualError):
    reason = "CLAIM_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the customer has no such claim")


class ClaimedByAnother(AccrualError):
    reason = "CLAIMED_BY_ANOTHER"

    def __init__(self) -> None:
        super().__init__("another customer has claimed this order number")


class OrderNumberInvalid(AccrualError):
    reason = "ORDER_NUMBER_INVALID"

    def __init__(self) -> None:
        super().__init__("the order number fails the Luhn check")


class TooManyPendingClaims(AccrualError):
    reason = "TOO_MANY_PENDING_CLAIMS"

    def __init__(self, limit: int) -> None:
        super().__init__("the customer has too many unfinished claims", metadata={"limit": str(limit)}, retry_after_s=PENDING_RETRY_S)


class PurchaseRefused(AccrualError):
    reason = "PURCHASE_REFUSED"

    def __init__(self, status: int) -> None:
        super().__init__("the outside accrual system refused the purchase", metadata={"status": str(status)})
