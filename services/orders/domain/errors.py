"""Why the orders service refuses: a class per reason of galen.orders.v1.ErrorReason. The inventory's are in inventory/errors.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.orders.domain.inventory.shortage import ShortLine, as_metadata, as_preconditions
from shared.errors import GalenError


class OrdersError(GalenError):
    domain = "orders.galen"


class MedicineNotFound(OrdersError):
    reason = "MEDICINE_NOT_FOUND"

    def __init__(self, sku: str) -> None:
        super().__init__(f"the catalogue has no {sku}", metadata={"sku": sku})


class MedicineExists(OrdersError):
    reason = "MEDICINE_EXISTS"

    def __init__(self, sku: str) -> None:
        super().__init__(f"the catalogue has {sku} already", metadata={"sku": sku})


class MedicineWithdrawn(OrdersError):
    reason = "MEDICINE_WITHDRAWN"

    def __init__(self, sku: str) -> None:
        super().__init__(f"{sku} is no longer sold", metadata={"sku": sku})


class PrescriptionNotFound(OrdersError):
    reason = "PRESCRIPTION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the customer has no such prescription")


class PrescriptionExists(OrdersError):
    reason = "PRESCRIPTION_EXISTS"

    def __init__(self) -> None:
        super().__init__("the customer has a prescription with this number")


class PrescriptionInvalid(OrdersError):
    reason = "PRESCRIPTION_INVALID"

    def __init__(self, rule: str) -> None:
        super().__init__(rule)


class PrescriptionRequired(OrdersError):
    reason = "PRESCRIPTION_REQUIRED"

    def __init__(self, sku: str) -> None:
        super().__init__(f"{sku} is sold on prescription only", metadata={"sku": sku})


class PrescriptionExpired(OrdersError):
    reason = "PRESCRIPTION_EXPIRED"

    def __init__(self, prescription: str) -> None:
        super().__init__("the prescription can no longer be used", metadata={"prescription": prescription})


class PrescriptionUsedUp(OrdersError):
    reason = "PRESCRIPTION_USED_UP"

    def __init__(self, prescription: str, uses: int) -> None:
        super().__init__(f"the prescription was used {uses} times, as often as it may be", metadata=_used(prescription, uses))


def _used(prescription: str, uses: int) -> dict[str, str]:
    return {"prescription": prescription, "uses": str(uses)}


class PrescriptionMismatch(OrdersError):
    reason = "PRESCRIPTION_MISMATCH"

    def __init__(self, prescription: str, sku: str) -> None:
        super().__init__(f"the prescription is not for {sku}", metadata={"prescription": prescription, "sku": sku})


class CustomerNotFound(OrdersError):
    reason = "CUSTOMER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such customer")


class AddressNotFound(OrdersError):
    reason = "ADDRESS_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the customer has no such address")


class LocationNotFound(OrdersError):
    reason = "LOCATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such location")


class DuplicateSku(OrdersError):
    reason = "DUPLICATE_SKU"

    def __init__(self, sku: str) -> None:
        super().__init__(f"two lines have {sku}", metadata={"sku": sku})


class MixedCurrencies(OrdersError):
    reason = "MIXED_CURRENCIES"

    def __init__(self) -> None:
        super().__init__("the lines have prices in different currencies")


class QuantityLimit(OrdersError):
    """`already` is what the customer ordered in the period; None where the limit is that of one order."""

    reason = "QUANTITY_LIMIT"

    def __init__(self, sku: str, *, limit: int, requested: int, already: int | None = None) -> None:
        numbers = {"limit": limit, "requested": requested} | ({} if already is None else {"already": already})
        known = "in one order" if already is None else f"in its period, {already} were before"
        super().__init__(
            f"{requested} of {sku} are asked for; at most {limit} may be ordered {known}",
            metadata={"sku": sku, **{name: str(number) for name, number in numbers.items()}},
        )


class InsufficientStock(OrdersError):
    reason = "INSUFFICIENT_STOCK"

    def __init__(self, lines: Sequence[ShortLine]) -> None:
        super().__init__("some lines can't be had in full", metadata=as_metadata(lines), preconditions=as_preconditions(lines))


class OrderNotFound(OrdersError):
    reason = "ORDER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the customer has no such order")


class EtagMismatch(OrdersError):
    reason = "ETAG_MISMATCH"

    def __init__(self) -> None:
        super().__init__("it has changed since it was read")


class OrderStateRefused(OrdersError):
    reason = "ORDER_STATE"

    def __init__(self, state: str, allowed: Collection[str]) -> None:
        super().__init__(f"an order that is {state} does not allow this", metadata={"state": state, "allowed": ",".join(sorted(allowed))})


class OperationPending(OrdersError):
    reason = "OPERATION_PENDING"

    def __init__(self, pending: str) -> None:
        super().__init__("the order waits for the payment provider", metadata={"pending": pending})


class ClaimedByOther(OrdersError):
    reason = "CLAIMED_BY_OTHER"

    def __init__(self) -> None:
        super().__init__("someone else is working on this order")


class NotClaimed(OrdersError):
    reason = "NOT_CLAIMED"

    def __init__(self) -> None:
        super().__init__("the caller has not claimed this order")


class OwnOrder(OrdersError):
    reason = "OWN_ORDER"

    def __init__(self) -> None:
        super().__init__("nobody decides on an order of their own")


class SecondPersonRequired(OrdersError):
    reason = "SECOND_PERSON_REQUIRED"

    def __init__(self) -> None:
        super().__init__("a controlled medicine is checked by another one than who prepared it")


class ScanIncomplete(OrdersError):
    reason = "SCAN_INCOMPLETE"

    def __init__(self, sku: str, *, expected: int, scanned: int) -> None:
        metadata = {"sku": sku, "expected": str(expected), "scanned": str(scanned)}
        super().__init__(f"{scanned} units of {sku} were scanned, {expected} were ordered", metadata=metadata)


class LotNotUsable(OrdersError):
    reason = "LOT_NOT_USABLE"

    def __init__(self, sku: str, lot_number: str) -> None:
        super().__init__(f"lot {lot_number} of {sku} can't be handed out", metadata={"sku": sku, "lot": lot_number})


class ControlledNotChecked(OrdersError):
    reason = "CONTROLLED_NOT_CHECKED"

    def __init__(self) -> None:
        super().__init__("an order with a controlled medicine is shipped only after it is ready")


class PickupCodeWrong(OrdersError):
    reason = "PICKUP_CODE_WRONG"

    def __init__(self) -> None:
        super().__init__("the pickup code is not that of the order")


class ReturnNotPossible(OrdersError):
    reason = "RETURN_NOT_POSSIBLE"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message, metadata=metadata)


class InvalidFilter(OrdersError):
    """`position` is the 0-based character at which the filter stops making sense."""

    reason = "INVALID_FILTER"

    def __init__(self, position: int, expected: str) -> None:
        super().__init__(f"at character {position}: {expected} expected", metadata={"position": str(position), "expected": expected})


class QueueEmpty(OrdersError):
    reason = "QUEUE_EMPTY"

    def __init__(self) -> None:
        super().__init__("no order waits")


class ResumeTokenTooOld(OrdersError):
    reason = "RESUME_TOKEN_TOO_OLD"

    def __init__(self) -> None:
        super().__init__("events after this token are no longer kept")


class PaymentNotFound(OrdersError):
    reason = "PAYMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the order has no such payment")


class RefundNotFound(OrdersError):
    reason = "REFUND_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the order has no such refund")


class PaymentUnderWay(OrdersError):
    reason = "PAYMENT_UNDER_WAY"

    def __init__(self, payment: str) -> None:
        super().__init__("the order has a payment that is under way or done", metadata={"payment": payment})


class PointsAmountInvalid(OrdersError):
    reason = "POINTS_AMOUNT_INVALID"

    def __init__(self, payable: int) -> None:
        super().__init__("the points do not fit the method or what the order costs", metadata={"payable": str(payable)})


class RefundNotPossible(OrdersError):
    reason = "REFUND_NOT_POSSIBLE"

    def __init__(self, refundable: int) -> None:
        super().__init__("nothing was paid, or more would be given back than was", metadata={"refundable": str(refundable)})


class PaymentNotQuarantined(OrdersError):
    reason = "PAYMENT_NOT_QUARANTINED"

    def __init__(self) -> None:
        super().__init__("the payment is not in quarantine")


class DecisionNotPossible(OrdersError):
    reason = "DECISION_NOT_POSSIBLE"

    def __init__(self, obstacle: str) -> None:
        super().__init__("what the provider says does not allow this decision", metadata={"obstacle": obstacle})


class WebhookSignatureInvalid(OrdersError):
    reason = "WEBHOOK_SIGNATURE_INVALID"

    def __init__(self, fault: str) -> None:
        super().__init__(f"the message is not the provider's: {fault}")
