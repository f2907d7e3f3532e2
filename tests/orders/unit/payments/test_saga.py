"""The saga of a payment against an outside that loses requests and answers, payers who act when they like, and orders that end meanwhile.

Method: Hypothesis chooses the payment, the troubles and what happens in between; then everything is repeated without trouble until nothing
moves. However it went, money, points and order must agree.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.orders.adapters.payment_metrics import PaymentMetrics
from services.orders.application.ordering.ports import Verdict
from services.orders.application.payments.arbiter import LivePayments
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.ports import Draft, Intent, OutcomeUnknown
from services.orders.domain.ordering.model import Order, State
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Payment, PaymentState, Points, Wish
from shared.faults import Faults
from tests.orders.unit.ordering.orders import an_order
from tests.orders.unit.payments.outside import MemoryLedger, MemoryOrder, MemoryProvider, MemoryRecords, Trouble, a_payment


@dataclass
class World:
    """Everything around one payment."""

    records: MemoryRecords
    provider: MemoryProvider
    ledger: MemoryLedger
    order: MemoryOrder
    driver: DrivePayment

    @property
    def payment(self) -> Payment:
        return self.records.payment

    async def drive(self) -> Payment | None:
        try:
            return await self.driver.drive(self.payment.id)
        except OutcomeUnknown:
            return None

    async def look(self) -> None:
        try:
            await self.driver.look(self.payment.id)
        except OutcomeUnknown:
            return

    async def cancel_order(self, order: Order | None = None) -> Verdict:
        """What ordering does before an order ends unpaid: the arbiter's word decides."""
        verdict = await LivePayments(
            self.records, lambda: self.driver, patience_s=lambda: 60.0, observer=PaymentMetrics(CollectorRegistry())
        ).cancel(order or an_order())
        if verdict is Verdict.CANCELLED and self.order.standing.is_open:
            self.order.state = State.CANCELLED
        return verdict

    async def approve(self) -> None:
        self.order.approved = self.order.approved or self.order.state is State.UNDER_REVIEW

    async def pay(self) -> None:
        self.provider.pay()


def make_world(
    payment: Payment,
    faults: list[str],
    order: MemoryOrder,
    *,
    declines: bool = False,
    asks: bool = False,
    points: int = 1000,
    turns: list[int] | None = None,
) -> World:
    trouble = Trouble(faults, turns)
    order.trouble = trouble
    records = MemoryRecords(payment, order)
    provider = MemoryProvider(trouble, declines=declines, asks_the_payer=asks)
    ledger = MemoryLedger(trouble, available=points)
    driver = DrivePayment(records, provider, ledger, order, records, Faults())
    return World(records, provider, ledger, order, driver)


async def test_a_card_pays_an_order_at_once() -> None:
    world = make_world(a_payment(points_minor=0), [], MemoryOrder())

    assert (await world.driver.drive(world.payment.id)).state is PaymentState.CAPTURED
    assert (world.order.state, world.provider.captured) == (State.PAID, 700)


async def test_points_and_card_pay_together() -> None:
    world = make_world(a_payment(), [], MemoryOrder())

    payment = await world.driver.drive(world.payment.id)

    assert (payment.state, payment.points_standing) == (PaymentState.CAPTURED, Points.CAPTURED)
    assert (world.provider.captured, world.ledger.taken, world.ledger.held) == (700, 300, 0)


async def test_a_declined_card_ends_the_payment_and_frees_the_points() -> None:
    world = make_world(a_payment(), [], MemoryOrder(), declines=True)

    payment = await world.driver.drive(world.payment.id)

    assert (payment.state, payment.failure) == (PaymentState.FAILED, "insufficient_funds")
    assert (world.provider.status, world.ledger.available, world.order.state) == ("cancelled", 1000, State.PENDING_PAYMENT)


async def test_without_enough_points_the_card_is_never_asked() -> None:
    world = make_world(a_payment(), [], MemoryOrder(), points=299)

    payment = await world.driver.drive(world.payment.id)

    assert (payment.state, payment.failure) == (PaymentState.FAILED, "INSUFFICIENT_POINTS")
    assert (world.provider.status, world.ledger.available) == ("", 299)


async def test_an_order_with_a_prescription_is_only_authorised_until_it_is_approved() -> None:
    world = make_world(a_payment(manual_capture=True), [], MemoryOrder(needs_review=True))

    assert (await world.driver.drive(world.payment.id)).state is PaymentState.AUTHORIZED
    assert (world.order.state, world.provider.captured) == (State.UNDER_REVIEW, 0)
    await world.approve()
    assert (await world.driver.drive(world.payment.id)).state is PaymentState.CAPTURED
    assert (world.order.state, world.provider.captured) == (State.PAID, 700)


async def test_an_order_under_review_whose_authorisation_lapses_ends() -> None:
    """Nobody can pay it any more, and its stock would be held until it is due."""
    world = make_world(a_payment(manual_capture=True), [], MemoryOrder(needs_review=True))
    await world.driver.drive(world.payment.id)
    await world.approve()

    world.provider.status = "cancelled"
    await world.look()

    assert (world.payment.state, world.payment.failure) == (PaymentState.FAILED, "cancelled_by_provider")
    assert (world.order.state, world.ledger.available) == (State.CANCELLED, 1000)


async def test_money_for_units_that_are_lost_goes_back() -> None:
    world = make_world(a_payment(), [], MemoryOrder(in_stock=False))

    payment = await world.driver.drive(world.payment.id)

    assert (payment.state, world.order.state) == (PaymentState.CAPTURED, State.CANCELLED)
    assert (world.records.refunded, world.ledger.available) == (["order_ended"], 1000)


async def test_who_confirms_after_a_lost_answer_is_not_charged_twice() -> None:
    world = make_world(a_payment(points_minor=0), ["answer lost"], MemoryOrder())

    assert await world.drive() is None
    await world.drive()

    assert (world.payment.state, world.provider.captured, len(world.provider.done)) == (PaymentState.CAPTURED, 700, 1)


async def test_a_payment_that_failed_is_not_one_that_was_given_up() -> None:
    world = make_world(a_payment(), ["fine", "fine", "lost"], MemoryOrder(), declines=True)

    await world.drive()
    await world.cancel_order()

    assert (world.payment.state, world.payment.failure) == (PaymentState.FAILED, "insufficient_funds")


async def test_an_order_is_not_paid_by_points_that_were_given_up_meanwhile() -> None:
    world = make_world(a_payment(card_minor=0), [], MemoryOrder())
    settle = world.order.settle

    async def late(payment: Payment) -> bool:
        """The order is paid while the arbiter has just given the payment up."""
        world.order.settle = settle  # type: ignore[method-assign]
        assert (
            await LivePayments(
                world.records, lambda: world.driver, patience_s=lambda: 60.0, observer=PaymentMetrics(CollectorRegistry())
            ).cancel(an_order())
            is Verdict.CANCELLED
        )
        return await settle(payment)

    world.order.settle = late  # type: ignore[method-assign]
    await world.driver.drive(world.payment.id)

    assert (world.order.state, world.payment.state) == (State.PENDING_PAYMENT, PaymentState.CANCELLED)
    assert (world.ledger.available, world.ledger.held) == (1000, 0)


async def test_a_card_is_not_charged_once_its_payment_is_given_up() -> None:
    """Whether the provider has heard of it is not known then, so it is asked again: for an intent, without the card."""
    world = make_world(a_payment(points_minor=0), ["lost"], MemoryOrder())
    await world.drive()

    assert await world.cancel_order() is Verdict.CANCELLED
    assert (world.provider.status, world.provider.captured, world.payment.state) == ("cancelled", 0, PaymentState.CANCELLED)


async def test_money_that_somebody_took_before_the_review_waits_for_it() -> None:
    world = make_world(a_payment(manual_capture=True), [], MemoryOrder(needs_review=True))
    await world.driver.drive(world.payment.id)
    world.provider.status, world.provider.captured = "captured", 700

    await world.driver.look(world.payment.id)
    assert (world.payment.state, world.order.state) == (PaymentState.PENDING, State.UNDER_REVIEW)

    await world.approve()
    await world.driver.drive(world.payment.id)
    assert (world.payment.state, world.order.state) == (PaymentState.CAPTURED, State.PAID)


async def test_an_order_that_is_refused_costs_nothing_though_somebody_took_the_money_before_the_review() -> None:
    """Red while the arbiter took it for paid: then it could be neither rejected nor did it ever expire."""
    world = make_world(a_payment(manual_capture=True), [], MemoryOrder(needs_review=True))
    await world.driver.drive(world.payment.id)
    world.provider.status, world.provider.captured = "captured", 700
    await world.driver.look(world.payment.id)

    assert await world.cancel_order(an_order(state=State.UNDER_REVIEW)) is Verdict.CANCELLED
    await world.drive()

    assert (world.order.state, world.payment.state) == (State.CANCELLED, PaymentState.CAPTURED)
    assert (world.records.refunded, world.ledger.available) == (["order_ended"], 1000)


async def test_what_does_not_fit_after_the_order_was_paid_keeps_no_points_held() -> None:
    world = make_world(a_payment(), ["fine", "fine", "fine", "lost"], MemoryOrder())
    await world.drive()
    assert world.payment.points_standing is Points.HELD
    refunded = Fact(FactKind.REFUNDED, "re_1", world.payment.created_at, 100, "USD")

    payment = (await world.records.record(world.payment.id, Draft(facts=(refunded,)))).payment
    assert payment.quarantined
    await world.drive()

    assert (world.payment.state, world.ledger.held, world.ledger.taken) == (PaymentState.CAPTURED, 0, 300)


async def test_who_asks_about_a_provider_that_hangs_is_told_in_time_that_nothing_is_known() -> None:
    world = make_world(a_payment(points_minor=0), [], MemoryOrder(), asks=True)
    await world.drive()

    async def hangs(_: Payment) -> Intent:
        await asyncio.sleep(60)
        raise AssertionError

    world.provider.cancel = hangs  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(5):
        verdict = await LivePayments(
            world.records, lambda: world.driver, patience_s=lambda: 0.05, observer=PaymentMetrics(CollectorRegistry())
        ).cancel(an_order())

    assert (verdict, world.payment.wish) == (Verdict.UNKNOWN, Wish.GIVE_UP)


HAPPENINGS = ("drive", "look", "pay", "approve", "cancel_order")


@settings(max_examples=600)
@given(
    card=st.sampled_from([0, 700]),
    points=st.sampled_from([0, 300]),
    by_token=st.booleans(),
    review=st.booleans(),
    in_stock=st.booleans(),
    declines=st.booleans(),
    asks=st.booleans(),
    balance=st.sampled_from([0, 1000]),
    faults=st.lists(st.sampled_from(["fine", "lost", "answer lost"]), max_size=12),
    happenings=st.lists(st.sampled_from(HAPPENINGS), max_size=8),
    ends=st.sampled_from(["cancel_order", "pay"]),
)
def test_however_it_goes_money_points_and_order_agree_in_the_end(
    card: int,
    points: int,
    by_token: bool,
    review: bool,
    in_stock: bool,
    declines: bool,
    asks: bool,
    balance: int,
    faults: list[str],
    happenings: list[str],
    ends: str,
) -> None:
    if card + points == 0:
        return
    payment = a_payment(card_minor=card, points_minor=points, manual_capture=review, card="pm_card_visa" if by_token else "")
    world = make_world(payment, faults, MemoryOrder(needs_review=review, in_stock=in_stock), declines=declines, asks=asks, points=balance)

    async def live() -> None:
        for happening in happenings:
            try:
                await getattr(world, happening)()
            except OutcomeUnknown:
                continue
        for _ in range(15):  # trouble is over after as many calls as there were faults
            await world.pay() if ends == "pay" else None
            await world.approve()
            await world.look()
            await world.drive()
        for _ in range(15):
            await world.cancel_order() if world.order.standing.is_open else None
            await world.look()
            await world.drive()

    asyncio.run(live())
    check(world, balance)


@settings(max_examples=500)
@given(
    card=st.sampled_from([0, 700]),
    points=st.sampled_from([0, 300]),
    review=st.booleans(),
    declines=st.booleans(),
    happenings=st.lists(st.sampled_from(["drive", "cancel_order", "approve", "look"]), min_size=2, max_size=4),
    turns=st.lists(st.integers(0, 4), min_size=15, max_size=50),
)
def test_however_those_who_drive_at_once_get_in_each_others_way_money_points_and_order_agree(
    card: int, points: int, review: bool, declines: bool, happenings: list[str], turns: list[int]
) -> None:
    if card + points == 0:
        return
    payment = a_payment(card_minor=card, points_minor=points, manual_capture=review)
    world = make_world(payment, [], MemoryOrder(needs_review=review), declines=declines, turns=turns)

    async def live() -> None:
        await asyncio.gather(*(getattr(world, happening)() for happening in happenings))
        for _ in range(5):
            await world.approve()
            await world.look()
        for _ in range(3):
            await world.cancel_order() if world.order.standing.is_open else None
            await world.look()

    asyncio.run(live())
    check(world, 1000)


def check(world: World, balance: int) -> None:
    payment, order = world.payment, world.order
    assert payment.state in (PaymentState.CAPTURED, PaymentState.FAILED, PaymentState.CANCELLED)
    assert world.ledger.held == 0
    assert world.provider.captured in (0, payment.card_minor)
    assert payment.captured_minor == world.provider.captured
    if order.was_paid:
        assert (world.provider.captured, world.ledger.taken) == (payment.card_minor, payment.points_minor)
        assert payment.state is PaymentState.CAPTURED
        assert world.records.refunded == []
    else:
        assert order.state is State.CANCELLED
        assert (world.ledger.taken, world.ledger.available) == (0, balance)
        assert len(world.records.refunded) == (1 if world.provider.captured else 0)
