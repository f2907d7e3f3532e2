"""Every fault as a client sees it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from deploy.local.accrual_sim.faults import Fault, FaultKind, Operation, RetryAfterForm
from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.testing import SimulatorHandle


@pytest.fixture
async def settled(simulator: SimulatorHandle) -> SimulatorHandle:
    """Knows order 18 as PROCESSED with 5 points."""
    await simulator.settle_order("18", Status.PROCESSED, 5)
    return simulator


async def asked(http: aiohttp.ClientSession, simulator: SimulatorHandle, number: str = "18") -> tuple[int, str]:
    async with http.get(f"{simulator.url}/api/orders/{number}") as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("kind", "status"), [(FaultKind.INTERNAL_ERROR, 500), (FaultKind.NO_CONTENT, 204)])
async def test_a_fault_hits_as_often_as_ordered_and_is_in_the_log(
    settled: SimulatorHandle, http: aiohttp.ClientSession, kind: FaultKind, status: int
) -> None:
    settled.set_faults(Fault(kind, times=2))
    assert [(await asked(http, settled))[0] for _ in range(3)] == [status, status, 200]
    assert settled.faults[0].fired == 2
    assert [(arrival.status, arrival.fault) for arrival in settled.arrivals(order="18")] == [(status, kind), (status, kind), (200, None)]


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (FaultKind.OTHER_ORDER, {"order": "180", "status": "PROCESSED", "accrual": 100}),
        (FaultKind.UNKNOWN_STATUS, {"order": "18", "status": "MAYBE"}),
        (FaultKind.NEGATIVE_ACCRUAL, {"order": "18", "status": "PROCESSED", "accrual": -100}),
        (FaultKind.ABSURD_ACCRUAL, {"order": "18", "status": "PROCESSED", "accrual": 10**30}),
        (FaultKind.TEXT_ACCRUAL, {"order": "18", "status": "PROCESSED", "accrual": "a hundred"}),
        (FaultKind.WRONG_SHAPE, ["18"]),
    ],
)
async def test_nonsense_is_told_with_status_200(
    settled: SimulatorHandle, http: aiohttp.ClientSession, kind: FaultKind, document: object
) -> None:
    settled.set_faults(Fault(kind, times=1))
    status, text = await asked(http, settled)
    assert status == 200
    assert json.loads(text) == document
    assert json.loads((await asked(http, settled))[1]) == {"order": "18", "status": "PROCESSED", "accrual": 5}


async def test_broken_json_does_not_parse(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.BAD_JSON, times=1), Fault(FaultKind.NAN_ACCRUAL, times=1))
    with pytest.raises(json.JSONDecodeError):
        json.loads((await asked(http, settled))[1])
    assert '"accrual":NaN' in (await asked(http, settled))[1]


async def test_a_slow_answer_is_the_right_one(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.SLOW, delay_s=0.3, times=1))
    started = time.monotonic()
    assert (await asked(http, settled))[0] == 200
    assert time.monotonic() - started >= 0.3


async def test_a_huge_body_is_valid_json_to_who_reads_it_all(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.HUGE_BODY, size_bytes=3_000_000))
    async with http.get(f"{settled.url}/api/orders/18") as response:
        body = await response.read()
    assert len(body) > 3_000_000
    assert json.loads(body)["order"] == "18"


async def test_who_does_not_want_a_huge_body_may_hang_up(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.HUGE_BODY, size_bytes=1 << 29, times=1))
    async with http.get(f"{settled.url}/api/orders/18") as response:
        assert len(await response.content.readexactly(1000)) == 1000
        response.close()
    assert (await asked(http, settled))[0] == 200


async def test_a_dropped_connection_has_no_answer(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.DROP))
    with pytest.raises(aiohttp.ClientConnectionError):
        await asked(http, settled)
    arrivals = settled.arrivals()
    assert arrivals
    assert {(arrival.status, arrival.fault) for arrival in arrivals} == {(0, FaultKind.DROP)}


async def test_a_cut_answer_ends_early(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(Fault(FaultKind.CUT))
    with pytest.raises(aiohttp.ClientPayloadError):
        await asked(http, settled)


async def test_retry_after_comes_in_all_its_forms(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.set_faults(*(Fault(FaultKind.TOO_MANY_REQUESTS, times=1, retry_after_s=120, retry_after_form=form) for form in RetryAfterForm))
    headers: dict[RetryAfterForm, str | None] = {}
    for form in RetryAfterForm:
        async with http.get(f"{settled.url}/api/orders/18") as response:
            assert response.status == 429
            assert response.content_type == "text/plain"
            assert (await response.text()).startswith("No more than ")
            headers[form] = response.headers.get("Retry-After")
    date = headers.pop(RetryAfterForm.DATE)
    assert headers == {RetryAfterForm.SECONDS: "120", RetryAfterForm.MISSING: None, RetryAfterForm.NONSENSE: "in a while"}
    assert date is not None
    assert date.endswith(" GMT")
    assert timedelta(seconds=110) < parsedate_to_datetime(date) - datetime.now(UTC) <= timedelta(seconds=120)


@pytest.mark.parametrize(("after", "second_status"), [(False, 202), (True, 409)])
async def test_a_failed_post_took_effect_only_if_told_so(
    simulator: SimulatorHandle, http: aiohttp.ClientSession, after: bool, second_status: int
) -> None:
    simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, Operation.POST_ORDER, "18", times=1, after=after))
    statuses = []
    for _ in range(2):
        async with http.post(f"{simulator.url}/api/orders", data=b'{"order": "18", "goods": []}') as response:
            statuses.append(response.status)
    assert statuses == [500, second_status]
    assert [arrival.status for arrival in simulator.arrivals(operation=Operation.POST_ORDER)] == statuses


async def test_a_throttled_request_uses_up_no_fault(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    settled.behave(rate_limit_per_minute=1)
    settled.set_faults(Fault(FaultKind.INTERNAL_ERROR))
    assert [(await asked(http, settled))[0] for _ in range(2)] == [500, 429]
    assert settled.faults[0].fired == 1


async def test_an_outage_closes_the_port_and_loses_nothing(settled: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    url = settled.url
    assert (await asked(http, settled))[0] == 200
    await settled.stop_listening()
    with pytest.raises(aiohttp.ClientConnectionError):
        await asked(http, settled)
    await settled.start_listening()
    assert settled.url == url
    assert json.loads((await asked(http, settled))[1])["accrual"] == Decimal(5)
