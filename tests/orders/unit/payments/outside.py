"""Payments without a database: records, a provider, a ledger and an order in memory, which fail as told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.orders.application.payments.observer import UnderWay
from services.orders.application.payments.ports import (
    Draft,
    Intent,
    Known,
    OutcomeUnknown,
    PointsRefused,
    ProviderEvent,
    ProviderRefund,
    RefundStanding,
)
from services.orders.domain.ordering.model import State
from services.orders.domain.payments.changes import settled, shown, with_standing
from services.orders.domain.payments.facts import Fact, FactKind, fold
from services.orders.domain.payments.model import Card, Method, Payment, PaymentState, Refund, Wish
from services.orders.domain.payments.saga import OrderStanding

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = UUID(int=2)


def a_payment(*, card_minor: int = 700, points_minor: int = 300, manual_capture: bool = False, card: str = "pm_card_visa") -> Payment:
    """As it has just started: an intent that the payer confirms is about to be asked for."""
    method = Method.MIXED if card_minor and points_minor else (Method.CARD if card_minor else Method.POINTS)
    is_asked = not card and not points_minor
    return Payment(
        id=UUID(int=1),
        order_id=ORDER,
        customer_id="ada",
        order_number="1",
        method=method,
        currency="EUR",
        card_minor=card_minor,
        points_minor=points_minor,
        manual_capture=manual_capture,
        created_at=START,
        updated_at=START,
        card=card if card_minor else "",
        card_standing=Card.ASKED if is_asked else Card.NOT_ASKED,
        state=PaymentState.PENDING if is_asked else PaymentState.STARTED,
    )


class Trouble:
    """Says of each call to the outside whether it goes through, is lost on its way there, or its answer is lost on its way back.

    And how many turns others have before it goes on, where several drive at once.
    """

    def __init__(self, faults: list[str], turns: list[int] | None = None) -> None:
        self._faults = list(faults)
        self._turns = list(turns or [])

    async def turn(self) -> None:
        for _ in range(self._turns.pop(0) if self._turns else 0):
            await asyncio.sleep(0)

    def way_there(self) -> str:
        fault = self._faults.pop(0) if self._faults else "fine"
        if fault == "lost":
            raise OutcomeUnknown("lost on its way")
        return fault

    @staticmethod
    def way_back(fault: str) -> None:
        if fault == "answer lost":
            raise OutcomeUnknown("the answer was lost")


@dataclass
class MemoryProvider:
    """Takes money once under a key. `declines` says what becomes of cards."""

    trouble: Trouble
    declines: bool = False
    asks_the_payer: bool = False
    clock: datetime = START
    status: str = ""
    captured: int = 0
    amount: int = 0
    manual: bool = False
    refunds: dict[str, int] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)

    def intent(self, payment: Payment) -> Intent:
        self.clock += timedelta(seconds=1)
        kinds = {
            "open": Fact(FactKind.OPENED, "pi", self.clock),
            "declined": Fact(FactKind.DECLINED, "pi", self.clock, detail="insufficient_funds"),
            "action": Fact(FactKind.ACTION_REQUIRED, "pi", self.clock),
            "authorized": Fact(FactKind.AUTHORIZED, "pi", self.clock, self.amount, "EUR"),
            "captured": Fact(FactKind.CAPTURED, "ch", self.clock, self.captured, "EUR"),
            "cancelled": Fact(FactKind.CANCELLED, "pi", self.clock),
        }
        return Intent("pi", str(payment.id), (kinds[self.status],), client_secret="secret")

    def pay(self) -> None:
        """The payer confirms, or does what the bank asked for."""
        if self.status in ("open", "action"):
            self.status = "authorized" if self.manual else "captured"
            self.captured = 0 if self.manual else self.amount

    async def create_intent(self, payment: Payment) -> Intent:
        def create() -> None:
            self.amount, self.manual = payment.card_minor, payment.manual_capture
            self.status = "action" if self.asks_the_payer else "open"
            if payment.wish is not Wish.PAY:
                self.status = "open"
            elif payment.card and self.declines:
                self.status = "declined"
            elif payment.card and not self.asks_the_payer:
                self.pay()

        return await self._once(payment, "create", create)

    async def capture(self, payment: Payment) -> Intent:
        def capture() -> None:
            if self.status == "authorized":
                self.status, self.captured = "captured", self.amount

        assert payment.intent
        return await self._once(payment, "capture", capture)

    async def cancel(self, payment: Payment) -> Intent:
        def cancel() -> None:
            if self.status != "captured":
                self.status = "cancelled"

        assert payment.intent
        return await self._once(payment, "cancel", cancel)

    async def get_intent(self, payment: Payment) -> Intent:
        await self.trouble.turn()
        self.trouble.way_back(self.trouble.way_there())
        return self.intent(payment)

    async def find_intent(self, payment: Payment) -> Intent | None:
        return self.intent(payment) if self.status else None

    async def refund(self, refund: Refund, payment: Payment) -> ProviderRefund:
        fault = self.trouble.way_there()
        self.refunds.setdefault(refund.key, refund.card_minor)
        self.trouble.way_back(fault)
        return ProviderRefund(refund.key, RefundStanding.SUCCEEDED)

    async def get_refund(self, refund: Refund) -> ProviderRefund:
        return ProviderRefund(refund.provider_reference, RefundStanding.SUCCEEDED)

    async def find_refund(self, refund: Refund, payment: Payment) -> ProviderRefund | None:
        return None

    async def refunded_minor(self, payment: Payment) -> int:
        return sum(self.refunds.values())

    async def list_events(self, since: datetime) -> AsyncIterator[Sequence[tuple[bytes, ProviderEvent]]]:
        yield ()

    async def _once(self, payment: Payment, step: str, do: Callable[[], None]) -> Intent:
        await self.trouble.turn()
        fault = self.trouble.way_there()
        if payment.key(step) not in self.done:
            do()
            self.done[payment.key(step)] = self.status
        intent = self.intent(payment)
        self.trouble.way_back(fault)
        await self.trouble.turn()
        return intent


@dataclass
class MemoryLedger:
    """Points of one customer."""

    trouble: Trouble
    available: int = 1000
    held: int = 0
    taken: int = 0
    done: Counter[str] = field(default_factory=Counter)

    async def hold(self, payment: Payment) -> str:
        await self.trouble.turn()
        fault = self.trouble.way_there()
        if not self.done["hold"]:
            if payment.points_minor > self.available:
                raise PointsRefused("INSUFFICIENT_POINTS")
            self.available, self.held = self.available - payment.points_minor, payment.points_minor
        self.done["hold"] += 1
        self.trouble.way_back(fault)
        await self.trouble.turn()
        return "hold"

    async def capture(self, payment: Payment) -> str:
        await self.trouble.turn()
        fault = self.trouble.way_there()
        if not self.done["capture"]:
            if not self.held:
                raise PointsRefused("HOLD_RESOLVED")
            self.held, self.taken = 0, self.held
        self.done["capture"] += 1
        self.trouble.way_back(fault)
        return "operation"

    async def release(self, payment: Payment) -> None:
        await self.trouble.turn()
        fault = self.trouble.way_there()
        self.available, self.held = self.available + self.held, 0
        self.trouble.way_back(fault)

    async def standing(self, payment: Payment) -> tuple[int, int]:
        return self.held, self.taken

    async def give_back(self, refund: Refund, payment: Payment) -> None:
        self.trouble.way_back(self.trouble.way_there())

    async def take_back(self, refund: Refund, credit_operation: str, points_minor: int) -> None:
        self.trouble.way_back(self.trouble.way_there())


@dataclass
class MemoryOrder:
    """The order that is paid. What it answers may get lost as by a crash."""

    trouble: Trouble = field(default_factory=lambda: Trouble([]))
    needs_review: bool = False
    in_stock: bool = True
    state: State = State.PENDING_PAYMENT
    approved: bool = False
    was_paid: bool = False
    records: MemoryRecords | None = None

    @property
    def standing(self) -> OrderStanding:
        return OrderStanding(3, self.state, self.approved or not self.needs_review, self.was_paid)

    @property
    def may_be_paid(self) -> bool:
        assert self.records is not None
        return self.records.payment.may_pay

    async def authorize(self, payment: Payment) -> None:
        await self.trouble.turn()
        if self.state is State.PENDING_PAYMENT and self.may_be_paid:
            self.state = State.UNDER_REVIEW

    async def settle(self, payment: Payment) -> bool:
        await self.trouble.turn()
        if self.was_paid:
            return True
        if self.state not in (State.PENDING_PAYMENT, State.UNDER_REVIEW) or not self.may_be_paid:
            return False
        if not self.in_stock:
            self.state = State.CANCELLED
            return False
        fault = self.trouble.way_there()
        self.state, self.was_paid = State.PAID, True
        assert self.records is not None
        self.records.payment = shown(settled(self.records.payment), START)
        self.trouble.way_back(fault)
        await self.trouble.turn()
        return True

    async def lose_payment(self, payment: Payment) -> None:
        await self.trouble.turn()
        if self.state is State.UNDER_REVIEW:
            self.state = State.CANCELLED


class MemoryRecords:
    """The one payment, as it is stored."""

    def __init__(self, payment: Payment, order: MemoryOrder) -> None:
        self.payment = payment
        self.order = order
        self.order.records = self
        self.facts: set[Fact] = set()
        self.refunded: list[str] = []

    async def read(self, payment_id: UUID) -> Known:
        found = Known(self.payment, self.order.standing, tuple(self.facts))
        await self.order.trouble.turn()
        return found

    async def record(self, payment_id: UUID, draft: Draft, last: Known | None = None) -> Known:
        await self.order.trouble.turn()
        now = Known(self.payment, self.order.standing, tuple(self.facts))
        if last is not None and (last.payment.version, set(last.facts)) == (self.payment.version, self.facts):
            now = last
        self.facts |= set(draft.facts)
        folded = with_standing(now.payment, fold(now.payment, {*now.facts, *draft.facts}))
        self.payment = shown(draft.changed(folded, self.order.standing), START)
        return Known(self.payment, self.order.standing, tuple(self.facts))

    async def find_by_intent(self, intent: str, payment_id: str) -> UUID | None:
        return self.payment.id

    async def live_of(self, order_id: UUID) -> Payment | None:
        return self.payment if self.payment.is_live else None

    async def due_for_a_look(self, limit: int) -> list[UUID]:
        return [self.payment.id]

    async def under_way(self) -> UnderWay:
        return UnderWay(0, 0, timedelta(), timedelta())

    async def refund_all(self, payment_id: UUID, order_id: UUID, reason: str) -> bool:
        await self.order.trouble.turn()
        if self.refunded or self.payment.state is PaymentState.CAPTURED:
            return False
        self.refunded.append(reason)
        if self.payment.is_live:
            self.payment = replace(self.payment, state=PaymentState.CAPTURED)
        return True
