"""Webhooks: each event comes, signed, until it is taken; and every way in which they come wrong."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime

import pytest

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.testing import WEBHOOK_SECRET, SimulatorHandle
from tests.payment_sim.client import Api
from tests.payment_sim.endpoint import Endpoint

PAID = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]


async def test_every_event_comes_once_with_the_bytes_of_the_event_list(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    await api.paid(**{"metadata[order_id]": "7"})
    await simulator.all_delivered()

    assert sorted(endpoint.types()) == PAID
    listed = {event["id"]: event for event in (await api.get("/v1/events")).document["data"]}
    for received in endpoint.received:
        assert received.event == listed[received.event["id"]] | {"pending_webhooks": 1}
        assert received.event["data"]["object"]["metadata"] == {"order_id": "7"}


async def test_an_event_shows_its_object_as_it_was_then(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    await api.held()
    await simulator.all_delivered()
    states = {each.type: each.event["data"]["object"]["status"] for each in endpoint.received if each.type.startswith("payment_intent")}

    assert states == {
        "payment_intent.created": "requires_confirmation",
        "payment_intent.amount_capturable_updated": "requires_capture",
    }


async def test_an_event_comes_until_it_is_taken(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    endpoint.answers = [500, 302, 404]
    await api.create()
    await simulator.all_delivered()

    assert [each.status for each in endpoint.received] == [500, 302, 404, 200]
    assert len({each.event["id"] for each in endpoint.received}) == 1


async def test_while_an_endpoint_is_away_nothing_is_forgotten(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.send_webhooks_to("http://127.0.0.1:9/nobody")
    await api.create()
    pending = (await api.get("/v1/events")).document["data"][0]["pending_webhooks"]
    await asyncio.sleep(0.1)
    assert (pending, endpoint.received) == (1, [])

    simulator.send_webhooks_to(endpoint.url)
    await simulator.all_delivered()
    assert endpoint.types() == ["payment_intent.created"]


async def test_a_lost_event_never_comes_but_is_listed(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.LOST, event="payment_intent.succeeded"))
    paid = await api.paid()
    await simulator.all_delivered()

    assert sorted(endpoint.types()) == PAID[:2]
    assert "payment_intent.succeeded" in await api.events(paid.id)


async def test_an_event_comes_three_times(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.DUPLICATED, Operation.WEBHOOK, delay_s=0.1))
    await api.create()
    await simulator.all_delivered()

    assert endpoint.types() == ["payment_intent.created"] * 3
    assert len({each.event["id"] for each in endpoint.received}) == 1


async def test_events_come_in_the_wrong_order(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.REORDERED, delay_s=0.1))
    await api.paid()
    await simulator.all_delivered()

    assert endpoint.types() == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]


async def test_an_event_comes_late(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.LATE, delay_s=0.4))
    await api.create()
    await asyncio.sleep(0.15)
    assert endpoint.received == []
    await simulator.all_delivered()
    assert endpoint.types() == ["payment_intent.created"]


async def test_an_event_is_replayed_with_its_old_stamp_and_not_repeated(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.REPLAYED))
    await api.create()
    await simulator.all_delivered()

    assert [each.status for each in endpoint.received] == [200, 400]
    stamps = [int(each.header.split(",")[0].removeprefix("t=")) for each in endpoint.received]
    assert stamps[0] - stamps[1] in (3599, 3600, 3601)


async def test_an_event_is_signed_with_a_wrong_secret_first(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.set_faults(Fault(FaultKind.WRONG_SECRET))
    await api.create()
    await simulator.all_delivered()

    assert [each.status for each in endpoint.received] == [400, 200]


@pytest.mark.parametrize("how", ["fault", "two secrets"])
async def test_while_secrets_rotate_there_are_two_signatures(api: Api, simulator: SimulatorHandle, endpoint: Endpoint, how: str) -> None:
    if how == "fault":
        simulator.set_faults(Fault(FaultKind.ROTATED_SECRET))
    else:
        simulator.send_webhooks_to(endpoint.url, "whsec_new", WEBHOOK_SECRET)
    await api.create()
    await simulator.all_delivered()

    [received] = endpoint.received
    assert (received.status, received.header.count("v1=")) == (200, 2)


async def test_an_event_can_be_sent_once_more(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    await api.create()
    await simulator.all_delivered()
    [event] = simulator.events()
    assert (await api.post(f"/control/events/{event.id}/resend")).status == 204
    await simulator.all_delivered()

    assert endpoint.types() == ["payment_intent.created"] * 2


async def test_metadata_choose_how_the_events_of_their_intent_come(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    await api.paid(**{"metadata[scenario]": "webhook_lost"})
    other = await api.create()
    await simulator.all_delivered()

    assert [each.event["data"]["object"]["id"] for each in endpoint.received] == [other.id]


async def test_an_answer_takes_its_time_and_no_event_comes_before_it(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    simulator.behave(latency_s=1.0)
    asking = asyncio.create_task(api.create())
    async with asyncio.timeout(5):
        while not simulator.intents():  # noqa: ASYNC110  it is carried out at once
            await asyncio.sleep(0.01)

    assert not asking.done()
    (asked,) = simulator.arrivals(Operation.CREATE)
    await asking
    assert time.monotonic() - asked.monotonic_s >= 0.99  # timers go by the millisecond
    await simulator.all_delivered()
    assert [(each.type, each.monotonic_s - asked.monotonic_s >= 0.99) for each in endpoint.received] == [("payment_intent.created", True)]


async def test_an_answer_tells_the_time_of_what_it_tells(api: Api, simulator: SimulatorHandle, endpoint: Endpoint) -> None:
    """Not that of its sending: what passes would count above what came after it."""
    simulator.behave(latency_s=2.1)
    made = await api.create()
    await simulator.all_delivered()

    told_at = parsedate_to_datetime(made.headers["Date"]).timestamp()
    assert [told_at - each.event["created"] <= 1 for each in endpoint.received] == [True]
