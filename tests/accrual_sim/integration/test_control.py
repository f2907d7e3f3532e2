"""The control endpoint over HTTP, as a test in another process uses it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator


class Control:
    """Calls the control endpoint; answers must be 2xx."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def call(self, method: str, path: str, document: object = None) -> Any:
        async with self._http.request(method, self._url + path, json=document, raise_for_status=True) as response:
            return await response.json() if response.status == 200 else None

    async def status_of(self, number: str) -> int:
        async with self._http.get(f"{self._url}/api/orders/{number}") as response:
            return response.status


@pytest.fixture
async def control(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> Control:
    return Control(http, any_simulator.url)


async def test_faults_are_ordered_shown_with_their_counts_and_dropped(control: Control) -> None:
    await control.call("PUT", "/control/faults", {"faults": [{"kind": "internal_error", "order": "18", "times": 5}]})
    assert [await control.status_of("18"), await control.status_of("26")] == [500, 204]
    (line,) = (await control.call("GET", "/control/faults"))["faults"]
    assert (line["kind"], line["order"], line["times"], line["fired"]) == ("internal_error", "18", 5, 1)
    await control.call("DELETE", "/control/faults")
    assert await control.status_of("18") == 204


async def test_a_bad_schedule_leaves_the_old_one(control: Control) -> None:
    await control.call("PUT", "/control/faults", {"faults": [{"kind": "internal_error"}]})
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await control.call("PUT", "/control/faults", {"faults": [{"kind": "no_content"}, {"kind": "no_such_kind"}]})
    assert await control.status_of("18") == 500


async def test_arrivals_are_listed_with_their_times(control: Control) -> None:
    before = time.monotonic()
    await control.status_of("18")
    await control.status_of("26")
    listed = await control.call("GET", "/control/requests")
    assert listed["total"] == 2
    assert [(entry["order"], entry["operation"], entry["status"]) for entry in listed["requests"]] == [
        ("18", "get_order", 204),
        ("26", "get_order", 204),
    ]
    assert before <= listed["requests"][0]["monotonic_s"] <= listed["requests"][1]["monotonic_s"] <= time.monotonic()
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(listed["requests"][0]["arrived_at"]) < timedelta(seconds=10)
    assert [entry["order"] for entry in (await control.call("GET", "/control/requests?order=26"))["requests"]] == ["26"]
    assert (await control.call("GET", "/control/requests?operation=post_order"))["requests"] == []
    await control.call("DELETE", "/control/requests")
    assert await control.call("GET", "/control/requests") == {"total": 0, "requests": []}


async def test_settings_change_one_by_one_and_go_back(http: aiohttp.ClientSession) -> None:
    async with running_simulator(rate_limit_per_minute=100) as simulator:
        control = Control(http, simulator.url)
        first = {"calculation_delay_s": 0.0, "rate_limit_per_minute": 100, "auto_register": False}
        assert await control.call("GET", "/control/settings") == first
        assert await control.call("PUT", "/control/settings", {"auto_register": True}) == first | {"auto_register": True}
        assert await control.status_of("18") == 200
        await control.call("PUT", "/control/settings", {"rate_limit_per_minute": 1, "calculation_delay_s": 0.5})
        assert await control.status_of("18") == 429
        await control.call("DELETE", "/control/settings")
        assert await control.call("GET", "/control/settings") == first
        assert await control.status_of("18") == 200


async def test_an_order_gets_the_outcome_a_test_wants(control: Control) -> None:
    await control.call("PUT", "/control/orders/18", {"status": "PROCESSING"})
    assert await control.call("GET", "/api/orders/18") == {"order": "18", "status": "PROCESSING"}
    await control.call("PUT", "/control/orders/18", {"status": "PROCESSED", "accrual": 729.98})
    assert await control.call("GET", "/api/orders/18") == {"order": "18", "status": "PROCESSED", "accrual": 729.98}
    await control.call("PUT", "/control/orders/18", {"status": "INVALID"})
    assert await control.call("GET", "/api/orders/18") == {"order": "18", "status": "INVALID"}


async def test_state_is_forgotten_apart_from_the_rest(control: Control) -> None:
    await control.call("PUT", "/control/orders/18", {"status": "INVALID"})
    await control.call("PUT", "/control/faults", {"faults": [{"kind": "internal_error", "order": "26"}]})
    await control.call("DELETE", "/control/state")
    assert [await control.status_of("18"), await control.status_of("26")] == [204, 500]


async def test_everything_is_reset_at_once(control: Control) -> None:
    await control.call("PUT", "/control/orders/18", {"status": "INVALID"})
    await control.call("PUT", "/control/faults", {"faults": [{"kind": "internal_error"}]})
    await control.call("PUT", "/control/settings", {"auto_register": True})
    await control.call("DELETE", "/control")
    assert await control.status_of("18") == 204
    assert (await control.call("GET", "/control/requests"))["total"] == 1
