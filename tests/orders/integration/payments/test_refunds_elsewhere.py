"""Money that somebody gave back at the provider itself: it shows in the payment, is not given again, and people are told."""

from __future__ import annotations

import json
import time

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.order_service_pb2 import ReturnedUnits
from galen.orders.v1.payment_service_pb2 import DeliverWebhookRequest

from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.integration.payments.test_given_up import prescribed
from tests.orders.refunding import books_agree, completed, give_back, through
from tests.orders.till import Till, eventually

ALERT = "money was given back at the provider itself"


async def given_at_provider(till: Till, crew: Crew, order: Order, payment: payment_pb2.Payment, amount: int) -> None:
    """Refunds behind the shop's back, and waits until the payment knows."""
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.refund(intent["id"], amount)

    async def is_known() -> bool:
        return (await till.payment(crew.staff, payment.name)).refunded.amount_minor == amount

    assert await eventually(is_known)


def told(till: Till) -> float:
    return float(till.container.registry().get_sample_value("payments_refunds_elsewhere_total") or 0)


async def test_it_shows_and_is_not_given_again_and_people_are_told(till: Till, crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    """Red while only refunds of ours were subtracted: 499 could be given of 299, and the provider refused it."""
    order, before = await till.counter.ordered(crew.customer), told(till)
    payment = await till.pay(crew.customer, order)

    await given_at_provider(till, crew, order, payment, 200)

    refused = await refusal_of(give_back(till, crew.staff, order, amount_minor=300))
    assert (refused.reason, refused.metadata["refundable"]) == ("REFUND_NOT_POSSIBLE", "299")
    assert (await through(till, crew, order)).amount.amount_minor == 299
    after = await till.payment(crew.customer, payment.name)
    assert (after.refunded.amount_minor, after.refund_summary) == (499, payment_pb2.REFUND_SUMMARY_FULL)
    assert await books_agree(till)

    async def are_told() -> bool:
        return told(till) > before

    assert await eventually(are_told)
    await till.simulator.all_delivered()
    said = [line for line in capsys.readouterr().out.splitlines() if ALERT in line]
    assert said
    assert all(payment.name in line and "error" in line for line in said)


async def test_nobody_is_told_of_refunds_of_our_own(till: Till, crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    order, before = await till.counter.ordered(crew.customer), told(till)
    await till.pay(crew.customer, order)
    for amount in (100, 399):
        await through(till, crew, order, amount_minor=amount)
    await till.simulator.all_delivered()

    async def all_done() -> bool:
        return not await till.counter.rows("select 1 from webhook_event where state in ('NEW', 'WAITING')")

    assert await eventually(all_done)
    assert told(till) == before
    assert ALERT not in capsys.readouterr().out


@pytest.mark.parametrize("ends", ["CANCELLED", "RETURNED"])
@pytest.mark.parametrize("amount", [200, 499])
async def test_an_order_that_ends_gives_back_what_is_left(till: Till, crew: Crew, ends: str, amount: int) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order)
    if ends == "RETURNED":
        await completed(crew, await crew.staff.get(order.name))
    await given_at_provider(till, crew, order, payment, amount)

    if ends == "CANCELLED":
        await crew.customer.act("CancelOrder", order, etag="")
    else:
        units = [ReturnedUnits(sku=line.sku, quantity=line.quantity) for line in order.lines]
        await crew.staff.act("AcceptReturn", await crew.staff.get(order.name), lines=units, reason="broken")

    assert [refund.amount.amount_minor for refund in await till.refunds(crew.customer, order)] == ([299] if amount == 200 else [])
    assert (await crew.customer.get(order.name)).state == state_number(ends)


async def test_money_that_was_held_and_let_go_was_not_given_back(till: Till, crew: Crew) -> None:
    """A provider may call that a refund, too, and its messages come in any order. Red while people were told of each that is not ours."""
    order, before = await prescribed(till, crew), told(till)
    await till.pay(crew.customer, order)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    async def states() -> list[str]:
        found = await till.counter.rows("select state from webhook_event where event_id in ('evt_early', 'evt_late') and attempts > 0")
        return [row.state for row in found]

    async def waits() -> bool:
        query = "select 1 from procrastinate_jobs where args ->> 'event_id' = 'evt_early' and attempts > 0"
        return bool(await till.counter.rows(query))

    await let_go(till, intent["id"], "evt_early")
    assert await eventually(waits), "it may be about money that was taken, and nobody has told us yet"
    await crew.pharmacist.act("RejectOrder", await crew.pharmacist.get(order.name), reason="illegible")
    await let_go(till, intent["id"], "evt_late")

    async def are_done() -> bool:
        return await states() == ["DONE", "DONE"]

    assert await eventually(are_done)
    assert told(till) == before


async def let_go(till: Till, intent: str, event_id: str) -> None:
    refund = {"id": "re_let_go", "status": "succeeded", "amount": 499, "currency": "eur", "payment_intent": intent}
    event = {"id": event_id, "type": "refund.created", "created": int(time.time()), "data": {"object": refund}}
    body = json.dumps(event).encode()
    await till.payments.DeliverWebhook(DeliverWebhookRequest(body=body, signature=till.simulator.signature(body)), timeout=10)
