"""What is shown of payments to whom, which messages are kept for how long, and books that can't be compared."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from shared.clock import SystemClock
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id
from tests.orders.orders_client import line
from tests.orders.till import Till, eventually

CAPTURED = payment_pb2.PAYMENT_STATE_CAPTURED


async def test_staff_who_pay_for_themselves_can_confirm_it(till: Till, crew: Crew) -> None:
    both = till.counter.person("customer", "staff")
    order = await till.counter.ordered(both)

    own = await till.pay(both, order, card="")
    assert (bool(own.client_secret), bool(own.provider_reference)) == (True, True)

    seen = await till.payment(crew.staff, own.name)
    assert (seen.client_secret, seen.provider_reference) == ("", own.provider_reference)


async def test_what_is_only_needed_to_pay_is_forgotten_when_the_payment_has_ended(till: Till, crew: Crew) -> None:
    async def kept(order: Order) -> tuple[bool, ...]:
        query = "select card, client_secret, redirect_url from payment where order_id = %s"
        (row,) = await till.counter.rows(query, order_id(order))
        return tuple(bool(value) for value in row)

    order, request_id = await till.counter.ordered(crew.customer), str(uuid4())
    waiting = await till.pay(crew.customer, order, card="pm_card_authenticationRequired", request_id=request_id)
    assert waiting.next_action.redirect_url
    assert await kept(order) == (True, True, True)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.complete_action(intent["id"])

    ended = await till.ended(crew.customer, waiting.name)

    assert await kept(order) == (False, False, False)
    again = await till.pay(crew.customer, order, card="pm_card_authenticationRequired", request_id=request_id)
    assert (again.name, again.state, again.client_secret) == (ended.name, CAPTURED, "")


@pytest.mark.parametrize("ends", ["declined", "cancelled", "too late"])
async def test_however_it_ends_nothing_is_kept_that_could_pay(till: Till, crew: Crew, ends: str) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="pm_card_chargeDeclined" if ends == "declined" else "")
    if ends == "cancelled":
        await crew.customer.act("CancelOrder", order, etag="")
    elif ends == "too late":
        await till.counter.rows("update stock_lot set expires_on = current_date - 1 where sku = %s", order.lines[0].sku)
        (intent,) = till.simulator.intents(order_id=str(order_id(order)))
        await till.simulator.confirm(intent["id"])
    await till.ended(crew.customer, payment.name)

    query = "select card || client_secret || redirect_url as secrets from payment where order_id = %s"
    assert [row.secrets for row in await till.counter.rows(query, order_id(order))] == [""]


async def test_books_that_cannot_be_compared_now_can_be_later(till: Till, crew: Crew) -> None:
    await till.pay(crew.customer, await till.counter.ordered(crew.customer))
    till.simulator.set_faults(Fault(FaultKind.UNAVAILABLE, operation=Operation.GET))

    assert (await refusal_of(till.differences())).reason == "UNAVAILABLE"


async def test_a_message_about_a_payment_that_never_becomes_known_is_left_to_people_in_the_end(till: Till) -> None:
    made = SystemClock().now() - timedelta(days=4)
    intent = {"id": "pi_nobodys", "status": "canceled", "currency": "eur", "metadata": {}}
    body = json.dumps(
        {"id": "evt_nobodys", "type": "payment_intent.canceled", "created": int(made.timestamp()), "data": {"object": intent}}
    ).encode()
    request = messages.DeliverWebhookRequest(body=body, signature=till.simulator.signature(body))
    await till.payments.DeliverWebhook(request, timeout=10)

    async def is_left() -> bool:
        kept = await till.counter.rows("select state from webhook_event where event_id = 'evt_nobodys'")
        jobs = await till.counter.rows("select 1 from procrastinate_jobs where args ->> 'event_id' = 'evt_nobodys'")
        return [row.state for row in kept] == ["WAITING"] and not jobs

    assert await eventually(is_left)


async def test_messages_that_were_worked_on_long_ago_are_forgotten(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer, line(await till.counter.medicine()))
    await till.pay(crew.customer, order)
    await till.simulator.all_delivered()
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    async def states() -> list[str]:
        rows = await till.counter.rows("select state from webhook_event where object_id = %s", intent["id"])
        return [row.state for row in rows]

    async def are_done() -> bool:
        return set(await states()) == {"DONE"}

    assert await eventually(are_done)
    one = "update webhook_event set created_at = created_at - interval '61 days' where object_id = %s"
    await till.counter.rows(one, intent["id"])
    await till.container.paying().messages().forget()

    assert await states() == []
