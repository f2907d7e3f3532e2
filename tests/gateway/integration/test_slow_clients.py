"""Clients that take for ever, or come in crowds: their connections are ended, others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from galen.accrual.v1 import accrual_service_pb2 as accrual
from galen.accrual.v1 import claim_pb2

from shared.testing.identities import Identities
from tests.gateway.client import BALANCE, ORDERS, Client
from tests.gateway.fakes import FakeServices
from tests.gateway.serving import ServedGateway, served_gateway

# The gateway of these tests waits one second, its watch looks twice in one.
PATIENCE_S = 4


async def drip(port: int, begin: bytes, drop: bytes) -> tuple[float, bytes]:
    """Sends `begin`, then a drop ten times a second; returns when the connection was ended, and what had come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(begin)
    answer = asyncio.create_task(reader.read())
    try:
        while not answer.done() and time.monotonic() - began < PATIENCE_S:
            writer.write(drop)
            await asyncio.wait([answer], timeout=0.1)
        assert answer.done(), "the connection is still open"
        return time.monotonic() - began, b"" if answer.exception() else answer.result()
    finally:
        answer.cancel()
        writer.close()


@pytest.mark.parametrize(
    ("begin", "drop"),
    [(b"", b""), (b"", b"G"), (b"GET / HTTP/1.1\r\nHost: a\r\n", b""), (b"GET / HTTP/1.1\r\n", b"X-Drop: 1\r\n")],
    ids=["silent", "line", "head", "dripping head"],
)
async def test_a_head_that_does_not_come_ends_the_connection(client: Client, begin: bytes, drop: bytes) -> None:
    took_s, _ = await drip(client.port, begin, drop)
    assert took_s < PATIENCE_S


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_in_time_is_refused(client: Client, fakes: FakeServices, framing: str) -> None:
    begin = client.raw_head("POST", ORDERS, "Content-Type: text/plain", framing)
    took_s, answer = await drip(client.port, begin, b"1" if "Length" in framing else b"1\r\n1\r\n")
    assert took_s < PATIENCE_S
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert fakes.calls == []


async def test_an_answer_that_is_not_taken_ends_the_connection(client: Client, fakes: FakeServices, gateway: ServedGateway) -> None:
    """The list is far larger than all buffers on the way, and the client reads none of it."""

    begun = asyncio.Event()

    async def endless(request: Any) -> accrual.ListClaimsResponse:
        begun.set()
        claims = [claim_pb2.Claim(number="1" * 255)] * request.page_size
        return accrual.ListClaimsResponse(claims=claims, next_page_token="more")

    fakes.answers["ListClaims"] = endless
    before = gateway.sample("http_server_connections")
    _, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(client.raw_head("GET", ORDERS))
    try:
        await asyncio.wait_for(begun.wait(), 5)
        assert gateway.sample("http_server_connections") > before
        await asyncio.sleep(PATIENCE_S)
        assert gateway.sample("http_server_connections") <= before
    finally:
        writer.close()


async def test_an_idle_connection_outlives_the_limit_for_heads(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        for _ in range(2):
            writer.write(client.raw_head("GET", BALANCE).replace(b"Connection: close\r\n", b""))
            assert (await reader.readuntil(b"}\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(2)
    finally:
        writer.close()


async def test_others_are_served_while_many_clients_drip(client: Client) -> None:
    drips = [asyncio.create_task(drip(client.port, b"GET / HTTP/1.1\r\n", b"X: 1\r\n")) for _ in range(50)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert (await client.ask("GET", BALANCE)).status == 200
    assert time.monotonic() - began < 0.5
    await asyncio.gather(*drips)


async def test_connections_beyond_the_limit_are_turned_away(gateway_settings: dict[str, Any], identities: Identities) -> None:
    async with served_gateway(**gateway_settings, connections_max=2) as gateway, Client.session_to(gateway.url) as session:
        crowd = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(2)]
        client = Client(session, gateway.port, identities)
        turned_away = await client.raw(client.raw_head("GET", BALANCE))
        for _, writer in crowd:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)

        assert turned_away.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
        assert (await client.ask("GET", BALANCE)).status == 200


async def test_requests_that_follow_each_other_in_one_piece_are_answered_in_turn(client: Client, fakes: FakeServices) -> None:
    first = client.raw_head("GET", BALANCE).replace(b"Connection: close\r\n", b"")
    answer = await client.raw(first * 3 + client.raw_head("GET", BALANCE))
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert len(fakes.called("GetAccount")) == 4
