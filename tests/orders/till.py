"""A pharmacy that takes money: its counter, the payment provider's simulator, the points ledger and the HTTP edge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from galen.balance.v1 import balance_service_pb2 as points
from galen.balance.v1.account_pb2 import Account
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceStub

from deploy.local.payment_sim.testing import SimulatorHandle
from services.orders.container import OrdersContainer
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.counter import Counter
from tests.orders.orders_client import Orders

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub
    from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub

VISA = "pm_card_visa"
ENDED = (payment_pb2.PAYMENT_STATE_CAPTURED, payment_pb2.PAYMENT_STATE_FAILED, payment_pb2.PAYMENT_STATE_CANCELLED)
TIMEOUT_S = 30


async def eventually(is_so: Callable[[], Awaitable[bool]], limit_s: float = 30.0) -> bool:
    """Waits until something is so; False if it never is."""
    end = asyncio.get_running_loop().time() + limit_s
    while not await is_so():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.05)
    return True


@dataclass(frozen=True)
class Till:
    """Everything that a payment needs."""

    counter: Counter
    server: ServedService
    container: OrdersContainer
    simulator: SimulatorHandle
    balance: BalanceServiceAsyncStub
    identities: Identities

    @property
    def payments(self) -> PaymentServiceAsyncStub:
        return PaymentServiceStub(self.server.channel)

    async def pay(
        self,
        who: Orders,
        order: Order,
        method: str = "CARD",
        *,
        card: str = VISA,
        points_minor: int = 0,
        timeout_s: float = 30,
        **fields: Any,
    ) -> payment_pb2.Payment:
        """Starts a payment and returns it as it is answered."""
        request = messages.StartPaymentRequest(
            order=order.name,
            method=payment_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{method}"),
            points_minor=points_minor,
            card=card,
            **({"request_id": str(uuid4())} | fields),
        )
        return (await self.payments.StartPayment(request, metadata=who.metadata, timeout=timeout_s)).payment

    async def payment(self, who: Orders, name: str) -> payment_pb2.Payment:
        return (await self.payments.GetPayment(messages.GetPaymentRequest(name=name), metadata=who.metadata, timeout=TIMEOUT_S)).payment

    async def ended(self, who: Orders, name: str) -> payment_pb2.Payment:
        """Waits until a payment has come to its end."""

        async def has_ended() -> bool:
            return (await self.payment(who, name)).state in ENDED

        assert await eventually(has_ended), await self.payment(who, name)
        return await self.payment(who, name)

    async def refunds(self, who: Orders, order: Order) -> list[payment_pb2.Refund]:
        request = messages.ListRefundsRequest(parent=order.name)
        return list((await self.payments.ListRefunds(request, metadata=who.metadata, timeout=TIMEOUT_S)).refunds)

    async def refunded(self, who: Orders, order: Order, count: int = 1) -> list[payment_pb2.Refund]:
        """Waits until that many refunds of an order are through."""

        async def all_through() -> bool:
            found = await self.refunds(who, order)
            return len(found) == count and all(refund.state == payment_pb2.REFUND_STATE_SUCCEEDED for refund in found)

        assert await eventually(all_through), await self.refunds(who, order)
        return await self.refunds(who, order)

    async def give_points(self, who: Orders, amount_minor: int) -> None:
        request = points.CreditPointsRequest(account=_account(who), amount=amount_minor, reference="test", request_id=str(uuid4()))
        await self.balance.CreditPoints(request, metadata=self.identities.service("accrual"), timeout=TIMEOUT_S)

    async def account(self, who: Orders) -> Account:
        request = points.GetAccountRequest(name=_account(who))
        return (await self.balance.GetAccount(request, metadata=self.identities.service("orders"), timeout=TIMEOUT_S)).account

    async def look(self) -> None:
        """Does what the poller does every few seconds, now."""
        await self.container.paying().looking().look()

    async def differences(self) -> list[messages.PaymentDifference]:
        """Compares the books."""
        request = messages.ReconcilePaymentsRequest()
        request.start_time.GetCurrentTime()
        request.start_time.seconds -= 3600
        answers = self.payments.ReconcilePayments(request, metadata=self.identities.service("orders"), timeout=TIMEOUT_S)
        return [answer.difference async for answer in answers if answer.HasField("difference")]


def _account(who: Orders) -> str:
    return f"programs/main/accounts/{who.id}"
