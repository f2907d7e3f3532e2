"""A message leaves a job only if there is something to do for it: one that says nothing new is done when it is stored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.models import Event
from services.orders.application.payments.ports import Draft
from services.orders.domain.payments.changes import with_intent
from services.orders.domain.payments.facts import Fact, FactKind
from tests.orders.counter import Crew, order_id
from tests.orders.till import Till, eventually

LOST = Fault(FaultKind.LOST, operation=Operation.WEBHOOK)
NO_ANSWER = Fault(FaultKind.DROP, operation=Operation.CREATE, after=True)
CONFIRMATION_REQUIRED = payment_pb2.PAYMENT_STATE_CONFIRMATION_REQUIRED


async def deliver(till: Till, event: Event) -> None:
    body, signature = till.simulator.signed(event)
    await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=10)


async def stored(till: Till, event: Event) -> tuple[str, int]:
    """The state of a message, and how often a job has closed it."""
    (row,) = await till.counter.rows("select state, attempts from webhook_event where event_id = %s", event.id)
    return row.state, row.attempts


async def events_of(till: Till, order: Order) -> dict[str, Event]:
    """The messages of an order's only intent, by type."""
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    return {event.type: event for event in till.simulator.events(intent["id"])}


async def test_what_says_nothing_to_us_is_done_at_once(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(LOST)
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    event = (await events_of(till, order))["charge.succeeded"]

    await deliver(till, event)
    assert await stored(till, event) == ("DONE", 0)
    await deliver(till, event)
    assert await stored(till, event) == ("DONE", 0)


async def test_what_was_known_from_the_answer_is_done_at_once(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(LOST)
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order, card="")
    event = (await events_of(till, order))["payment_intent.created"]

    await deliver(till, event)

    assert await stored(till, event) == ("DONE", 0)


async def test_what_moves_the_payment_on_is_worked_on_though_it_is_known(till: Till, crew: Crew) -> None:
    """Whoever recorded it may have died before what follows from it."""
    till.simulator.set_faults(LOST)
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    event = (await events_of(till, order))["payment_intent.succeeded"]

    await deliver(till, event)

    async def is_worked_on() -> bool:
        return await stored(till, event) == ("DONE", 1)

    assert await eventually(is_worked_on)


async def test_a_payment_whose_answer_was_lost_learns_of_its_intent_by_the_message(till: Till, crew: Crew) -> None:
    """Red if each message that an intent is open was done at once."""
    till.simulator.set_faults(LOST, NO_ANSWER)
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING

    await deliver(till, (await events_of(till, order))["payment_intent.created"])

    async def is_known() -> bool:
        return (await till.payment(crew.customer, payment.name)).state == CONFIRMATION_REQUIRED

    assert await eventually(is_known)


async def test_what_is_about_to_be_recorded_is_not_known(till: Till, crew: Crew, till_database: AsyncEngine) -> None:
    """Whoever records it may yet fail: then only the message tells. Red if the question were answered by what is not committed."""
    till.simulator.set_faults(LOST, NO_ANSWER)
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    event = (await events_of(till, order))["payment_intent.created"]
    async with till_database.connect() as recording:
        await recording.exec_driver_sql("update payment set intent = %s where order_id = %s", (event.intent, order_id(order)))
        await recording.exec_driver_sql(
            "insert into payment_fact select payment_id, 'OPENED', intent, now(), 0, '', '' from payment where order_id = %s",
            (order_id(order),),
        )
        await asyncio.wait_for(deliver(till, event), 5)
        assert (await stored(till, event))[0] == "NEW", "it waits for nobody, and takes nobody's word before it is given"
        await recording.rollback()

    async def is_known() -> bool:
        return (await till.payment(crew.customer, payment.name)).state == CONFIRMATION_REQUIRED

    assert await eventually(is_known)


async def test_the_answer_and_the_message_at_once_lose_nothing(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(LOST, NO_ANSWER)
    records = till.container.paying().records()
    for _ in range(15):
        order = await till.counter.ordered(crew.customer)
        payment = await till.pay(crew.customer, order, card="")
        event = (await events_of(till, order))["payment_intent.created"]
        opened = Fact(FactKind.OPENED, event.intent, datetime.fromtimestamp(event.created, UTC))
        draft = Draft(lambda now, intent=event.intent: with_intent(now, intent), (opened,))  # type: ignore[misc]

        await asyncio.gather(records.record(UUID(payment.name.rpartition("/")[2]), draft), deliver(till, event))

        async def is_done(event: Event = event) -> bool:
            return (await stored(till, event))[0] == "DONE"

        assert await eventually(is_done)
        assert (await till.payment(crew.customer, payment.name)).state == CONFIRMATION_REQUIRED
        kept = await till.counter.rows(
            "select kind, reference, at from payment_fact join payment using (payment_id) where order_id = %s", order_id(order)
        )
        assert [tuple(row) for row in kept] == [("OPENED", event.intent, opened.at)]
