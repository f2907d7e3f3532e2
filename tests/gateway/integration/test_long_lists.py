"""Lists that are longer than a page, and answers that are packed."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import aiohttp
import pytest
from galen.accrual.v1 import accrual_service_pb2 as accrual
from galen.accrual.v1 import claim_pb2

from shared.errors import Unavailable
from shared.testing.identities import Identities
from tests.gateway.client import BALANCE, ORDERS, Client
from tests.gateway.fakes import FakeServices
from tests.gateway.serving import served_gateway


class Claims:
    """A customer's claims, newest first, listed like the real service does."""

    def __init__(self, count: int, *, fails_at: int | None = None) -> None:
        self.numbers = [str(10**15 + place) for place in range(count)]
        self._fails_at = fails_at

    async def list(self, request: Any) -> accrual.ListClaimsResponse:
        begin = int(request.page_token or 0)
        if begin == self._fails_at:
            raise Unavailable
        end = begin + request.page_size
        claims = [claim_pb2.Claim(number=number, state=claim_pb2.CLAIM_STATE_NEW) for number in self.numbers[begin:end]]
        return accrual.ListClaimsResponse(claims=claims, next_page_token=str(end) if end < len(self.numbers) else "")


def numbers_in(body: bytes) -> list[str]:
    return [order["number"] for order in json.loads(body)]


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_all_orders_are_listed_in_their_order(client: Client, fakes: FakeServices, count: int, coding: str) -> None:
    claims = Claims(count)
    fakes.answers["ListClaims"] = claims.list

    answer = await client.ask("GET", ORDERS, headers={"Accept-Encoding": coding})

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert numbers_in(gzip.decompress(answer.body) if "Content-Encoding" in answer.headers else answer.body) == claims.numbers
    assert len(fakes.called("ListClaims")) == -(-count // 1000)


async def test_ten_thousand_orders_cost_less_than_a_second(
    fakes: FakeServices, gateway_settings: dict[str, Any], identities: Identities
) -> None:
    """Measured in time of the processor, the client's and the service's included: the machines are shared."""
    fakes.answers["ListClaims"] = Claims(10_000).list
    async with served_gateway(**gateway_settings, request_limit_s=30) as gateway, Client.session_to(gateway.url) as session:
        client = Client(session, gateway.port, identities)
        began = time.process_time()
        answer = await client.ask("GET", ORDERS)
        took_s = time.process_time() - began
    assert len(numbers_in(answer.body)) == 10_000
    assert took_s < 1


async def test_a_list_ends_at_the_bound(fakes: FakeServices, gateway_settings: dict[str, Any], identities: Identities) -> None:
    claims = Claims(5000)
    fakes.answers["ListClaims"] = claims.list
    async with served_gateway(**gateway_settings, history_items_max=1500) as gateway, Client.session_to(gateway.url) as session:
        answer = await Client(session, gateway.port, identities).ask("GET", ORDERS)
    assert numbers_in(answer.body) == claims.numbers[:1500]


async def test_a_failure_before_the_list_begins_is_an_error(client: Client, fakes: FakeServices) -> None:
    fakes.answers["ListClaims"] = Claims(5000, fails_at=1000).list
    answer = await client.ask("GET", ORDERS)
    assert (answer.status, answer.reason) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_list_that_fails_half_way_is_never_taken_for_the_whole(client: Client, fakes: FakeServices, coding: str) -> None:
    fakes.answers["ListClaims"] = Claims(5000, fails_at=3000).list
    with pytest.raises(aiohttp.ClientError):
        await client.ask("GET", ORDERS, headers={"Accept-Encoding": coding})


async def test_head_of_a_long_list_has_no_body(client: Client, fakes: FakeServices) -> None:
    fakes.answers["ListClaims"] = Claims(5000).list
    answer = await client.ask("HEAD", ORDERS)
    assert (answer.status, answer.body) == (200, b"")
    assert (await client.ask("GET", BALANCE)).status == 200


async def test_a_long_list_is_understood_by_clients_of_http_1_0(client: Client, fakes: FakeServices) -> None:
    claims = Claims(2500)
    fakes.answers["ListClaims"] = claims.list
    answer = await client.raw(client.raw_head("GET", ORDERS).replace(b"HTTP/1.1", b"HTTP/1.0"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert numbers_in(body) == claims.numbers


@pytest.mark.parametrize(
    ("header", "packed"),
    [("gzip", True), ("gzip;q=0.1, identity", True), ("*", True), ("gzip;q=0", False), ("identity", False), ("br, deflate", False)],
)
async def test_long_answers_are_packed_if_the_client_asks_for_gzip(client: Client, fakes: FakeServices, header: str, packed: bool) -> None:
    claims = Claims(100)
    fakes.answers["ListClaims"] = claims.list
    answer = await client.ask("GET", ORDERS, headers={"Accept-Encoding": header})
    assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    assert numbers_in(gzip.decompress(answer.body) if packed else answer.body) == claims.numbers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


async def test_short_answers_are_not_packed(client: Client) -> None:
    answer = await client.ask("GET", BALANCE, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
