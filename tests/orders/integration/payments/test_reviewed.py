"""Orders under review whose money goes away meanwhile: none waits for ever, none is approved that nobody can pay."""

from __future__ import annotations

from uuid import UUID

from galen.orders.v1 import payment_pb2
from galen.orders.v1.order_pb2 import Order

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.application.payments.ports import Draft
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Wish
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.orders_client import line
from tests.orders.till import Till, eventually


async def under_review(till: Till, crew: Crew) -> tuple[Order, payment_pb2.Payment]:
    sku = await till.counter.medicine(rx_required=True)
    order = await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))
    payment = await till.pay(crew.customer, order)
    assert payment.state == payment_pb2.PAYMENT_STATE_AUTHORIZED
    return await crew.pharmacist.get(order.name), payment


async def test_an_authorisation_that_lapses_ends_the_order(till: Till, crew: Crew) -> None:
    order, payment = await under_review(till, crew)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    await till.simulator.cancel(intent["id"])

    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_FAILED
    after = await crew.customer.get(order.name)
    assert (after.state, after.cancel_reason) == (state_number("CANCELLED"), "PAYMENT_LOST")


async def test_an_approved_order_whose_money_cannot_be_taken_ends_when_its_time_is_over(till: Till, crew: Crew) -> None:
    order, payment = await under_review(till, crew)
    till.simulator.set_faults(Fault(FaultKind.UNAVAILABLE, operation=Operation.CAPTURE, times=1000))
    await crew.pharmacist.act("ApproveOrder", order)
    await till.counter.due(order)

    async def has_expired() -> bool:
        await till.container.sweeping().orders().sweep()
        return (await crew.customer.get(order.name)).state == state_number("EXPIRED")

    assert await eventually(has_expired)
    assert (await till.payment(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CANCELLED


async def given_up(till: Till, payment: payment_pb2.Payment) -> None:
    """What the arbiter does for whoever rejects an order, who dies before that is stored."""
    paying, payment_id = till.container.paying(), UUID(payment.name.rpartition("/")[2])
    await paying.records().record(payment_id, Draft(lambda now: changes.given_up(now, Wish.GIVE_UP)))
    await paying.driver().drive(payment_id)


async def test_an_order_whose_reviewer_died_while_rejecting_it_ends_by_itself(till: Till, crew: Crew) -> None:
    """Red without the look for such orders: it can't be approved, and its stock would be held until the review is due."""
    order, payment = await under_review(till, crew)
    await given_up(till, payment)

    await till.look()
    assert (await crew.customer.get(order.name)).state == state_number("UNDER_REVIEW"), "whoever rejects it may still be at it"
    await till.counter.rows("update payment set updated_at = updated_at - interval '2 minutes' where order_id = %s", order_id(order))
    await till.look()

    after = await crew.customer.get(order.name)
    assert (after.state, after.cancel_reason) == (state_number("CANCELLED"), "PAYMENT_LOST")
    assert [event.reason for event in await crew.staff.events(order.name)].count("PAYMENT_LOST") == 1


async def test_orders_that_have_their_payment_or_were_never_paid_for_are_left_alone(till: Till, crew: Crew) -> None:
    reviewed, payment = await under_review(till, crew)
    waiting = await till.counter.ordered(crew.customer)
    failed = await till.pay(crew.customer, waiting, card="pm_card_chargeDeclined")
    assert failed.state == payment_pb2.PAYMENT_STATE_FAILED
    for order in (reviewed, waiting):
        await till.counter.rows("update payment set updated_at = updated_at - interval '2 minutes' where order_id = %s", order_id(order))

    await till.look()

    assert (await crew.customer.get(reviewed.name)).state == state_number("UNDER_REVIEW")
    assert (await crew.customer.get(waiting.name)).state == state_number("PENDING_PAYMENT")
    assert (await till.payment(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_AUTHORIZED


async def test_an_order_whose_payment_was_given_up_is_not_approved(till: Till, crew: Crew) -> None:
    order, payment = await under_review(till, crew)
    await given_up(till, payment)

    refused = await refusal_of(crew.pharmacist.act("ApproveOrder", order))

    assert (refused.reason, refused.metadata) == ("ORDER_STATE", {"state": "UNDER_REVIEW", "allowed": "REJECT"})
    rejected = await crew.pharmacist.act("RejectOrder", order, reason="not paid")
    assert rejected.state == state_number("CANCELLED")
