"""What operators see: one line for every poll and every failure, figures about the provider and the work that waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from galen.accrual.v1 import claim_pb2, provider_pb2
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from deploy.local.accrual_sim.faults import Fault, FaultKind
from deploy.local.accrual_sim.orders import Status
from services.accrual.settings import AccrualSettings
from shared.testing.identities import Identities
from tests.accrual.world import Customer, World, eventually


@pytest.fixture(autouse=True)
def _measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.accrual.entrypoints.jobs.measuring.EVERY_S", 0.1)


async def figures(world: World) -> dict[tuple[str, ...], float]:
    """Returns the samples of /metrics by name and label values, these in the order of their labels' names."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{world.server.metrics_address}/metrics") as response:
        text = await response.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}


async def figure_is(world: World, value: float, *name: str) -> bool:
    return (await figures(world)).get(name) == value


async def test_every_poll_is_one_line_that_tells_what_came_of_it(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    world.simulator.set_faults(Fault(FaultKind.OTHER_ORDER, times=1), Fault(FaultKind.NO_CONTENT, times=1))

    with capture_logs() as lines:
        await customer.submit(number)
        await customer.finished(number)

    polls = [line for line in lines if line["event"] == "poll"]
    assert [(line["outcome"], line["log_level"], line["number"]) for line in polls] == [
        ("nonsense", "warning", number),
        ("NOT_REGISTERED", "info", number),
        ("PROCESSED", "info", number),
    ]
    assert polls[0]["error"] == "nonsense: the answer is about another order"
    assert len(world.simulator.arrivals()) == len(polls)
    assert [line["claim"] for line in lines if line["event"] == "settled"] == [f"{customer.parent}/claims/{number}"]


async def test_the_figures_tell_how_the_provider_answers(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    world.simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, times=2))
    await customer.submit(number)
    await customer.finished(number)

    seen = await figures(world)

    assert seen["accrual_provider_answers_total", "server_error", "ask"] == 2
    assert seen["accrual_provider_answers_total", "PROCESSED", "ask"] == 1
    assert seen["accrual_provider_request_duration_seconds_count", "ask"] == 3
    assert seen["accrual_provider_available",] == 1
    assert seen["accrual_provider_breaker_state", "closed"] == 1
    assert seen["accrual_provider_breaker_state", "open"] == 0


async def test_a_pause_shows_as_unavailable_and_for_how_long(world: World, customer: Customer, number: str) -> None:
    world.simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, retry_after_s=600))
    await customer.submit(number)

    await eventually(lambda: is_blocked(world))
    seen = await figures(world)

    assert 590 < seen["accrual_provider_blocked_seconds",] <= 600
    assert seen["accrual_provider_available",] == 0
    assert seen["accrual_provider_answers_total", "throttled", "ask"] == 1
    assert await eventually(lambda: figure_is(world, 1, "accrual_claims", "pending"))


async def is_blocked(world: World) -> bool:
    return (await figures(world))["accrual_provider_blocked_seconds",] > 0


async def test_an_open_breaker_shows_and_is_logged(world: World, customer: Customer, number: str) -> None:
    world.simulator.set_faults(Fault(FaultKind.DROP))
    with capture_logs() as lines:
        await customer.submit(number)
        await eventually(lambda: breaker_opened(world))

    turns = [line for line in lines if line["event"] == "breaker"]
    assert turns[0]["state"] == "OPEN"
    assert turns[0]["last_failure"].startswith("connection")


async def breaker_opened(world: World) -> bool:
    return bool((await world.provider()).breaker == provider_pb2.BREAKER_STATE_OPEN)


class TestWhenPointsCanNotBeCredited:
    """The job goes on for ever and says so; it is settled as soon as it can be."""

    @pytest.fixture
    def token_file(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_text("expired long ago")
        return path

    @pytest.fixture
    def accrual_settings(self, accrual_settings: AccrualSettings, token_file: Path) -> AccrualSettings:
        return accrual_settings.model_copy(update={"service_token_file": token_file})

    async def test_it_is_repeated_with_alerts_and_done_once_it_can_be(
        self, world: World, customer: Customer, number: str, token_file: Path, identities: Identities
    ) -> None:
        await world.simulator.settle_order(number, Status.PROCESSED, 10)

        with capture_logs() as lines:
            await customer.submit(number)
            await eventually(lambda: failed_twice(world))
        waiting = await customer.claim(number)
        assert (waiting.state, waiting.HasField("accrual")) == (claim_pb2.CLAIM_STATE_PROCESSING, False)
        assert (await world.provider()).settling_claims == 1
        assert await eventually(lambda: figure_is(world, 1, "accrual_claims", "settling"))
        alerts = [line for line in lines if line["log_level"] == "error" and line["event"].startswith("points are owed")]
        assert alerts[0]["reason"] == "CREDENTIALS_INVALID"

        await asyncio.to_thread(token_file.write_text, identities.service_token("accrual"))

        assert (await customer.finished(number)).accrual == 1000
        assert len(world.simulator.arrivals(order=number)) == 1
        assert [operation.amount for operation in await customer.credits()] == [1000]


async def failed_twice(world: World) -> bool:
    return (await figures(world)).get(("accrual_credit_failures_total", "CREDENTIALS_INVALID"), 0) >= 2
