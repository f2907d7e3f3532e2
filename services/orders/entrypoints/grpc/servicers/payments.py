"""PaymentService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC

from galen.orders.v1 import payment_pb2, payment_service_pb2_grpc
from galen.orders.v1 import payment_service_pb2 as messages

from services.orders.application.payments.make_refunds import MakeRefunds
from services.orders.application.payments.ports import OutcomeUnknown
from services.orders.application.payments.read_payments import ReadPayments
from services.orders.application.payments.reconcile import Reconcile
from services.orders.application.payments.resolve_quarantine import ResolveQuarantine
from services.orders.application.payments.start_payment import StartPayment
from services.orders.application.payments.take_messages import TakeMessages
from services.orders.domain.payments.model import Payment
from services.orders.entrypoints.grpc.callers import is_staff
from services.orders.entrypoints.grpc.converters.orders import caller_of, parse_order
from services.orders.entrypoints.grpc.converters.payments import (
    difference_message,
    inspection_message,
    parse_payment,
    parse_refund,
    payment_filter,
    payment_message,
    position_of,
    read_position,
    refund_message,
    ruling_of,
    wanted_of,
    wanted_refund,
)
from shared.errors import Unavailable
from shared.grpc.call import current_principal, request_key
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Serves PaymentService."""

    def __init__(
        self,
        payments: ReadPayments,
        starting: StartPayment,
        refunds: MakeRefunds,
        quarantine: ResolveQuarantine,
        provider_messages: TakeMessages,
        books: Reconcile,
        page_tokens: PageTokens,
    ) -> None:
        self._payments = payments
        self._starting = starting
        self._refunds = refunds
        self._quarantine = quarantine
        self._provider_messages = provider_messages
        self._books = books
        self._page_tokens = page_tokens

    async def StartPayment(self, request: messages.StartPaymentRequest, context: Context) -> messages.StartPaymentResponse:
        customer_id, order_id = parse_order(request.order)
        caller = caller_of(current_principal.get())
        payment = await self._starting.start(customer_id, order_id, wanted_of(request), caller, request_key(request))
        return messages.StartPaymentResponse(payment=_shown(payment))

    async def GetPayment(self, request: messages.GetPaymentRequest, context: Context) -> messages.GetPaymentResponse:
        payment = await self._payments.payment(*parse_payment(request.name))
        return messages.GetPaymentResponse(payment=_shown(payment))

    async def ListPayments(self, request: messages.ListPaymentsRequest, context: Context) -> messages.ListPaymentsResponse:
        page, following = await self._payments.payments(*payment_filter(request, self._page_tokens.open(request)))
        token = "" if following is None else self._page_tokens.seal(request, position_of(following))
        return messages.ListPaymentsResponse(payments=map(_shown, page), next_page_token=token)

    async def CreateRefund(self, request: messages.CreateRefundRequest, context: Context) -> messages.CreateRefundResponse:
        customer_id, order_id = parse_order(request.order)
        wanted, caller = wanted_refund(request), caller_of(current_principal.get())
        refund_id = await self._refunds.create(customer_id, order_id, wanted, caller, request_key(request))
        return messages.CreateRefundResponse(refund=refund_message(await self._payments.refund(customer_id, order_id, refund_id)))

    async def GetRefund(self, request: messages.GetRefundRequest, context: Context) -> messages.GetRefundResponse:
        return messages.GetRefundResponse(refund=refund_message(await self._payments.refund(*parse_refund(request.name))))

    async def ListRefunds(self, request: messages.ListRefundsRequest, context: Context) -> messages.ListRefundsResponse:
        before, limit = read_position(self._page_tokens.open(request)), page_size(request.page_size)
        page, following = await self._payments.refunds(*parse_order(request.parent), before=before, limit=limit)
        token = "" if following is None else self._page_tokens.seal(request, position_of(following))
        return messages.ListRefundsResponse(refunds=map(refund_message, page), next_page_token=token)

    async def InspectPayment(self, request: messages.InspectPaymentRequest, context: Context) -> messages.InspectPaymentResponse:
        found = await self._payments.inspected(*parse_payment(request.name))
        return inspection_message(found, _shown(found.payment))

    async def ResolveQuarantine(self, request: messages.ResolveQuarantineRequest, context: Context) -> messages.ResolveQuarantineResponse:
        name, caller = parse_payment(request.name), caller_of(current_principal.get())
        await self._quarantine.resolve(*name, ruling_of(request), caller, request_key(request))
        return messages.ResolveQuarantineResponse(payment=_shown(await self._payments.payment(*name)))

    async def DeliverWebhook(self, request: messages.DeliverWebhookRequest, context: Context) -> messages.DeliverWebhookResponse:
        await self._provider_messages.deliver(request.body, request.signature)
        return messages.DeliverWebhookResponse()

    async def ReconcilePayments(
        self, request: messages.ReconcilePaymentsRequest, context: Context
    ) -> AsyncGenerator[messages.ReconcilePaymentsResponse, None]:
        try:
            async for found in self._books.compare(request.start_time.ToDatetime(tzinfo=UTC)):
                yield difference_message(found)
        except OutcomeUnknown as error:
            raise Unavailable(f"provider or ledger: {error}", retry_after_s=error.retry_after_s or 1.0) from error


def _shown(payment: Payment) -> payment_pb2.Payment:
    owner = f"customers/{payment.customer_id}"
    return payment_message(payment, to_payer=caller_of(current_principal.get()).name == owner, to_staff=is_staff())
