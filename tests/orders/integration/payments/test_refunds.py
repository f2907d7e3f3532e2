"""What was paid is given back: by units, by amount or all of it, by card and points as it was paid, never more than was paid."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import order_service_pb2, payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from shared.grpc.errors import peer_error
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.orders_client import line
from tests.orders.refunding import FAILED, SUCCEEDED, books_agree, completed, give_back, refund_in, through
from tests.orders.till import Till, eventually

PENDING = payment_pb2.REFUND_STATE_PENDING


async def paid(till: Till, crew: Crew, *, points_minor: int = 0, card: str = "pm_card_visa") -> tuple[Order, str, str]:
    """An order of 3 x 499 + 1 x 1003 = 2500 that is paid; and its SKUs."""
    cheap, dear = await till.counter.medicine(price_minor=499), await till.counter.medicine(price_minor=1003)
    order = await till.counter.ordered(crew.customer, line(cheap, 3), line(dear, 1))
    if points_minor:
        await till.give_points(crew.customer, points_minor)
    payment = await till.pay(crew.customer, order, "MIXED" if points_minor else "CARD", points_minor=points_minor, card=card)
    assert payment.state == payment_pb2.PAYMENT_STATE_CAPTURED
    return order, cheap, dear


def shares(refund: payment_pb2.Refund) -> tuple[int, int, int]:
    return refund.amount.amount_minor, refund.card_amount.amount_minor, refund.points_minor


def money(till: Till, order: Order) -> tuple[int, int]:
    """What the provider took and gave back."""
    lines = [line for line in till.simulator.money()["payment_intents"] if line["metadata"]["order_id"] == str(order_id(order))]
    return sum(line["captured"] for line in lines), sum(line["refunded"] for line in lines)


async def test_an_amount_then_units_then_all_that_is_left_is_all_that_was_paid(till: Till, crew: Crew) -> None:
    order, cheap, _ = await paid(till, crew, points_minor=1000)

    amount = await through(till, crew, order, amount_minor=333)
    units = await through(till, crew, order, units={cheap: 2})
    rest = await through(till, crew, order)

    assert [shares(refund) for refund in (amount, units, rest)] == [(333, 200, 133), (998, 599, 399), (1169, 701, 468)]
    assert [(one.sku, one.quantity, one.amount.amount_minor) for one in units.lines] == [(cheap, 2, 998)]
    assert money(till, order) == (1500, 1500)
    assert (await till.account(crew.customer)).available == 1000
    (payment,) = (
        await till.payments.ListPayments(messages.ListPaymentsRequest(parent=order.name), metadata=crew.staff.metadata, timeout=10)
    ).payments
    assert (payment.refunded.amount_minor, payment.points_returned_minor) == (1500, 1000)
    assert payment.refund_summary == payment_pb2.REFUND_SUMMARY_FULL
    assert (await crew.customer.get(order.name)).state == state_number("PAID")
    assert await books_agree(till)


async def test_part_of_it_is_part_of_it(till: Till, crew: Crew) -> None:
    order, _, dear = await paid(till, crew)

    refund = await through(till, crew, order, units={dear: 1})

    assert (refund.reason, refund.failure, refund.HasField("finish_time")) == ("was broken", "", True)
    assert (await till.payment(crew.staff, refund.payment)).refund_summary == payment_pb2.REFUND_SUMMARY_PARTIAL


async def test_never_more_than_was_paid(till: Till, crew: Crew) -> None:
    order, cheap, dear = await paid(till, crew, points_minor=1000)
    await through(till, crew, order, units={cheap: 2})

    for wanted, left in (
        ({"amount_minor": 1503}, "1502"),
        ({"amount_minor": 2**63 - 1}, "1502"),
        ({"units": {cheap: 2}}, "1502"),
        ({"units": {dear: 2}}, "1502"),
        ({"units": {"UNKNOWN": 1}}, "1502"),
    ):
        refused = await refusal_of(give_back(till, crew.staff, order, **wanted))
        assert (refused.reason, refused.metadata) == ("REFUND_NOT_POSSIBLE", {"refundable": left})
    await through(till, crew, order)
    refused = await refusal_of(give_back(till, crew.staff, order))
    assert (refused.reason, refused.metadata) == ("REFUND_NOT_POSSIBLE", {"refundable": "0"})
    assert money(till, order) == (1500, 1500)


async def test_nobody_gives_themselves_their_money_back(till: Till, crew: Crew) -> None:
    for role in ("staff", "admin"):
        both = till.counter.person(role)
        order, _, _ = await paid(till, replace(crew, customer=both))

        refused = await refusal_of(give_back(till, both, order))

        assert (refused.reason, refused.code) == ("OWN_ORDER", grpc.StatusCode.FAILED_PRECONDITION)
        assert await till.refunds(both, order) == []
        await through(till, crew, order)


async def test_what_nobody_paid_is_not_given_back(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    assert (await refusal_of(give_back(till, crew.staff, order))).reason == "REFUND_NOT_POSSIBLE"

    await till.pay(crew.customer, order, card="")
    assert (await refusal_of(give_back(till, crew.staff, order))).reason == "REFUND_NOT_POSSIBLE"


async def test_the_same_request_is_the_same_refund_and_another_body_is_refused(till: Till, crew: Crew) -> None:
    order, _, _ = await paid(till, crew)
    request_id = str(uuid4())

    answers = await asyncio.gather(*(give_back(till, crew.staff, order, amount_minor=100, request_id=request_id) for _ in range(4)))
    reused = await refusal_of(give_back(till, crew.staff, order, amount_minor=101, request_id=request_id))
    await refund_in(till, crew.staff, answers[0].name)
    again = await give_back(till, crew.staff, order, amount_minor=100, request_id=request_id)

    assert {answer.name for answer in answers} == {again.name}
    assert again.state == SUCCEEDED
    assert reused.reason == "REQUEST_ID_REUSED"
    assert money(till, order) == (2500, 100)


async def test_refunds_at_once_never_exceed_what_was_paid(till: Till, crew: Crew) -> None:
    """Red without the lock of the order: then two see the same that is left (and the order's version refuses the second one's event)."""
    for _ in range(3):
        order, cheap, _ = await paid(till, crew, points_minor=500)

        answers = await asyncio.gather(
            *(give_back(till, crew.staff, order, amount_minor=900) for _ in range(4)),
            *(give_back(till, crew.staff, order, units={cheap: 3}) for _ in range(2)),
            return_exceptions=True,
        )

        given = [answer for answer in answers if isinstance(answer, payment_pb2.Refund)]
        refusals = {peer_error(answer).reason for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}
        assert given
        assert refusals == {"REFUND_NOT_POSSIBLE"}
        assert sum(refund.amount.amount_minor for refund in given) <= 2500
        assert sum(len(refund.lines) for refund in given) <= 1
        for refund in given:
            await refund_in(till, crew.staff, refund.name, SUCCEEDED)
        if sum(refund.amount.amount_minor for refund in given) < 2500:
            await through(till, crew, order)
        assert money(till, order) == (2000, 2000)
        assert (await till.account(crew.customer)).available >= 500
    assert await books_agree(till)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.DROP, operation=Operation.REFUND, after=True, times=3),
        Fault(FaultKind.INTERNAL_ERROR, operation=Operation.REFUND, times=1),
        Fault(FaultKind.INTERNAL_ERROR, operation=Operation.REFUND, after=True, times=1),
        Fault(FaultKind.KEY_IN_USE, operation=Operation.REFUND, times=3),
        Fault(FaultKind.BAD_JSON, operation=Operation.REFUND, times=1),
    ],
    ids=lambda fault: f"{fault.kind}{'-after' if fault.after else ''}",
)
async def test_whatever_becomes_of_the_answer_it_is_given_back_once(till: Till, crew: Crew, fault: Fault) -> None:
    order, _, _ = await paid(till, crew)
    till.simulator.set_faults(fault)

    await through(till, crew, order, amount_minor=700)

    assert till.simulator.faults[0].fired >= 1
    assert money(till, order) == (2500, 700)
    assert await books_agree(till)


async def test_a_refund_that_takes_its_time_at_the_provider_is_waited_for(till: Till, crew: Crew) -> None:
    order, _, _ = await paid(till, crew, card="pm_card_pendingRefund")

    refund = await give_back(till, crew.staff, order)
    done = await refund_in(till, crew.staff, refund.name)

    assert (refund.state, done.state) == (PENDING, SUCCEEDED)
    assert (await till.payment(crew.staff, refund.payment)).refunded.amount_minor == 2500


async def test_a_refund_that_the_provider_refuses_for_good_fails_and_can_be_given_again(till: Till, crew: Crew) -> None:
    order, _, _ = await paid(till, crew, points_minor=500, card="pm_card_pendingRefundFail")

    failed = await refund_in(till, crew.staff, (await give_back(till, crew.staff, order)).name)

    assert (failed.state, bool(failed.failure), failed.HasField("finish_time")) == (FAILED, True, False)
    payment = await till.payment(crew.staff, failed.payment)
    assert (payment.refunded.amount_minor, payment.points_returned_minor, payment.refund_summary) == (0, 0, 0)
    assert money(till, order) == (2000, 0)
    assert (await till.account(crew.customer)).available == 0
    assert await books_agree(till)

    till.simulator.set_faults(Fault(FaultKind.CARD, operation=Operation.REFUND))
    assert shares(await through(till, crew, order)) == (2500, 2000, 500)
    assert money(till, order) == (2000, 2000)
    assert await books_agree(till)


async def test_an_intent_that_the_provider_does_not_know_is_a_difference_in_the_books(till: Till, crew: Crew) -> None:
    order, _, _ = await paid(till, crew)
    await till.counter.rows("update payment set intent = 'pi_nobody' where order_id = %s", order_id(order))

    found = await till.differences()

    rules = [messages.PAYMENT_RULE_CAPTURED_IS_CAPTURED_AT_PROVIDER, messages.PAYMENT_RULE_REFUNDED_IS_REFUNDED_AT_PROVIDER]
    assert [(one.rule, one.actual) for one in found] == [(rule, "resource_missing") for rule in rules]
    await till.counter.rows("update payment set created_at = created_at - interval '1 day' where order_id = %s", order_id(order))


async def test_what_was_given_back_at_the_provider_itself_is_in_our_books(till: Till, crew: Crew) -> None:
    order, _, _ = await paid(till, crew)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    await till.simulator.refund(intent["id"], 300)

    async def is_known() -> bool:
        (payment,) = (
            await till.payments.ListPayments(messages.ListPaymentsRequest(parent=order.name), metadata=crew.staff.metadata, timeout=10)
        ).payments
        return payment.refunded.amount_minor == 300

    assert await eventually(is_known)
    assert await books_agree(till)


async def test_returned_units_are_given_back_but_not_those_that_were_before(till: Till, crew: Crew) -> None:
    order, cheap, dear = await paid(till, crew, points_minor=1000)
    await through(till, crew, order, units={cheap: 1})
    order = await completed(crew, order)

    lines = [order_service_pb2.ReturnedUnits(sku=sku, quantity=count) for sku, count in ((cheap, 2), (dear, 1))]
    returned = await crew.staff.act("AcceptReturn", order, lines=lines, reason="leaks")

    assert returned.state == state_number("RETURNED")
    assert await eventually(partial(has_refunds, till, crew, order, 2))
    ours = next(refund for refund in await till.refunds(crew.customer, order) if refund.reason == "leaks")
    assert sorted((one.sku, one.quantity) for one in ours.lines) == sorted([(cheap, 1), (dear, 1)])
    assert ours.amount.amount_minor == 499 + 1003
    assert money(till, order) == (1500, 1201)
    assert (await till.account(crew.customer)).available == 800
    assert await books_agree(till)


async def has_refunds(till: Till, crew: Crew, order: Order, count: int) -> bool:
    """Whether so many are through at the provider and in the ledger; points that they earned may still be awaited."""
    found = await till.refunds(crew.customer, order)
    payment = await till.payment(crew.staff, found[0].payment)
    given = payment.refunded.amount_minor + payment.points_returned_minor
    return len(found) == count and given == sum(refund.amount.amount_minor for refund in found)


async def test_what_cost_nothing_comes_back_without_a_refund(till: Till, crew: Crew) -> None:
    free, dear = await till.counter.medicine(price_minor=0), await till.counter.medicine(price_minor=1003)
    order = await till.counter.ordered(crew.customer, line(free, 1), line(dear, 1))
    await till.pay(crew.customer, order)
    order = await completed(crew, order)

    back = await crew.staff.act("AcceptReturn", order, lines=[order_service_pb2.ReturnedUnits(sku=free, quantity=1)], reason="leaks")

    assert back.state == state_number("RETURNED")
    assert await till.refunds(crew.customer, order) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_minor": -1},
        {"reason": ""},
        {"reason": "a\x00b"},
        {"reason": "x" * 501},
        {"request_id": "no"},
        {"units": {"A": 0}},
        {"units": {"A": -1}},
        {"units": {"../etc": 1}},
        {"units": {"A": 1}, "amount_minor": 1},
        {"units": {f"A{number}": 1 for number in range(201)}},
    ],
    ids=str,
)
async def test_a_refund_that_is_none_is_refused(till: Till, crew: Crew, fields: dict[str, object]) -> None:
    order = await till.counter.ordered(crew.customer)

    assert (await refusal_of(give_back(till, crew.staff, order, **fields))).code == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_line_named_twice_is_refused(till: Till, crew: Crew) -> None:
    order, cheap, _ = await paid(till, crew)
    twice = [messages.RefundLine(sku=cheap, quantity=1)] * 2
    request = messages.CreateRefundRequest(order=order.name, lines=twice, reason="r", request_id=str(uuid4()))

    call = till.payments.CreateRefund(request, metadata=crew.staff.metadata, timeout=10)

    assert (await refusal_of(call)).reason == "DUPLICATE_SKU"
