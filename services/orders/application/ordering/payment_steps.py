"""What payments and time do to orders. No caller can ask for any of it: no RPC declares an order paid."""

from __future__ import annotations

from uuid import UUID

from services.orders.application.observer import Observer
from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.application.ordering.ports import Orders, OrderTransactions
from services.orders.domain.errors import OperationPending, OrderNotFound, OrderStateRefused
from services.orders.domain.ordering import claims, commands
from services.orders.domain.ordering.changes import Command
from services.orders.domain.ordering.model import SYSTEM, Order, PaymentState, Pending, State


class PaymentSteps:
    """Each step can be repeated: done again, it does nothing."""

    def __init__(self, change: ChangeOrder, orders: Orders, transactions: OrderTransactions, observer: Observer) -> None:
        self._change = change
        self._orders = orders
        self._transactions = transactions
        self._observer = observer

    async def authorize(self, order_id: UUID, payment_id: UUID | None = None) -> Order:
        """The money is set aside: a pharmacist looks at the order next.

        Raises OrderNotFound, OrderStateRefused (it ended before, or the payment that is named was given up).
        """
        command = commands.authorize(payment_id)
        return await self._change.step(order_id, command, is_done=lambda order: order.payment_state is not PaymentState.UNPAID)

    async def settle(self, order_id: UUID, payment_id: UUID | None = None) -> Order:
        """The money is taken: the stock is sold, the order PAID, and the payment that is named settled.

        Raises OrderNotFound, OrderStateRefused (it ended before, waits for a review, or the payment was given up), InsufficientStock (lots
        were lost meanwhile).
        """
        return await self._change.settle(order_id, payment_id)

    async def out_of_stock(self, order_id: UUID) -> Order:
        """Ends an order whose money is taken and whose units are lost. Raises OrderNotFound, OrderStateRefused."""
        return await self._change.step(order_id, commands.out_of_stock(), is_done=lambda order: order.state is State.CANCELLED)

    async def lose_payment(self, order_id: UUID) -> Order:
        """Ends an order under review whose money is no longer set aside. Raises OrderNotFound, OrderStateRefused."""
        return await self._change.step(order_id, commands.lose_payment(), is_done=lambda order: order.state is not State.UNDER_REVIEW)

    async def expire(self, order_id: UUID) -> bool:
        """Ends an order that was not paid or reviewed in time, if the payment provider agrees; tells whether it has expired now.

        It has not if it is not due, was paid meanwhile, or the provider does not answer: then it waits, and `resume` goes on.
        """
        return await self._when_due(order_id, commands.expire(), State.EXPIRED)

    async def auto_complete(self, order_id: UUID) -> bool:
        """Finishes an order that was shipped long enough ago; tells whether it is finished now."""
        return await self._when_due(order_id, commands.auto_complete(), State.COMPLETED)

    async def resume(self, order_id: UUID) -> Order | None:
        """Asks the payment provider again about an order that is CANCELLING; returns the order then, None if it did not wait."""
        request = await self._orders.cancel_request(order_id)
        if request is None:
            return None
        command = commands.as_requested(request)
        return await self._change.step(order_id, command, is_done=lambda order: order.pending is not Pending.CANCELLING)

    async def mark_overdue(self, order_id: UUID) -> bool:
        """Raises the alert that nobody collects a READY order, once; tells whether it was raised now."""
        async with self._transactions.begin() as transaction:
            order = await transaction.lock(order_id)
            outcome = None if order is None else claims.overdue(order, SYSTEM, await transaction.now())
            if order is None or outcome is None:
                return False
            await transaction.store(order, outcome)
            await transaction.commit()
        self._observer.order_changed(order, outcome.order)
        return True

    async def _when_due(self, order_id: UUID, command: Command, target: State) -> bool:
        try:
            order = await self._change.step(order_id, command)
        except (OrderNotFound, OrderStateRefused, OperationPending):
            return False
        return order.state is target
