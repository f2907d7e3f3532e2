"""Payments of which the provider says what does not fit: an admin looks, decides, and afterwards all books agree.

Method: the simulator's own record of an intent is changed before it is paid, so that it takes another amount, or in another currency, than
it was asked for, and its money is counted as it took it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import ORDER_EVENT_KIND_PAYMENT, Order

from deploy.local.payment_sim.books import Draft
from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.models import Intent
from services.orders.domain.payments.facts import FactKind
from shared.grpc.errors import peer_error
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.orders_client import Orders, line
from tests.orders.refunding import books_agree, give_back, through
from tests.orders.till import TIMEOUT_S, Till, eventually

CAPTURED, FAILED = payment_pb2.PAYMENT_STATE_CAPTURED, payment_pb2.PAYMENT_STATE_FAILED
ACCEPT, REFUND_ALL = payment_pb2.QUARANTINE_DECISION_ACCEPT, payment_pb2.QUARANTINE_DECISION_REFUND_ALL


def change_intent(till: Till, order: Order, **fields: Any) -> str:
    """Makes the provider take something else than it was asked for; returns its name of the payment."""
    books = till.simulator.simulator.books
    intent = next(one for one in books.all(Intent) if one.metadata["order_id"] == str(order_id(order)) and one.status != "canceled")
    draft = Draft(books)
    draft.put(replace(intent, **fields))
    books.apply(draft)
    return intent.id


async def quarantined(
    till: Till, crew: Crew, *, points_minor: int = 0, rx: bool = False, **fields: Any
) -> tuple[Order, payment_pb2.Payment]:
    """An order of 499 whose card share is confirmed after the provider's record of it was changed by `fields`."""
    if rx:
        sku = await till.counter.medicine(rx_required=True)
        order = await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))
    else:
        order = await till.counter.ordered(crew.customer)
    if points_minor:
        await till.give_points(crew.customer, points_minor)
    payment = await till.pay(crew.customer, order, "MIXED" if points_minor else "CARD", points_minor=points_minor, card="")
    await till.simulator.confirm(change_intent(till, order, **fields))
    return order, await in_quarantine(till, crew, payment.name)


async def in_quarantine(till: Till, crew: Crew, name: str) -> payment_pb2.Payment:
    """Waits until a payment is; returns it."""

    async def is_there() -> bool:
        return (await till.payment(crew.admin, name)).quarantined

    assert await eventually(is_there)
    return await till.payment(crew.admin, name)


async def resolve(till: Till, who: Orders, payment: payment_pb2.Payment, decision: Any, **fields: Any) -> payment_pb2.Payment:
    request = messages.ResolveQuarantineRequest(
        name=payment.name,
        decision=decision,
        **({"etag": payment.etag, "reason": "asked the provider", "request_id": str(uuid4())} | fields),
    )
    return (await till.payments.ResolveQuarantine(request, metadata=who.metadata, timeout=TIMEOUT_S)).payment


async def inspected(till: Till, crew: Crew, name: str) -> messages.InspectPaymentResponse:
    return await till.payments.InspectPayment(messages.InspectPaymentRequest(name=name), metadata=crew.staff.metadata, timeout=TIMEOUT_S)


def money(till: Till, order: Order) -> tuple[int, int]:
    """What the provider took and gave back."""
    lines = [one for one in till.simulator.money()["payment_intents"] if one["metadata"]["order_id"] == str(order_id(order))]
    return sum(one["captured"] for one in lines), sum(one["refunded"] for one in lines)


async def is_in(crew: Crew, order: Order, state: str) -> bool:
    return (await crew.customer.get(order.name)).state == state_number(state)


async def test_where_the_payer_has_to_go_is_not_shown_to_others(till: Till, crew: Crew) -> None:
    """An older version kept it among the facts."""
    order, payment = await quarantined(till, crew, amount=600)
    await till.counter.rows(
        "insert into payment_fact (payment_id, kind, reference, at, amount_minor, currency, detail)"
        " select payment_id, %s, intent, now(), 0, '', 'https://bank/?s=pi_secret_1' from payment where order_id = %s",
        FactKind.ACTION_REQUIRED.value,
        order_id(order),
    )

    facts = (await inspected(till, crew, payment.name)).facts

    assert [fact.detail for fact in facts if fact.kind == payment_pb2.PROVIDER_FACT_KIND_ACTION_REQUIRED] == [""]


async def test_what_the_provider_says_and_what_can_be_decided_is_shown(till: Till, crew: Crew) -> None:
    _, payment = await quarantined(till, crew, amount=600)

    seen = await inspected(till, crew, payment.name)

    assert seen.mismatch == "600 captured, not 499"
    assert list(seen.possible_decisions) == [ACCEPT, REFUND_ALL]
    assert seen.payment.etag == payment.etag
    (taken,) = [fact for fact in seen.facts if fact.kind == payment_pb2.PROVIDER_FACT_KIND_CAPTURED]
    assert (taken.amount.amount_minor, taken.amount.currency_code) == (600, "EUR")


async def test_of_too_much_the_difference_goes_back_and_the_order_is_paid(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, points_minor=100, amount=600)

    answered = await resolve(till, crew.admin, payment, ACCEPT)

    assert (answered.state, answered.quarantined, answered.card_amount.amount_minor) == (CAPTURED, False, 399)
    assert await is_in(crew, order, "PAID")
    (surplus,) = await till.refunded(crew.customer, order)
    assert (surplus.amount.amount_minor, surplus.points_minor, surplus.reason) == (201, 0, "asked the provider")
    assert money(till, order) == (600, 201)
    assert await books_agree(till)

    rest = await through(till, crew, order)
    assert (rest.card_amount.amount_minor, rest.points_minor) == (399, 100)
    assert money(till, order) == (600, 600)
    assert (await inspected(till, crew, payment.name)).mismatch == ""
    assert await books_agree(till)


async def test_a_cancelled_order_gets_back_what_it_paid_and_the_difference(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, amount=998)
    await resolve(till, crew.admin, payment, ACCEPT)

    await crew.customer.act("CancelOrder", await crew.customer.get(order.name))

    assert sorted(one.amount.amount_minor for one in await till.refunded(crew.customer, order, 2)) == [499, 499]
    assert money(till, order) == (998, 998)
    assert await books_agree(till)


async def test_too_little_can_be_enough(till: Till, crew: Crew) -> None:
    sku = await till.counter.medicine(rx_required=True)
    order = await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))
    name = (await till.pay(crew.customer, order)).name
    till.simulator.set_faults(Fault(FaultKind.CAPTURE_LESS, operation=Operation.CAPTURE))
    await crew.pharmacist.act("ApproveOrder", await crew.pharmacist.get(order.name))
    payment = await in_quarantine(till, crew, name)

    answered = await resolve(till, crew.admin, payment, ACCEPT)

    assert (answered.state, answered.total.amount_minor, answered.captured.amount_minor) == (CAPTURED, 498, 498)
    assert await is_in(crew, order, "PAID")
    assert await till.refunds(crew.customer, order) == []
    assert await books_agree(till)
    assert (await refusal_of(give_back(till, crew.staff, order, amount_minor=499))).metadata == {"refundable": "498"}
    await through(till, crew, order)
    assert money(till, order) == (498, 498)
    assert await books_agree(till)


async def test_all_goes_back_and_the_order_can_be_paid_anew(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, points_minor=100, amount=600)

    answered = await resolve(till, crew.admin, payment, REFUND_ALL)

    assert (answered.state, answered.failure, answered.quarantined) == (FAILED, "refused_by_shop", False)
    await till.refunded(crew.customer, order)
    assert money(till, order) == (600, 600)
    assert (await till.account(crew.customer)).available == 100
    assert await is_in(crew, order, "PENDING_PAYMENT")
    assert (await till.pay(crew.customer, order)).state == CAPTURED
    assert await is_in(crew, order, "PAID")
    assert money(till, order) == (1099, 600)
    assert await books_agree(till)


async def test_an_order_under_review_whose_money_is_refused_ends(till: Till, crew: Crew) -> None:
    sku = await till.counter.medicine(rx_required=True)
    order = await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))
    name = (await till.pay(crew.customer, order)).name
    till.simulator.set_faults(Fault(FaultKind.CAPTURE_LESS, operation=Operation.CAPTURE))
    await crew.pharmacist.act("ApproveOrder", await crew.pharmacist.get(order.name))

    await resolve(till, crew.admin, await in_quarantine(till, crew, name), REFUND_ALL)

    after = await crew.customer.get(order.name)
    assert (after.state, after.cancel_reason) == (state_number("CANCELLED"), "PAYMENT_LOST")
    await till.refunded(crew.customer, order)
    assert money(till, order) == (498, 498)
    assert await books_agree(till)


async def test_money_that_is_only_set_aside_is_let_go(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, rx=True, amount=600)
    seen = await inspected(till, crew, payment.name)
    assert (seen.mismatch, list(seen.possible_decisions)) == ("600 authorized, not 499", [REFUND_ALL])
    refused = await refusal_of(resolve(till, crew.admin, payment, ACCEPT))
    assert (refused.reason, refused.metadata) == ("DECISION_NOT_POSSIBLE", {"obstacle": "NOTHING_CAPTURED"})

    answered = await resolve(till, crew.admin, payment, REFUND_ALL)

    assert answered.state == FAILED
    assert [one["status"] for one in till.simulator.intents(order_id=str(order_id(order)))] == ["canceled"]
    assert await till.refunds(crew.customer, order) == []
    assert (await till.pay(crew.customer, order)).state == payment_pb2.PAYMENT_STATE_AUTHORIZED


async def test_money_in_another_currency_can_only_go_back_and_does_in_that(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, currency="usd")
    refused = await refusal_of(resolve(till, crew.admin, payment, ACCEPT))
    assert (refused.reason, refused.metadata) == ("DECISION_NOT_POSSIBLE", {"obstacle": "OTHER_CURRENCY"})

    await resolve(till, crew.admin, payment, REFUND_ALL)

    (refund,) = await till.refunded(crew.customer, order)
    assert (refund.amount.amount_minor, refund.amount.currency_code) == (499, "USD")
    assert money(till, order) == (499, 499)
    assert not (await till.payment(crew.admin, payment.name)).quarantined
    assert await books_agree(till)


async def test_who_decided_what_and_why_stands_in_the_history(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, amount=600)
    request_id = str(uuid4())

    first = await resolve(till, crew.admin, payment, ACCEPT, reason="the bank erred", request_id=request_id)
    (refund,) = await till.refunded(crew.customer, order)
    again = await resolve(till, crew.admin, payment, ACCEPT, reason="the bank erred", request_id=request_id)
    reused = await refusal_of(resolve(till, crew.admin, payment, REFUND_ALL, reason="the bank erred", request_id=request_id))

    assert (first.state, again.state, reused.reason) == (CAPTURED, CAPTURED, "REQUEST_ID_REUSED")
    told = [event for event in await crew.staff.events(order.name) if event.reason == "the bank erred"]
    assert [(event.kind, event.actor, event.role, dict(event.details)) for event in told] == [
        (
            ORDER_EVENT_KIND_PAYMENT,
            crew.admin.name,
            "admin",
            {
                "payment": payment.name,
                "decision": "ACCEPT",
                "expected_minor": "499",
                "captured_minor": "600",
                "refund": refund.name,
                "amount_minor": "101",
            },
        )
    ]


@pytest.mark.parametrize("decisions", [(ACCEPT, ACCEPT), (REFUND_ALL, REFUND_ALL), (ACCEPT, REFUND_ALL)], ids=str)
async def test_of_two_who_decide_at_once_one_does(till: Till, crew: Crew, decisions: tuple[Any, Any]) -> None:
    """Red without the lock of the order and the payment."""
    for _ in range(3):
        order, payment = await quarantined(till, crew, amount=600)

        answers = await asyncio.gather(*(resolve(till, crew.admin, payment, one) for one in decisions), return_exceptions=True)

        refusals = [peer_error(one).reason for one in answers if isinstance(one, grpc.aio.AioRpcError)]
        assert refusals == ["PAYMENT_NOT_QUARANTINED"]
        (refund,) = await till.refunded(crew.customer, order)
        assert money(till, order) == (600, refund.amount.amount_minor)
    assert await books_agree(till)


async def test_what_is_decided_is_what_was_looked_at(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, amount=600)

    assert (await refusal_of(resolve(till, crew.admin, payment, ACCEPT, etag='"1"'))).reason == "ETAG_MISMATCH"
    assert (await refusal_of(resolve(till, crew.admin, payment, ACCEPT, etag=""))).code == grpc.StatusCode.INVALID_ARGUMENT
    await resolve(till, crew.admin, payment, ACCEPT)
    assert (await refusal_of(resolve(till, crew.admin, payment, ACCEPT))).reason == "PAYMENT_NOT_QUARANTINED"
    assert list((await inspected(till, crew, payment.name)).possible_decisions) == []
    await till.refunded(crew.customer, order)


async def test_nobody_decides_on_an_order_of_their_own(till: Till, crew: Crew) -> None:
    both = till.counter.person("admin")
    order, payment = await quarantined(till, replace(crew, customer=both), amount=600)

    assert (await refusal_of(resolve(till, both, payment, ACCEPT))).reason == "OWN_ORDER"
    assert not await is_in(replace(crew, customer=both), order, "PAID")
    await resolve(till, crew.admin, payment, ACCEPT)


@pytest.mark.parametrize("ends", ["cancel", "expire"])
async def test_an_order_whose_money_does_not_fit_is_neither_paid_nor_ended_until_somebody_decides(
    till: Till, crew: Crew, ends: str
) -> None:
    """Red while the arbiter took money that does not fit for money that pays."""
    order, payment = await quarantined(till, crew, amount=300)

    if ends == "cancel":
        await crew.customer.act("CancelOrder", order, etag="")
    else:
        await till.counter.due(order)
        await till.counter.steps.expire(order_id(order))

    assert await is_in(crew, order, "PENDING_PAYMENT")
    await resolve(till, crew.admin, await till.payment(crew.admin, payment.name), REFUND_ALL)
    await till.counter.steps.resume(order_id(order))
    assert await is_in(crew, order, "CANCELLED" if ends == "cancel" else "EXPIRED")
    await till.refunded(crew.customer, order)
    assert money(till, order) == (300, 300)
    assert await books_agree(till)


async def test_money_for_a_payment_that_had_failed_goes_back_when_somebody_has_seen_it(till: Till, crew: Crew) -> None:
    order, payment = await quarantined(till, crew, amount=600)
    await till.counter.rows("update payment set state = 7, wish = 3 where order_id = %s", order_id(order))
    refused = await refusal_of(resolve(till, crew.admin, payment, ACCEPT))
    assert (refused.reason, refused.metadata) == ("DECISION_NOT_POSSIBLE", {"obstacle": "PAYMENT_ENDED"})

    await resolve(till, crew.admin, payment, REFUND_ALL)

    await till.refunded(crew.customer, order)
    assert money(till, order) == (600, 600)
    assert await books_agree(till)


async def test_what_has_paid_an_order_is_not_refused_afterwards(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order)
    await till.counter.rows("update payment set quarantined = true where order_id = %s", order_id(order))

    refused = await refusal_of(resolve(till, crew.admin, await till.payment(crew.admin, payment.name), REFUND_ALL))

    assert (refused.reason, refused.metadata) == ("DECISION_NOT_POSSIBLE", {"obstacle": "ORDER_IS_PAID"})
    answered = await resolve(till, crew.admin, await till.payment(crew.admin, payment.name), ACCEPT)
    assert (answered.state, answered.quarantined) == (CAPTURED, False)
    assert await books_agree(till)
