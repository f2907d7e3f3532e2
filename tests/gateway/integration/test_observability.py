"""What operators see of a request: one line, metrics by route, a trace that goes through, and never a secret."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from shared.errors import Unavailable
from tests.gateway.client import BALANCE, LOGIN, ORDERS, Client
from tests.gateway.fakes import FakeServices
from tests.gateway.serving import ServedGateway

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


async def test_a_trace_goes_through_to_the_services_and_into_problems(client: Client, fakes: FakeServices) -> None:
    fakes.fail("GetAccount", Unavailable())
    answer = await client.ask("GET", BALANCE, headers=TRACEPARENT)
    assert answer.json["trace_id"] == TRACE
    assert all(call.metadata["traceparent"].startswith(f"00-{TRACE}-") for call in fakes.calls)


async def test_without_a_trace_every_request_begins_one(client: Client) -> None:
    traces = {(await client.ask("GET", "/nowhere")).json["trace_id"] for _ in range(3)}
    assert len(traces) == 3


async def test_requests_are_counted_by_route_and_never_by_path(client: Client, gateway: ServedGateway) -> None:
    def count(route: str, method: str, status: str) -> float:
        return gateway.sample("http_server_request_duration_seconds_count", route=route, method=method, status=status)

    before = [count(BALANCE, "GET", "200"), count("_OTHER", "GET", "404"), count(ORDERS, "POST", "422"), count("_OTHER", "PUT", "405")]
    await client.ask("GET", f"{BALANCE}?a=b")
    await client.ask("GET", "/secret/path")
    await client.post(ORDERS, "19")
    after = [count(BALANCE, "GET", "200"), count("_OTHER", "GET", "404"), count(ORDERS, "POST", "422"), count("_OTHER", "PUT", "405")]

    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1, 0]
    async with client.session.get(f"{gateway.metrics_url}/metrics") as metrics:
        assert "/secret/path" not in await metrics.text()


async def test_every_request_is_one_line_without_secrets(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = CapturingLogger()
    monkeypatch.setattr("services.gateway.entrypoints.http.middleware.log", structlog.wrap_logger(lines, processors=[_keep]))

    await client.post(LOGIN, '{"login": "ann-canary", "password": "secret-canary"}')
    await client.ask("GET", "/nowhere-canary?token=canary")
    await client.post(ORDERS, "canary")
    await client.raw(b"GET /canary\r\nHost canary\r\n\r\n")

    seen = [call.kwargs for call in lines.calls]
    assert [(line["route"], line["method"], line["status"], line["reason"]) for line in seen] == [
        (LOGIN, "POST", 200, None),
        ("_OTHER", "GET", 404, "ROUTE_NOT_FOUND"),
        (ORDERS, "POST", 422, "ORDER_NUMBER_INVALID"),
        ("_OTHER", "_OTHER", 400, "MALFORMED_REQUEST"),
    ]
    assert seen[2]["actor"] == f"customers/{client.id}"
    assert "canary" not in repr(seen)


def _keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event
