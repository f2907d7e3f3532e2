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


async def test_an_order_whose_payment_was_given_up_is_not_approved(till: Till, crew: Crew) -> None:
    order, payment = await under_review(till, crew)
    paying = till.container.paying()
    payment_id = UUID(payment.name.rpartition("/")[2])
    await paying.records().record(payment_id, Draft(lambda now: changes.given_up(now, Wish.GIVE_UP)))
    await paying.driver().drive(payment_id)

    refused = await refusal_of(crew.pharmacist.act("ApproveOrder", order))

    assert (refused.reason, refused.metadata) == ("ORDER_STATE", {"state": "UNDER_REVIEW", "allowed": "REJECT"})
    rejected = await crew.pharmacist.act("RejectOrder", order, reason="not paid")
    assert rejected.state == state_number("CANCELLED")
