"""Refunds that the provider says are through, and days later that they are not: what counts is where the money is."""

from __future__ import annotations

import asyncio
from itertools import permutations
from uuid import UUID

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import ORDER_EVENT_KIND_PAYMENT, Order

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.models import Event
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id
from tests.orders.orders_client import line
from tests.orders.refunding import FAILED, SUCCEEDED, books_agree, give_back, refund_in, through
from tests.orders.till import TIMEOUT_S, Till

# Its refunds succeed, and fail a moment later.
CARD = "pm_card_refundFail"
A_MOMENT_S = 0.6


@pytest.fixture(autouse=True)
def _a_moment(till: Till) -> None:
    """Long enough for our books to have what came before."""
    till.simulator.behave(delays=Delays(processing_s=0.05, refund_s=A_MOMENT_S))


async def paid(till: Till, crew: Crew, *, points_minor: int = 0) -> tuple[Order, payment_pb2.Payment, str]:
    """An order of 2 x 1000 that is paid, and its SKU."""
    sku = await till.counter.medicine(price_minor=1000)
    order = await till.counter.ordered(crew.customer, line(sku, 2))
    if points_minor:
        await till.give_points(crew.customer, points_minor)
    payment = await till.pay(crew.customer, order, "MIXED" if points_minor else "CARD", points_minor=points_minor, card=CARD)
    return order, payment, sku


def id_in(name: str) -> str:
    return name.rpartition("/")[2]


def from_now_on_refunds_succeed(till: Till) -> None:
    till.simulator.set_faults(Fault(FaultKind.CARD, operation=Operation.REFUND))


async def given_back_in_vain(till: Till, crew: Crew, order: Order, **fields: object) -> payment_pb2.Refund:
    """A refund that has succeeded, and then failed."""
    refund = await refund_in(till, crew.staff, (await give_back(till, crew.staff, order, **fields)).name, SUCCEEDED)
    return await refund_in(till, crew.staff, refund.name, FAILED)


async def test_it_no_longer_counts_as_given_back_and_can_be_given_again(till: Till, crew: Crew) -> None:
    order, payment, sku = await paid(till, crew)

    failed = await given_back_in_vain(till, crew, order, units={sku: 1})

    assert (failed.failure, failed.HasField("finish_time")) == ("expired_or_canceled_card", False)
    seen = await till.payment(crew.staff, payment.name)
    assert (seen.refunded.amount_minor, seen.refund_summary) == (0, payment_pb2.REFUND_SUMMARY_UNSPECIFIED)
    assert await books_agree(till)

    from_now_on_refunds_succeed(till)
    again = await through(till, crew, order, units={sku: 1})
    rest = await through(till, crew, order)
    assert (again.amount.amount_minor, rest.amount.amount_minor) == (1000, 1000)
    assert (await till.payment(crew.staff, payment.name)).refunded.amount_minor == 2000
    assert await books_agree(till)


async def test_the_history_tells_of_it_once(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.DUPLICATED, operation=Operation.WEBHOOK, delay_s=0.05))
    order, _, _ = await paid(till, crew)

    failed = await given_back_in_vain(till, crew, order)
    await till.simulator.all_delivered()

    told = [event for event in await crew.staff.events(order.name) if event.reason == "REFUND_FAILED"]
    assert [(event.kind, event.actor, dict(event.details)) for event in told] == [
        (
            ORDER_EVENT_KIND_PAYMENT,
            "system",
            {"refund": failed.name, "failure": "expired_or_canceled_card", "amount_minor": "2000"},
        )
    ]


async def test_points_that_went_back_before_it_failed_stay_given(till: Till, crew: Crew) -> None:
    order, payment, sku = await paid(till, crew, points_minor=1000)

    await given_back_in_vain(till, crew, order, units={sku: 1})

    seen = await till.payment(crew.staff, payment.name)
    assert (seen.refunded.amount_minor, seen.points_returned_minor) == (0, 500)
    from_now_on_refunds_succeed(till)
    rest = await through(till, crew, order)
    assert (rest.card_amount.amount_minor, rest.points_minor) == (1000, 500)
    assert (await till.account(crew.customer)).available == 1000
    assert await books_agree(till)


async def test_points_that_were_on_their_way_when_it_failed_are_in_our_books_and_given_once(till: Till, crew: Crew) -> None:
    """A driver died when the ledger had given them."""
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    order, payment, sku = await paid(till, crew, points_minor=1000)
    refund = await through(till, crew, order, units={sku: 1})
    forget = "update refund set state = 1, points_done = false, take_back_done = false where payment_id = %s::uuid"
    await till.counter.rows(forget, id_in(payment.name))
    await till.counter.rows("update payment set points_returned_minor = 0 where payment_id = %s::uuid", id_in(payment.name))
    body, signature = till.simulator.signed(next(event for event in await refund_messages(till, order) if event.type == "refund.failed"))
    await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=TIMEOUT_S)
    await refund_in(till, crew.staff, refund.name, FAILED)

    await till.container.paying().refund_driver().drive(UUID(id_in(refund.name)))

    seen = await till.payment(crew.staff, payment.name)
    assert (seen.refunded.amount_minor, seen.points_returned_minor) == (0, 500)
    assert (await till.account(crew.customer)).available == 500
    from_now_on_refunds_succeed(till)
    rest = await through(till, crew, order)
    assert (rest.card_amount.amount_minor, rest.points_minor) == (1000, 500)
    assert (await till.account(crew.customer)).available == 1000
    assert await books_agree(till)


async def test_every_order_of_its_messages_ends_the_same(till: Till, crew: Crew) -> None:
    ends = set()
    for places in permutations(range(3)):
        till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
        order, payment, _ = await paid(till, crew)
        refund = await through(till, crew, order)
        sent = await refund_messages(till, order)
        for place in [*places, *places]:
            body, signature = till.simulator.signed(sent[place])
            await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=TIMEOUT_S)
        after = await refund_in(till, crew.staff, refund.name, FAILED)
        ends.add((after.state, after.failure, (await till.payment(crew.staff, payment.name)).refunded.amount_minor))

    assert ends == {(FAILED, "expired_or_canceled_card", 0)}
    assert await books_agree(till)


async def refund_messages(till: Till, order: Order) -> list[Event]:
    """Waits until the provider has changed its mind; returns a message from before that and two of after it."""
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    def found() -> list[Event]:
        events = [event for event in till.simulator.events(intent["id"]) if event.object["object"] == "refund"]
        return [event for event in events if event.type in ("refund.created", "refund.failed", "charge.refund.updated")]

    async with asyncio.timeout(10):
        while len(found()) < 3:  # noqa: ASYNC110 (it happens by itself)
            await asyncio.sleep(0.01)
    return found()


async def test_messages_of_it_that_never_come_are_looked_for(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    order, _, _ = await paid(till, crew)
    refund = await through(till, crew, order)
    await refund_messages(till, order)

    await till.look()

    assert (await refund_in(till, crew.staff, refund.name, FAILED)).failure


async def test_one_whose_name_never_reached_us_is_known_by_ours(till: Till, crew: Crew) -> None:
    """A driver died when it had asked for the refund; under its key the provider would say for ever that it is through."""
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    order, payment, _ = await paid(till, crew)
    refund = await through(till, crew, order)
    sent = await refund_messages(till, order)
    forget = "update refund set state = 1, provider_reference = '', card_done = false, points_done = false, take_back_done = false"
    await till.counter.rows(f"{forget} where payment_id = %s::uuid", id_in(payment.name))
    body, signature = till.simulator.signed(next(event for event in sent if event.type == "refund.failed"))

    await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=TIMEOUT_S)

    await refund_in(till, crew.staff, refund.name, FAILED)
    await till.container.paying().refund_driver().drive(UUID(id_in(refund.name)))
    assert (await refund_in(till, crew.staff, refund.name)).state == FAILED
    assert (await till.payment(crew.staff, payment.name)).refunded.amount_minor == 0


async def test_one_that_a_message_called_through_and_only_an_answer_called_failed_can_be_given_again(till: Till, crew: Crew) -> None:
    """Red while a failure that was answered was no fact: what the message had said was taken for a refund of somebody else's."""
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    order, payment, _ = await paid(till, crew)
    refund = await through(till, crew, order)
    await refund_messages(till, order)
    forget = "update refund set state = 1, card_done = false, points_done = false, take_back_done = false"
    await till.counter.rows(f"{forget} where payment_id = %s::uuid", id_in(payment.name))

    await till.container.paying().refund_driver().drive(UUID(id_in(refund.name)))

    assert (await refund_in(till, crew.staff, refund.name)).state == FAILED
    assert (await till.payment(crew.staff, payment.name)).refunded.amount_minor == 0
    from_now_on_refunds_succeed(till)
    assert (await through(till, crew, order)).card_amount == refund.card_amount


async def test_what_came_of_a_payment_that_had_failed_can_be_given_again_too(till: Till, crew: Crew) -> None:
    """The order is paid by another payment since, which is left alone."""
    order, other = await till.counter.ordered(crew.customer), await till.counter.ordered(crew.customer)
    late = await till.pay(crew.customer, order, card="")
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.confirm(intent["id"], CARD)
    await till.ended(crew.customer, late.name)
    await till.counter.rows("update payment set state = 7, wish = 3, settled = false where order_id = %s", order_id(order))
    await till.counter.rows("update customer_order set paid_at = null, state = 1 where order_id = %s", order_id(order))
    till.simulator.set_faults(Fault(FaultKind.CARD, operation=Operation.REFUND, card=CARD))
    await till.container.paying().driver().drive(UUID(id_in(late.name)))
    (automatic,) = await till.refunds(crew.customer, order)
    await refund_in(till, crew.staff, automatic.name, FAILED)

    from_now_on_refunds_succeed(till)
    assert (await refusal_of(give_back(till, crew.staff, order))).reason == "REFUND_NOT_POSSIBLE"
    assert (await refusal_of(give_back(till, crew.staff, other, payment=late.name))).reason == "PAYMENT_NOT_FOUND"
    refused = await refusal_of(give_back(till, crew.staff, order, payment=late.name, amount_minor=500))
    assert (refused.reason, refused.metadata) == ("REFUND_NOT_POSSIBLE", {"refundable": "499"})
    again = await through(till, crew, order, payment=late.name)

    assert (again.payment, again.card_amount.amount_minor) == (late.name, 499)
    assert (await till.payment(crew.staff, late.name)).refunded.amount_minor == 499
    assert (await refusal_of(give_back(till, crew.staff, order, payment=late.name))).reason == "REFUND_NOT_POSSIBLE"
    assert await books_agree(till)
