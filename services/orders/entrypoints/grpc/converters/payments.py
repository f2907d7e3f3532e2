"""Between the messages of PaymentService and the domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from galen.orders.v1 import money_pb2, payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages

from services.orders.application.payments.read_payments import Inspection, PaymentFilter, Place
from services.orders.application.payments.reconcile import Compared, Difference
from services.orders.application.payments.resolve_quarantine import Ruling
from services.orders.domain.errors import DuplicateSku, PaymentNotFound, RefundNotFound
from services.orders.domain.etags import etag_of
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Method, Payment, PaymentState, Refund
from services.orders.domain.payments.quarantine import Decision
from services.orders.domain.payments.refunding import WantedRefund
from services.orders.domain.payments.starting import Wanted
from services.orders.entrypoints.grpc.converters.money import refund_summary
from services.orders.entrypoints.grpc.converters.orders import parse_order
from shared.grpc.page_tokens import page_size
from shared.grpc.timestamps import timestamp
from shared.ids import read_id

ALL_ORDERS = "customers/-/orders/-"

# While the payer can still do something with it.
_CONFIRMABLE = frozenset({PaymentState.STARTED, PaymentState.CONFIRMATION_REQUIRED, PaymentState.ACTION_REQUIRED, PaymentState.PENDING})


def parse_payment(name: str) -> tuple[str, UUID, UUID]:
    """Reads `customers/{customer}/orders/{order}/payments/{payment}`. Raises PaymentNotFound."""
    _, customer_id, _, order, _, payment = name.split("/")
    order_id, payment_id = read_id(order), read_id(payment)
    if order_id is None or payment_id is None:
        raise PaymentNotFound
    return customer_id, order_id, payment_id


def parse_refund(name: str) -> tuple[str, UUID, UUID]:
    """Reads `customers/{customer}/orders/{order}/refunds/{refund}`. Raises RefundNotFound."""
    _, customer_id, _, order, _, refund = name.split("/")
    order_id, refund_id = read_id(order), read_id(refund)
    if order_id is None or refund_id is None:
        raise RefundNotFound
    return customer_id, order_id, refund_id


def payment_filter(request: messages.ListPaymentsRequest, position: list[str] | None) -> tuple[str, PaymentFilter]:
    """Returns whose payments are wanted, and which. Raises OrderNotFound."""
    customer_id, order_id = ("", None) if request.parent == ALL_ORDERS else parse_order(request.parent)
    return customer_id, PaymentFilter(order_id, request.quarantined_only, read_position(position), page_size(request.page_size))


def wanted_of(request: messages.StartPaymentRequest) -> Wanted:
    return Wanted(Method(request.method), request.points_minor, request.card)


def wanted_refund(request: messages.CreateRefundRequest) -> WantedRefund:
    """Raises DuplicateSku, PaymentNotFound."""
    quantities: dict[str, int] = {}
    for line in request.lines:
        if line.sku in quantities:
            raise DuplicateSku(line.sku)
        quantities[line.sku] = line.quantity
    return WantedRefund(quantities, request.amount_minor, request.reason, _named_payment(request))


def _named_payment(request: messages.CreateRefundRequest) -> UUID | None:
    """Raises PaymentNotFound."""
    if not request.payment:
        return None
    if not request.payment.startswith(f"{request.order}/payments/"):
        raise PaymentNotFound
    return parse_payment(request.payment)[2]


def payment_message(payment: Payment, *, to_payer: bool, to_staff: bool) -> payment_pb2.Payment:
    """Only the payer can confirm it, so only they get the secret; only staff get the provider's name of it."""

    def money(amount_minor: int) -> money_pb2.Money:
        return money_pb2.Money(currency_code=payment.currency, amount_minor=amount_minor)

    message = payment_pb2.Payment(
        name=payment.name,
        method=payment_pb2.PaymentMethod.ValueType(payment.method),
        state=payment_pb2.PaymentState.ValueType(payment.state),
        total=money(payment.total_minor),
        card_amount=money(payment.card_minor),
        points_minor=payment.points_minor,
        captured=money(payment.captured_minor),
        refunded=money(payment.refunded_minor),
        points_captured_minor=payment.points_captured_minor,
        points_returned_minor=payment.points_returned_minor,
        refund_summary=refund_summary(
            payment.refunded_minor + payment.points_returned_minor, payment.captured_minor + payment.points_captured_minor
        ),
        failure=payment.failure,
        quarantined=payment.quarantined,
        create_time=timestamp(payment.created_at),
        update_time=timestamp(payment.updated_at),
        authorize_time=None if payment.authorized_at is None else timestamp(payment.authorized_at),
        capture_time=None if payment.captured_at is None else timestamp(payment.captured_at),
        etag=etag_of(payment.version),
    )
    if to_staff:
        message.provider_reference = payment.intent
    if to_payer and payment.state in _CONFIRMABLE:
        message.client_secret = payment.client_secret
        if payment.redirect_url:
            message.next_action.redirect_url = payment.redirect_url
    return message


def ruling_of(request: messages.ResolveQuarantineRequest) -> Ruling:
    return Ruling(Decision(request.decision), request.etag, request.reason)


def inspection_message(found: Inspection, payment: payment_pb2.Payment) -> messages.InspectPaymentResponse:
    possible = [payment_pb2.QuarantineDecision.ValueType(decision) for decision in found.possible]
    return messages.InspectPaymentResponse(
        payment=payment, facts=map(_fact_message, found.facts), mismatch=found.mismatch, possible_decisions=possible
    )


def _fact_message(fact: Fact) -> payment_pb2.ProviderFact:
    # Where the payer has to go is the payer's alone. It is not kept among the facts; an older version did.
    detail = "" if fact.kind is FactKind.ACTION_REQUIRED else fact.detail
    kind = payment_pb2.ProviderFactKind.Value(f"PROVIDER_FACT_KIND_{fact.kind.name}")
    message = payment_pb2.ProviderFact(kind=kind, reference=fact.reference, time=timestamp(fact.at), detail=detail)
    if fact.currency:
        message.amount.CopyFrom(money_pb2.Money(currency_code=fact.currency, amount_minor=fact.amount_minor))
    return message


def refund_message(refund: Refund) -> payment_pb2.Refund:
    def money(amount_minor: int) -> money_pb2.Money:
        return money_pb2.Money(currency_code=refund.currency, amount_minor=amount_minor)

    order = f"customers/{refund.customer_id}/orders/{refund.order_id}"
    lines = [payment_pb2.RefundedLine(sku=line.sku, quantity=line.quantity, amount=money(line.amount_minor)) for line in refund.lines]
    return payment_pb2.Refund(
        name=refund.name,
        payment=f"{order}/payments/{refund.payment_id}",
        state=payment_pb2.RefundState.ValueType(refund.state),
        amount=money(refund.amount_minor),
        card_amount=money(refund.card_minor),
        points_minor=refund.points_minor,
        points_taken_back_minor=refund.points_taken_back_minor,
        lines=lines,
        reason=refund.reason,
        failure=refund.failure,
        create_time=timestamp(refund.created_at),
        finish_time=None if refund.finished_at is None else timestamp(refund.finished_at),
    )


def difference_message(found: Difference | Compared) -> messages.ReconcilePaymentsResponse:
    if isinstance(found, Compared):
        return messages.ReconcilePaymentsResponse(payments_compared=found.payments)
    rule = messages.PaymentRule.ValueType(found.rule)
    difference = messages.PaymentDifference(payment=found.payment, rule=rule, expected=found.expected, actual=found.actual)
    return messages.ReconcilePaymentsResponse(difference=difference)


def position_of(place: Place) -> list[str]:
    """Returns a place in a list as a page token holds it."""
    return [place[0].isoformat(), str(place[1])]


def read_position(position: list[str] | None) -> Place | None:
    return (datetime.fromisoformat(position[0]), UUID(position[1])) if position else None
