"""The balance service, where the points of payments are held, taken and given back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.orders.application.payments.ports import OutcomeUnknown, PointsRefused
from services.orders.domain.payments.model import Payment, Refund
from shared.errors import DeadlineExceeded
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import PeerError, peer_error

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

CALL_LIMIT_S = 5.0
# The answer is final for this attempt: the ledger remembers refusals under the request's id.
FINAL = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT})
RESOLVED = "HOLD_RESOLVED"


class BalancePoints:
    """A `PointsLedger` over gRPC, with this service's own identity."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._balance: BalanceServiceAsyncStub | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BalancePoints]:
        """Keeps a channel for the length of the block: a channel belongs to the loop that it is made in."""
        services = messages.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._balance = BalanceServiceStub(channel)
            yield self

    async def hold(self, payment: Payment) -> str:
        request = messages.ReservePointsRequest(
            account=payment.account,
            amount=payment.points_minor,
            reference=payment.order_number,
            request_id=str(payment.request_id("hold")),
        )
        response: messages.ReservePointsResponse = await self._answer(self._stub.ReservePoints(request, timeout=_limit_s()))
        return response.hold

    async def capture(self, payment: Payment) -> str:
        request = messages.CapturePointsRequest(hold=payment.hold, request_id=str(payment.request_id("capture")))
        response: messages.CapturePointsResponse = await self._answer(self._stub.CapturePoints(request, timeout=_limit_s()))
        return response.operation.name

    async def release(self, payment: Payment) -> None:
        request = messages.ReleasePointsRequest(hold=payment.hold, request_id=str(payment.request_id("release")))
        try:
            await self._answer(self._stub.ReleasePoints(request, timeout=_limit_s()))
        except PointsRefused as refused:
            if refused.reason != RESOLVED:
                raise

    async def standing(self, payment: Payment) -> tuple[int, int]:
        request = messages.GetHoldRequest(name=payment.hold)
        response: messages.GetHoldResponse = await self._answer(self._stub.GetHold(request, timeout=_limit_s()))
        return response.hold.remaining, response.hold.captured

    async def give_back(self, refund: Refund, payment: Payment) -> None:
        request = messages.ReverseOperationRequest(
            operation=payment.points_operation,
            amount=refund.points_minor,
            shortfall_policy=messages.SHORTFALL_POLICY_REJECT,
            request_id=str(refund.request_id("give_back")),
        )
        await self._answer(self._stub.ReverseOperation(request, timeout=_limit_s()))

    async def take_back(self, refund: Refund, credit_operation: str, points_minor: int) -> None:
        request = messages.ReverseOperationRequest(
            operation=credit_operation,
            amount=points_minor,
            shortfall_policy=messages.SHORTFALL_POLICY_ALLOW_NEGATIVE,
            request_id=str(refund.request_id("take_back")),
        )
        await self._answer(self._stub.ReverseOperation(request, timeout=_limit_s()))

    @property
    def _stub(self) -> BalanceServiceAsyncStub:
        assert self._balance is not None, "used outside of opened()"
        return self._balance

    async def _answer(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise _judged(peer_error(error)) from error


def _limit_s() -> float:
    try:
        return remaining_s(CALL_LIMIT_S)
    except DeadlineExceeded:
        raise OutcomeUnknown("no time is left for asking") from None


def _judged(error: PeerError) -> Exception:
    return PointsRefused(error.reason) if error.code in FINAL else OutcomeUnknown(error.reason, error.retry_after_s)
