"""Services that fail: what the client is told, how soon, and that a write keeps its id."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as balance

from shared.errors import Internal, Overloaded, RateLimited, Unavailable
from shared.testing.identities import Identities
from tests.gateway.client import BALANCE, LOGIN, ORDERS, WITHDRAW, Client
from tests.gateway.fakes import FakeServices, PeerFailure, served_fakes
from tests.gateway.serving import served_gateway

PAYMENT = '{"order": "2377225624", "sum": 751}'


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        (Unavailable(retry_after_s=3), 503, "UNAVAILABLE"),
        (Overloaded(retry_after_s=3), 429, "OVERLOADED"),
        (RateLimited(retry_after_s=2.5), 429, "RATE_LIMITED"),
        (PeerFailure(grpc.StatusCode.UNAVAILABLE, "connect to 10.1.2.3 refused"), 503, "UNAVAILABLE"),
        (PeerFailure(grpc.StatusCode.RESOURCE_EXHAUSTED, "10.1.2.3"), 429, "OVERLOADED"),
        (PeerFailure(grpc.StatusCode.DEADLINE_EXCEEDED, "10.1.2.3"), 504, "DEADLINE_EXCEEDED"),
        (PeerFailure(grpc.StatusCode.UNKNOWN, "KeyError: 10.1.2.3"), 503, "UNAVAILABLE"),
        (Internal("0" * 32), 500, "INTERNAL"),
    ],
    ids=repr,
)
async def test_failures_of_a_service_are_told_apart(
    client: Client, fakes: FakeServices, failure: Exception, status: int, reason: str
) -> None:
    fakes.fail("GetAccount", failure)

    answer = await client.ask("GET", BALANCE)

    assert (answer.status, answer.reason) == (status, reason)
    assert b"10.1.2.3" not in answer.body
    if status in (429, 503):
        assert int(answer.headers["Retry-After"]) == (1 if isinstance(failure, PeerFailure) else 3)


async def test_a_service_that_is_too_slow_costs_the_client_no_more_than_the_limit(client: Client, fakes: FakeServices) -> None:
    async def slow(_request: Any) -> Any:
        await asyncio.sleep(30)

    fakes.answers["GetAccount"] = slow
    began = time.monotonic()

    answer = await client.ask("GET", BALANCE)

    assert (answer.status, answer.reason) == (504, "DEADLINE_EXCEEDED")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(("path", "body", "method"), [(WITHDRAW, PAYMENT, "WithdrawPoints"), (ORDERS, "18", "SubmitClaim")])
async def test_a_write_is_tried_again_under_the_same_id(identities: Identities, path: str, body: str, method: str) -> None:
    """With a service of its own: gRPC stops to retry at an address that has failed a lot."""
    async with served_fakes() as (fakes, address):

        async def well_the_second_time(_request: Any) -> Any:
            del fakes.answers[method]
            raise Unavailable

        fakes.answers[method] = well_the_second_time
        addresses = {"customers_address": address, "accrual_address": address, "balance_address": address}
        async with served_gateway(jwks_file=identities.jwks_file, **addresses) as gateway, Client.session_to(gateway.url) as session:
            assert (await Client(session, gateway.port, identities).post(path, body)).status in (200, 202)

    first, second = fakes.called(method)
    assert first.request == second.request


async def test_a_login_is_not_tried_again(client: Client, fakes: FakeServices) -> None:
    fakes.fail("Login", Unavailable())
    assert (await client.post(LOGIN, '{"login": "a", "password": "b"}')).status == 503
    assert len(fakes.called("Login")) == 1


async def test_services_that_are_away_are_unavailable_and_the_edge_stays_ready(identities: Identities) -> None:
    nowhere = "127.0.0.1:1"
    addresses = {"customers_address": nowhere, "accrual_address": nowhere, "balance_address": nowhere}
    async with served_gateway(jwks_file=identities.jwks_file, **addresses) as gateway, Client.session_to(gateway.url) as session:
        client = Client(session, gateway.port, identities)
        answers = [await client.ask("GET", BALANCE), await client.post(ORDERS, "18"), await client.post(WITHDRAW, PAYMENT)]
        assert [(answer.status, answer.headers["Retry-After"]) for answer in answers] == [(503, "1")] * 3
        async with session.get(f"{gateway.metrics_url}/readyz") as ready:
            assert ready.status == 200


async def test_a_write_goes_on_when_its_client_is_gone(client: Client, fakes: FakeServices) -> None:
    entered, leave, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_request: Any) -> Any:
        entered.set()
        await leave.wait()
        done.set()
        return balance.WithdrawPointsResponse()

    fakes.answers["WithdrawPoints"] = slow
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = client.raw_head("POST", WITHDRAW, "Content-Type: application/json", f"Content-Length: {len(PAYMENT)}")
    writer.write(head + PAYMENT.encode())
    await asyncio.wait_for(entered.wait(), 5)

    writer.transport.abort()
    await asyncio.sleep(0.1)
    leave.set()

    await asyncio.wait_for(done.wait(), 5)
    assert (await client.ask("GET", BALANCE)).status == 200


async def test_requests_beyond_the_limit_are_refused_at_once(
    fakes: FakeServices, gateway_settings: dict[str, Any], identities: Identities
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: Any) -> Any:
        entered.set()
        await leave.wait()
        return balance.GetAccountResponse()

    fakes.answers["GetAccount"] = slow
    async with served_gateway(**gateway_settings, requests_max=1) as gateway, Client.session_to(gateway.url) as session:
        client = Client(session, gateway.port, identities)
        first = asyncio.create_task(client.ask("GET", BALANCE))
        await asyncio.wait_for(entered.wait(), 5)
        second = await client.ask("GET", BALANCE)
        leave.set()

        assert (second.status, second.reason, second.headers["Retry-After"]) == (429, "OVERLOADED", "1")
        assert (await first).status == 200
