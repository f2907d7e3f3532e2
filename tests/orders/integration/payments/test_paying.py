"""Orders are paid by card, by points and by both, at the simulated provider and the real ledger."""

from __future__ import annotations

from uuid import uuid4

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1.order_pb2 import OrderPaymentState

from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, state_number
from tests.orders.orders_client import line
from tests.orders.till import Till, eventually


async def test_a_card_pays_an_order_at_once(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)

    payment = await till.pay(crew.customer, order)

    assert payment.state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert payment.captured == payment.total == order.totals.payable
    paid = await crew.customer.get(order.name)
    assert paid.state == state_number("PAID")
    assert [len(line.lots) for line in paid.lines] == [1]
    assert await till.differences() == []


async def test_points_pay_an_order_without_the_provider(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 1000)

    payment = await till.pay(crew.customer, order, "POINTS", card="")

    assert (payment.state, payment.points_captured_minor) == (payment_pb2.PAYMENT_STATE_CAPTURED, 499)
    account = await till.account(crew.customer)
    assert (account.available, account.held, account.lifetime_spent) == (501, 0, 499)
    assert till.simulator.intents(order_id=order.name.rpartition("/")[2]) == []


async def test_points_and_card_share_an_order(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 200)

    payment = await till.pay(crew.customer, order, "MIXED", points_minor=200)

    assert payment.state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert (payment.captured.amount_minor, payment.points_captured_minor) == (299, 200)
    assert (await till.account(crew.customer)).available == 0
    assert await till.differences() == []


async def test_an_order_with_a_prescription_is_charged_once_a_pharmacist_has_approved_it(till: Till, crew: Crew) -> None:
    sku = await till.counter.medicine(rx_required=True)
    prescription = await till.counter.prescription(crew.customer, sku)
    order = await till.counter.ordered(crew.customer, line(sku, 1, prescription))
    payment = await till.pay(crew.customer, order)
    assert payment.state == payment_pb2.PAYMENT_STATE_AUTHORIZED
    reviewed = await crew.pharmacist.get(order.name)
    assert (reviewed.state, payment.captured.amount_minor) == (state_number("UNDER_REVIEW"), 0)

    await crew.pharmacist.act("ApproveOrder", reviewed)

    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert (await crew.customer.get(order.name)).state == state_number("PAID")


async def test_a_rejected_order_costs_nothing(till: Till, crew: Crew) -> None:
    sku = await till.counter.medicine(rx_required=True)
    prescription = await till.counter.prescription(crew.customer, sku)
    order = await till.counter.ordered(crew.customer, line(sku, 1, prescription))
    await till.give_points(crew.customer, 100)
    payment = await till.pay(crew.customer, order, "MIXED", points_minor=100)

    rejected = await crew.pharmacist.act("RejectOrder", await crew.pharmacist.get(order.name), reason="illegible")

    assert rejected.state == state_number("CANCELLED")
    assert rejected.payment.state == OrderPaymentState.ORDER_PAYMENT_STATE_UNPAID
    assert (await till.payment(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CANCELLED
    assert (await till.account(crew.customer)).available == 100
    assert await till.differences() == []


@pytest.mark.parametrize(
    ("card", "failure"),
    [("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"), ("pm_card_chargeDeclinedExpiredCard", "expired_card")],
)
async def test_a_declined_card_leaves_the_order_as_it_was_and_another_can_be_tried(till: Till, crew: Crew, card: str, failure: str) -> None:
    order = await till.counter.ordered(crew.customer)

    declined = await till.pay(crew.customer, order, card=card)
    assert (declined.state, declined.failure) == (payment_pb2.PAYMENT_STATE_FAILED, failure)
    assert (await crew.customer.get(order.name)).state == state_number("PENDING_PAYMENT")

    assert (await till.pay(crew.customer, order)).state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert await till.differences() == []


async def test_without_enough_points_the_payment_fails_and_says_why(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 498)

    payment = await till.pay(crew.customer, order, "POINTS", card="")

    assert (payment.state, payment.failure) == (payment_pb2.PAYMENT_STATE_FAILED, "INSUFFICIENT_POINTS")
    assert (await till.account(crew.customer)).available == 498


async def test_the_payer_confirms_at_the_provider_and_a_webhook_tells_of_it(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    assert payment.state == payment_pb2.PAYMENT_STATE_CONFIRMATION_REQUIRED
    assert payment.client_secret

    (intent,) = till.simulator.intents(payment_id=payment.name.rpartition("/")[2])
    await till.simulator.confirm(intent["id"])

    ended = await till.ended(crew.customer, payment.name)
    assert (ended.state, ended.client_secret) == (payment_pb2.PAYMENT_STATE_CAPTURED, "")


async def test_what_the_bank_asks_the_payer_for_is_shown_to_them_only(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="pm_card_threeDSecure2Required")
    assert payment.state == payment_pb2.PAYMENT_STATE_ACTION_REQUIRED
    assert payment.next_action.redirect_url.startswith("http")
    seen = await till.payment(crew.staff, payment.name)
    assert (seen.client_secret, seen.HasField("next_action")) == ("", False)

    await till.simulator.complete_action(seen.provider_reference)

    assert (await till.ended(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CAPTURED


async def test_the_same_request_is_the_same_payment_and_another_body_is_refused(till: Till, crew: Crew) -> None:
    order, request_id = await till.counter.ordered(crew.customer), str(uuid4())

    first = await till.pay(crew.customer, order, request_id=request_id)
    again = await till.pay(crew.customer, order, request_id=request_id)
    refused = await refusal_of(till.pay(crew.customer, order, "POINTS", request_id=request_id))

    # It is answered as it is now: a message of the provider may have come meanwhile.
    assert (first.name, first.state) == (again.name, again.state)
    assert refused.reason == "REQUEST_ID_REUSED"
    assert len(till.simulator.intents(order_id=order.name.rpartition("/")[2])) == 1


async def test_an_order_has_one_payment_under_way_at_most(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order, card="")

    assert (await refusal_of(till.pay(crew.customer, order))).reason == "PAYMENT_UNDER_WAY"


@pytest.mark.parametrize(("method", "points"), [("CARD", 1), ("POINTS", 1), ("MIXED", 0), ("MIXED", 499), ("MIXED", 10**18)])
async def test_points_that_do_not_fit_are_refused(till: Till, crew: Crew, method: str, points: int) -> None:
    order = await till.counter.ordered(crew.customer)

    refused = await refusal_of(till.pay(crew.customer, order, method, points_minor=points))

    assert (refused.reason, refused.metadata) == ("POINTS_AMOUNT_INVALID", {"payable": "499"})


async def test_nobody_pays_or_sees_anothers_order(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order)
    stranger = till.counter.person()

    assert (await refusal_of(till.pay(stranger, order))).reason == "ACCESS_DENIED"
    assert (await refusal_of(till.payment(stranger, payment.name))).reason == "ACCESS_DENIED"


async def test_a_paid_or_cancelled_order_is_not_paid_again(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await crew.customer.act("CancelOrder", order)

    assert (await refusal_of(till.pay(crew.customer, order))).reason == "ORDER_STATE"


async def test_cancelling_an_order_that_waits_for_its_payer_cancels_the_payment_first(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")

    cancelled = await crew.customer.act("CancelOrder", await crew.customer.get(order.name))

    assert cancelled.state == state_number("CANCELLED")
    assert (await till.payment(crew.customer, payment.name)).state == payment_pb2.PAYMENT_STATE_CANCELLED
    (intent,) = till.simulator.intents(order_id=order.name.rpartition("/")[2])
    assert intent["status"] == "canceled"


async def test_a_paid_order_that_is_cancelled_gives_card_and_points_back(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 200)
    payment = await till.pay(crew.customer, order, "MIXED", points_minor=200)

    await crew.customer.act("CancelOrder", await crew.customer.get(order.name))

    (refund,) = await till.refunded(crew.customer, order)
    assert (refund.card_amount.amount_minor, refund.points_minor) == (299, 200)
    assert (await till.account(crew.customer)).available == 200
    after = await till.payment(crew.customer, payment.name)
    assert after.refund_summary == payment_pb2.REFUND_SUMMARY_FULL
    assert await eventually(lambda: books_agree(till))


async def books_agree(till: Till) -> bool:
    return await till.differences() == []


async def test_an_order_says_how_it_was_paid_and_what_was_given_back(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    assert (order.payment.state, order.payment.payment) == (OrderPaymentState.ORDER_PAYMENT_STATE_UNPAID, "")
    payment = await till.pay(crew.customer, order)
    paid = await crew.customer.get(order.name)
    assert (paid.payment.state, paid.payment.payment) == (OrderPaymentState.ORDER_PAYMENT_STATE_PAID, payment.name)

    await crew.customer.act("CancelOrder", paid)
    await till.refunded(crew.customer, order)

    assert (await crew.customer.get(order.name)).payment.refund_summary == payment_pb2.REFUND_SUMMARY_FULL
