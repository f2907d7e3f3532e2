"""What is shown of payments to whom, which messages are kept for how long, and books that can't be compared."""

from __future__ import annotations

import json
from datetime import timedelta

from galen.orders.v1 import payment_service_pb2 as messages

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from shared.clock import SystemClock
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id
from tests.orders.orders_client import line
from tests.orders.till import Till, eventually


async def test_staff_who_pay_for_themselves_can_confirm_it(till: Till, crew: Crew) -> None:
    both = till.counter.person("customer", "staff")
    order = await till.counter.ordered(both)

    own = await till.pay(both, order, card="")
    assert (bool(own.client_secret), bool(own.provider_reference)) == (True, True)

    seen = await till.payment(crew.staff, own.name)
    assert (seen.client_secret, seen.provider_reference) == ("", own.provider_reference)


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
