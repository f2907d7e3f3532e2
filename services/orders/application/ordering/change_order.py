"""Changes an order: load and lock it, decide, store it with its event and all that changes with it, in one transaction.

An order that would end unpaid ends only with the consent of the payment provider, which is asked outside of any transaction. The answer
holds for the order as it was: if it has changed meanwhile, all begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.orders.application.observer import Observer
from services.orders.application.ordering.move_stock import move_stock
from services.orders.application.ordering.ports import OrderTransaction, OrderTransactions, PaymentArbiter, Verdict
from services.orders.domain.errors import EtagMismatch, OrderNotFound, PrescriptionNotFound
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.changes import Command, Outcome, Terms, decide, request_cancellation
from services.orders.domain.ordering.model import Action, Order, PaymentState, Pending
from services.orders.domain.prescriptions.prescription import check_valid
from shared.clock import Clock
from shared.requests import RequestKey

ROUNDS_MAX = 5


@dataclass(frozen=True, slots=True)
class _Task:
    """What to do with which order. People's requests name its customer and have a key."""

    order_id: UUID
    command: Command
    customer_id: str | None = None
    key: RequestKey | None = None
    is_done: Callable[[Order], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class _Word:
    """What the provider said, and of which version of the order."""

    version: int
    verdict: Verdict


class ChangeOrder:
    def __init__(self, transactions: OrderTransactions, arbiter: PaymentArbiter, terms: Terms, clock: Clock, observer: Observer) -> None:
        self._transactions = transactions
        self._arbiter = arbiter
        self._terms = terms
        self._clock = clock
        self._observer = observer

    async def request(self, customer_id: str, order_id: UUID, command: Command, key: RequestKey) -> Order:
        """Does what a caller asks for; returns the order after it, which may have to wait for the provider.

        Raises OrderNotFound, EtagMismatch, OrderStateRefused, OperationPending, RequestIdReused, and what the command is refused for.
        """
        return await self._run(_Task(order_id, command, customer_id, key))

    async def step(self, order_id: UUID, command: Command, *, is_done: Callable[[Order], bool] = lambda _: False) -> Order:
        """Does what follows from a payment or from time; nothing if the order `is_done` already. Raises the same."""
        return await self._run(_Task(order_id, command, is_done=is_done))

    async def settle(self, order_id: UUID, payment_id: UUID | None = None) -> Order:
        """The money is taken: sells the stock, and the order is PAID. Again: nothing happens.

        Raises OrderNotFound, OrderStateRefused (it ended before, waits for a review, or the payment that is named was given up),
        InsufficientStock (lots were lost meanwhile).
        """
        return await self.step(order_id, commands.settle(payment_id), is_done=lambda order: order.payment_state is PaymentState.PAID)

    async def _run(self, task: _Task) -> Order:
        word: _Word | None = None
        for _ in range(ROUNDS_MAX):
            async with self._transactions.begin() as transaction:
                answer = None if task.key is None else await transaction.answered(task.key)
                if answer is not None:
                    return answer
                order = await _locked(transaction, task)
                if task.is_done(order):
                    return order
                outcome = decide(order, task.command, await self._now(transaction, task), self._terms)
                if not outcome.asks_provider or (word is not None and word.version == order.version):
                    return await self._finish(transaction, task, order, _agreed(order, task.command, outcome, word))
            word = await self._ask(order)
        raise EtagMismatch

    async def _now(self, transaction: OrderTransaction, task: _Task) -> datetime:
        """Steps go by the time of the database, which all replicas have in common."""
        return await transaction.now() if task.key is None else self._clock.now()

    async def _ask(self, order: Order) -> _Word:
        verdict = await self._arbiter.cancel(order)
        if verdict is Verdict.PAID:
            await self.settle(order.id)
        return _Word(order.version, verdict)

    async def _finish(self, transaction: OrderTransaction, task: _Task, before: Order, outcome: Outcome | None) -> Order:
        after = before
        if outcome is not None:
            await _check_prescriptions(transaction, before, task.command)
            if outcome.gives_back_prescriptions:
                await transaction.give_back_prescriptions(before.id)
            after = await move_stock(transaction.stock, outcome, task.command)
            await transaction.store(before, replace(outcome, order=after))
        if task.key is not None:
            await transaction.remember(task.key, after)
        await transaction.commit()
        if outcome is not None:
            self._observer.order_changed(before, after)
        return after


async def _locked(transaction: OrderTransaction, task: _Task) -> Order:
    order = await transaction.lock(task.order_id)
    if order is None or task.customer_id not in (None, order.customer_id):
        raise OrderNotFound
    return order


def _agreed(order: Order, command: Command, outcome: Outcome, word: _Word | None) -> Outcome | None:
    """Returns what comes of it with what the provider has said; None if the order only goes on waiting."""
    if not outcome.asks_provider or word is None or word.verdict is Verdict.CANCELLED:
        return outcome
    return None if order.pending is Pending.CANCELLING else request_cancellation(order, command, outcome.event.created_at)


async def _check_prescriptions(transaction: OrderTransaction, order: Order, command: Command) -> None:
    """What is approved must still be valid. Raises PrescriptionExpired."""
    ids = {line.prescription_id for line in order.lines if line.prescription_id is not None}
    if command.trigger is not Action.APPROVE or not ids:
        return
    prescriptions = await transaction.lock_prescriptions(order.customer_id, ids)
    today = (await transaction.now()).date()
    for prescription_id in sorted(ids):
        if prescription_id not in prescriptions:
            raise PrescriptionNotFound
        check_valid(prescriptions[prescription_id], today)
