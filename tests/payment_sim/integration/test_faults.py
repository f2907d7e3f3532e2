"""Faults of requests: ordered by the control endpoint, by metadata, and by chance."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from deploy.local.payment_sim.faults import SCENARIOS, FaultKind
from deploy.local.payment_sim.testing import SimulatorHandle
from tests.payment_sim.client import AUTHORIZATION, Api


async def control(http: aiohttp.ClientSession, method: str, url: str, document: Any = None) -> tuple[int, Any]:
    async with http.request(method, url, data=None if document is None else json.dumps(document)) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def schedule(api: Api, http: aiohttp.ClientSession, *lines: dict[str, Any]) -> None:
    status, _ = await control(http, "PUT", f"{api.url}/control/faults", {"faults": lines})
    assert status == 200


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("internal_error", 500, "api_error"),
        ("rate_limit", 429, "rate_limit"),
        ("lock_timeout", 429, "lock_timeout"),
        ("key_in_use", 409, "idempotency_key_in_use"),
    ],
)
async def test_a_request_is_refused_as_often_as_ordered(
    api: Api, http: aiohttp.ClientSession, simulator: SimulatorHandle, kind: str, status: int, code: str
) -> None:
    await schedule(api, http, {"kind": kind, "operation": "create", "times": 2})
    refused = [await api.create() for _ in range(2)]

    assert [(reply.status, reply.code) for reply in refused] == [(status, code)] * 2
    assert (await api.create()).status == 200
    _, told = await control(http, "GET", f"{api.url}/control/faults")
    assert told["faults"][0]["fired"] == 2
    assert len(simulator.intents()) == 1


async def test_a_throttled_request_is_told_for_how_long(api: Api, http: aiohttp.ClientSession) -> None:
    await schedule(api, http, {"kind": "rate_limit", "times": 1, "retry_after_s": 3})

    assert (await api.create()).headers["Retry-After"] == "3"


async def test_a_fault_for_one_payment_leaves_others_alone(api: Api, http: aiohttp.ClientSession) -> None:
    await schedule(api, http, {"kind": "unavailable", "payment": "order-7"})

    assert (await api.create(**{"metadata[order_id]": "order-7"})).status == 503
    other = await api.create(**{"metadata[order_id]": "order-8"})
    assert (other.status, (await api.get(f"/v1/payment_intents/{other.id}")).status) == (200, 200)


async def test_a_dropped_connection_after_the_charge_leaves_the_charge(
    api: Api, http: aiohttp.ClientSession, simulator: SimulatorHandle
) -> None:
    await schedule(api, http, {"kind": "drop", "operation": "create", "after": True, "times": 1})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api.paid()

    assert simulator.money()["totals"]["rub"]["captured"] == 70_000
    assert simulator.arrivals()[0].status == 0


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("decline", (402, "requires_payment_method")),
        ("expired_card", (402, "requires_payment_method")),
        ("requires_action", (200, "requires_action")),
        ("processing", (200, "processing")),
        ("charge_then_error", (500, "succeeded")),
        ("charge_then_drop", (0, "succeeded")),
        ("nonsense, webhook_lost", (200, "succeeded")),
    ],
)
async def test_metadata_choose_what_becomes_of_a_payment(api: Api, simulator: SimulatorHandle, word: str, outcome: tuple[int, str]) -> None:
    try:
        status = (await api.paid(**{"metadata[scenario]": word})).status
    except aiohttp.ServerDisconnectedError:
        status = 0

    assert (status, simulator.intents()[0]["status"]) == outcome


async def test_a_word_can_be_meant_for_another_request_and_strikes_once(api: Api) -> None:
    held = await api.paid(capture_method="manual", **{"metadata[scenario]": "rate_limit@capture, partial_capture"})

    assert (await api.move(held.id, "capture")).status == 429
    assert (await api.move(held.id, "capture")).document["amount_received"] == 69_999


async def test_every_fault_can_be_chosen_by_a_word() -> None:
    assert {fault.kind for fault in SCENARIOS.values()} == set(FaultKind)


@pytest.mark.parametrize(
    "document",
    [
        {"faults": [{"kind": "no such"}]},
        {"faults": [{"kind": "drop", "tiems": 1}]},
        {"faults": [{"kind": "card", "card": "pm_card_gold"}]},
        {"faults": [{"kind": "drop", "operation": "pay"}]},
        {"faults": {}},
        [],
        {"fault": []},
    ],
)
async def test_a_schedule_with_a_mistake_is_refused_whole(
    api: Api, http: aiohttp.ClientSession, simulator: SimulatorHandle, document: object
) -> None:
    assert (await control(http, "PUT", f"{api.url}/control/faults", document))[0] == 400
    assert simulator.faults == ()


async def test_chaos_is_the_same_for_the_same_seed_and_ends_when_told(api: Api, http: aiohttp.ClientSession) -> None:
    async def statuses() -> list[int]:
        await control(http, "PUT", f"{api.url}/control/settings", {"chaos_seed": 11, "chaos_rate": 0.5})
        seen = []
        for _ in range(30):
            try:
                seen.append((await api.paid()).status)
            except aiohttp.ServerDisconnectedError:
                seen.append(0)
        return seen

    await control(http, "PUT", f"{api.url}/control/settings", {"latency_s": 0})
    first, second = await statuses(), await statuses()
    assert first == second
    assert len(set(first)) > 4
    _, settings = await control(http, "PUT", f"{api.url}/control/settings", {"chaos_seed": None})
    assert settings["chaos_seed"] is None
    assert {(await api.paid()).status for _ in range(20)} == {200}


async def test_all_is_as_at_the_start_after_a_reset(api: Api, http: aiohttp.ClientSession, simulator: SimulatorHandle) -> None:
    await schedule(api, http, {"kind": "slow", "delay_s": 0})
    await control(http, "PUT", f"{api.url}/control/settings", {"webhook_url": "http://127.0.0.1:9", "hold_s": 1})
    await api.paid()
    assert (await control(http, "DELETE", f"{api.url}/control"))[0] == 204

    assert (simulator.intents(), simulator.faults, simulator.arrivals()) == ([], (), [])
    assert (await control(http, "GET", f"{api.url}/control/settings"))[1]["webhook_url"] == ""
    assert (await control(http, "GET", f"{api.url}/control/money"))[1] == {"payment_intents": [], "totals": {}}


async def test_settings_with_a_mistake_are_refused(api: Api, http: aiohttp.ClientSession) -> None:
    for document in (
        {"hold_s": -1},
        {"webhook_url": "ftp://x"},
        {"webhook_secrets": [""]},
        {"chaos_seed": 1.5},
        {"chaos_rate": 2},
        {"x": 1},
    ):
        assert (await control(http, "PUT", f"{api.url}/control/settings", document))[0] == 400, document


async def test_requests_are_logged_with_key_fault_and_status(api: Api, http: aiohttp.ClientSession) -> None:
    await schedule(api, http, {"kind": "lock_timeout", "operation": "create", "times": 1})
    await api.create(key="k")
    made = await api.create(key="k")
    await api.get(f"/v1/payment_intents/{made.id}")
    _, told = await control(http, "GET", f"{api.url}/control/requests?operation=create&key=k")

    assert told["total"] == 3
    assert [(line["status"], line["fault"], line["key"]) for line in told["requests"]] == [(429, "lock_timeout", "k"), (200, None, "k")]
    assert AUTHORIZATION not in json.dumps(told)
