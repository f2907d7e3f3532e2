"""The provider in trouble, its messages in every order, orders that end while they are paid: nobody is charged twice or for nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from galen.inventory.v1.inventory_service_pb2 import ListLotsRequest, QuarantineLotRequest
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.orders_client import line
from tests.orders.till import Till, eventually

if TYPE_CHECKING:
    from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub

CAPTURED = payment_pb2.PAYMENT_STATE_CAPTURED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.DROP, operation=Operation.CREATE, times=3),
        Fault(FaultKind.DROP, operation=Operation.CREATE, after=True, times=3),
        Fault(FaultKind.UNAVAILABLE, operation=Operation.CREATE, times=3),
        Fault(FaultKind.INTERNAL_ERROR, operation=Operation.CREATE, times=1),
        Fault(FaultKind.INTERNAL_ERROR, operation=Operation.CREATE, after=True, times=1),
        Fault(FaultKind.KEY_IN_USE, operation=Operation.CREATE, times=3),
        Fault(FaultKind.RATE_LIMIT, operation=Operation.CREATE, times=2),
        Fault(FaultKind.BAD_JSON, operation=Operation.CREATE, times=1),
    ],
    ids=lambda fault: f"{fault.kind}{'-after' if fault.after else ''}",
)
async def test_whatever_becomes_of_the_answer_the_card_is_charged_once(till: Till, crew: Crew, fault: Fault) -> None:
    order = await till.counter.ordered(crew.customer)
    till.simulator.set_faults(fault)

    payment = await till.pay(crew.customer, order)
    ended = await till.ended(crew.customer, payment.name)

    assert ended.state == CAPTURED
    assert till.simulator.faults[0].fired >= 1
    intents = till.simulator.intents(order_id=str(order_id(order)))
    assert sum(intent["amount_received"] for intent in intents) == 499
    assert await eventually(lambda: books_agree(till))


async def books_agree(till: Till) -> bool:
    return await till.differences() == []


async def test_messages_that_never_come_are_looked_for(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.confirm(intent["id"])

    await till.look()

    assert (await till.ended(crew.customer, payment.name)).state == CAPTURED


@pytest.mark.parametrize(
    "kind", [FaultKind.DUPLICATED, FaultKind.REORDERED, FaultKind.REPLAYED, FaultKind.WRONG_SECRET, FaultKind.ROTATED_SECRET]
)
async def test_however_its_messages_come_the_order_is_paid_once(till: Till, crew: Crew, kind: FaultKind) -> None:
    till.simulator.set_faults(Fault(kind, operation=Operation.WEBHOOK, delay_s=0.05))
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.confirm(intent["id"])

    assert (await till.ended(crew.customer, payment.name)).state == CAPTURED
    await till.simulator.all_delivered()
    assert (await crew.customer.get(order.name)).state == state_number("PAID")


async def test_every_order_of_the_messages_of_a_payment_ends_the_same(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    ends = set()
    for order_of_messages in permutations(range(3)):
        order = await till.counter.ordered(crew.customer)
        payment = await till.pay(crew.customer, order, card="")
        (intent,) = till.simulator.intents(order_id=str(order_id(order)))
        await till.simulator.confirm(intent["id"], "pm_card_chargeDeclined")
        await till.simulator.confirm(intent["id"])
        sent = [event for event in till.simulator.events(intent["id"]) if event.type.startswith("payment_intent.")][-3:]
        for place in [*order_of_messages, *order_of_messages]:
            await deliver(till, *till.simulator.signed(sent[place]))
        ended = await till.ended(crew.customer, payment.name)
        ends.add((ended.state, ended.captured.amount_minor, ended.failure))

    assert ends == {(CAPTURED, 499, "")}


async def deliver(till: Till, body: bytes, signature: str) -> None:
    await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=10)


@pytest.mark.parametrize("age_s", [301, -301])
async def test_a_message_with_a_stamp_far_from_now_is_refused(till: Till, crew: Crew, age_s: int) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    event = till.simulator.events()[-1]

    assert (await refusal_of(deliver(till, *till.simulator.signed(event, age_s=age_s)))).reason == "WEBHOOK_SIGNATURE_INVALID"


@pytest.mark.parametrize("signature", ["", "t=1", "v1=ab", "t=x,v1=ab", "t=1,v1=", "t=99999999999999,v1=ab", "," * 2000])
async def test_a_message_that_nobody_signed_is_refused(till: Till, signature: str) -> None:
    refused = await refusal_of(deliver(till, b"{}", signature))

    assert refused.reason in ("WEBHOOK_SIGNATURE_INVALID", "INVALID_REQUEST")


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"{}", b'{"id":1}', b"\xff", b'{"id":"evt","type":"payment_intent.x","created":1,"data":{}}']
)
async def test_a_signed_message_that_is_none_is_refused(till: Till, body: bytes) -> None:
    assert (await refusal_of(deliver(till, body, till.simulator.signature(body)))).reason == "WEBHOOK_SIGNATURE_INVALID"


async def test_money_that_does_not_fit_is_set_aside_for_people(till: Till, crew: Crew) -> None:
    sku = await till.counter.medicine(rx_required=True)
    order = await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))
    payment = await till.pay(crew.customer, order)
    till.simulator.set_faults(Fault(FaultKind.CAPTURE_LESS, operation=Operation.CAPTURE))

    await crew.pharmacist.act("ApproveOrder", await crew.pharmacist.get(order.name))

    async def is_quarantined() -> bool:
        return (await till.payment(crew.customer, payment.name)).quarantined

    assert await eventually(is_quarantined)
    assert (await crew.customer.get(order.name)).state == state_number("UNDER_REVIEW")


async def test_the_same_payment_started_twice_at_once_is_one(till: Till, crew: Crew) -> None:
    order, request_id = await till.counter.ordered(crew.customer), str(uuid4())

    payments = await asyncio.gather(*(till.pay(crew.customer, order, request_id=request_id) for _ in range(4)))

    assert len({payment.name for payment in payments}) == 1
    assert (await till.ended(crew.customer, payments[0].name)).state == CAPTURED
    assert [intent["amount_received"] for intent in till.simulator.intents(order_id=str(order_id(order)))] == [499]


async def test_of_two_clicks_one_pays(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)

    clicks = await asyncio.gather(*(till.pay(crew.customer, order) for _ in range(2)), return_exceptions=True)

    assert sum(not isinstance(click, Exception) for click in clicks) == 1
    assert await eventually(lambda: is_paid(crew, order.name))
    assert [intent["amount_received"] for intent in till.simulator.intents(order_id=str(order_id(order)))] == [499]


async def is_paid(crew: Crew, name: str) -> bool:
    return (await crew.customer.get(name)).state == state_number("PAID")


@pytest.mark.parametrize("ends", ["cancel", "expire"])
async def test_an_order_is_either_paid_or_ended_never_both(till: Till, crew: Crew, ends: str) -> None:
    for delay_s in (0.0, 0.01, 0.02, 0.04, 0.08):
        order = await till.counter.ordered(crew.customer)
        payment = await till.pay(crew.customer, order, card="")
        (intent,) = till.simulator.intents(order_id=str(order_id(order)))

        async def end(order: Order = order, delay_s: float = delay_s) -> None:
            await asyncio.sleep(delay_s)
            if ends == "cancel":
                await crew.customer.act("CancelOrder", order, etag="")
            else:
                await till.counter.due(order)
                await till.counter.steps.expire(order_id(order))

        await asyncio.gather(till.simulator.confirm(intent["id"]), end(), return_exceptions=True)
        ended = await till.ended(crew.customer, payment.name)
        after = await crew.customer.get(order.name)

        if after.state == state_number("PAID"):
            assert ended.state == CAPTURED
        else:
            assert after.state in (state_number("CANCELLED"), state_number("EXPIRED"))
            assert await eventually(partial(keeps_nothing, till, crew, payment.name))
    assert await eventually(lambda: books_agree(till))


async def keeps_nothing(till: Till, crew: Crew, name: str) -> bool:
    payment = await till.payment(crew.customer, name)
    return payment.captured == payment.refunded


async def test_units_that_are_lost_while_they_are_paid_for_cost_nothing(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 100)
    payment = await till.pay(crew.customer, order, "MIXED", points_minor=100, card="")
    await quarantine_all(till, crew)
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))

    await till.simulator.confirm(intent["id"])

    ended = await till.ended(crew.customer, payment.name)
    after = await crew.customer.get(order.name)
    assert (after.state, after.cancel_reason) == (state_number("CANCELLED"), "OUT_OF_STOCK")
    assert ended.state == CAPTURED
    await till.refunded(crew.customer, order)
    assert (await till.account(crew.customer)).available == 100
    assert await eventually(lambda: books_agree(till))


async def quarantine_all(till: Till, crew: Crew) -> None:
    inventory: InventoryServiceAsyncStub = InventoryServiceStub(till.server.channel)
    found = await inventory.ListLots(ListLotsRequest(parent=till.counter.location), metadata=crew.staff.metadata, timeout=10)
    for lot in found.lots:
        request = QuarantineLotRequest(name=lot.name, reason="damaged", request_id=str(uuid4()))
        await inventory.QuarantineLot(request, metadata=crew.staff.metadata, timeout=10)
