"""Payments whose driver died: until they have come to their end, somebody looks after them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from galen.orders.v1 import payment_pb2

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.application.payments.ports import Draft
from services.orders.domain.payments import changes
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Wish
from shared.clock import SystemClock
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.refunding import FAILED, give_back, refund_in
from tests.orders.till import Till


def id_of(payment: payment_pb2.Payment) -> UUID:
    return UUID(payment.name.rpartition("/")[2])


@pytest.fixture(autouse=True)
def _no_messages(till: Till) -> None:
    """Each would have its payment driven, and looks put off."""
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))


async def looked_for(till: Till, payment: payment_pb2.Payment) -> None:
    """The pollers come by when it is time; there must be a time."""
    query = "update payment set look_at = clock_timestamp() where payment_id = %s and look_at is not null returning 1"
    assert len(await till.counter.rows(query, id_of(payment))) == 1
    await till.look()


async def record(till: Till, payment: payment_pb2.Payment, **draft: Any) -> None:
    """What a driver did last."""
    await till.container.paying().records().record(id_of(payment), Draft(**draft))


async def test_money_that_was_taken_just_before_the_driver_died_pays_the_order(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    taken = Fact(FactKind.CAPTURED, "ch_1", SystemClock().now(), 499, payment.total.currency_code)

    await record(till, payment, facts=(taken,))
    await looked_for(till, payment)

    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert (await crew.customer.get(order.name)).state == state_number("PAID")


async def test_points_that_were_held_when_the_driver_died_are_freed(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 200)
    payment = await till.pay(crew.customer, order, "MIXED", points_minor=200, card="")
    cancelled = Fact(FactKind.CANCELLED, "pi_1", SystemClock().now())

    await record(till, payment, facts=(cancelled,), change=lambda now: changes.given_up(now, Wish.FAIL))
    await looked_for(till, payment)

    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_FAILED
    assert (await till.account(crew.customer)).available == 200


async def test_money_that_is_taken_after_all_goes_back_once_and_the_order_can_be_paid_anew(till: Till, crew: Crew) -> None:
    """The provider refused a request and had taken money all the same: what it tells later is believed."""
    order = await till.counter.ordered(crew.customer)
    failed = await till.pay(crew.customer, order, card="pm_card_chargeDeclined")
    assert failed.state == payment_pb2.PAYMENT_STATE_FAILED
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    paid = await till.pay(crew.customer, order)
    assert paid.state == payment_pb2.PAYMENT_STATE_CAPTURED
    taken = Fact(FactKind.CAPTURED, "ch_late", SystemClock().now(), 499, failed.total.currency_code)

    await record(till, failed, facts=(taken,))
    await looked_for(till, failed)
    for _ in range(2):
        await till.container.paying().driver().drive(id_of(failed))

    (refund,) = await till.refunds(crew.customer, order)
    assert (refund.payment, refund.card_amount.amount_minor) == (failed.name, 499)
    assert (await till.payment(crew.customer, paid.name)).refunded.amount_minor == 0
    assert (await crew.customer.get(order.name)).state == state_number("PAID")
    assert intent["status"] == "canceled"


async def test_money_that_comes_of_a_payment_that_people_have_refused_goes_back_though_it_has_ended(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order)
    refused = "update payment set wish = 4, settled = false, look_at = clock_timestamp() where payment_id = %s"
    await till.counter.rows(refused, id_of(payment))

    await till.look()

    (refund,) = await till.refunded(crew.customer, order)
    assert refund.card_amount.amount_minor == 499
    assert (await till.payment(crew.customer, payment.name)).refunded.amount_minor == 499


async def test_a_look_that_learns_nothing_changes_nothing(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")

    await looked_for(till, payment)
    first = await till.payment(crew.customer, payment.name)
    await looked_for(till, payment)

    assert await till.payment(crew.customer, payment.name) == first


async def test_a_message_about_no_payment_is_about_none_of_ours(till: Till, crew: Crew) -> None:
    """Refunds of charges that have no intent come without the name of one, as payments have that are paid by points."""
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 499)
    await till.pay(crew.customer, order, "POINTS", card="")
    records = till.container.paying().records()

    assert await records.find_by_intent("", "") is None
    assert await records.find_by_intent("", str(uuid4())) is None
    assert await records.find_by_intent("", "nonsense") is None


async def test_staff_give_back_what_the_provider_refused_to_when_the_order_had_ended(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 200)
    payment = await till.pay(crew.customer, order, "MIXED", points_minor=200, card="")
    await till.counter.rows("update stock_lot set expires_on = current_date - 1 where sku = %s", order.lines[0].sku)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.confirm(intent["id"], "pm_card_pendingRefundFail")
    await till.look()
    await till.ended(crew.customer, payment.name)
    (refused,) = await till.refunds(crew.customer, order)
    assert (await refund_in(till, crew.staff, refused.name)).state == FAILED

    again = await give_back(till, crew.staff, order)

    assert (again.card_amount.amount_minor, again.points_minor) == (299, 0)


async def test_a_caller_is_told_before_their_deadline_how_far_a_payment_has_come(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    till.simulator.set_faults(Fault(FaultKind.SLOW, operation=Operation.CREATE, delay_s=4.0, times=1))

    payment = await till.pay(crew.customer, order, timeout_s=2.0)

    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING
    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CAPTURED
