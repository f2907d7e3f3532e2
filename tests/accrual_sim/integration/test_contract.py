"""The accrual contract over HTTP, the same with both stores."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest

from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator

BORK = {"match": "Bork", "reward": 5, "reward_type": "%"}


class Client:
    """Speaks the contract; a body that is not a text is sent as JSON."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def post(self, path: str, body: object) -> int:
        async with self._http.post(self._url + path, data=body if isinstance(body, str) else json.dumps(body)) as response:
            return response.status

    async def order(self, number: str) -> tuple[int, object]:
        async with self._http.get(f"{self._url}/api/orders/{number}") as response:
            text = await response.text()
            if response.status != 200:
                return response.status, text
            assert response.content_type == "application/json"
            return response.status, json.loads(text, parse_float=Decimal)


@pytest.fixture
async def client(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> Client:
    return Client(http, any_simulator.url)


async def test_an_order_earns_the_rewards_of_its_goods(client: Client) -> None:
    assert await client.post("/api/goods", BORK) == 200
    assert await client.post("/api/orders", '{"order": "18", "goods": [{"description": "Kettle Bork", "price": 14599.50}]}') == 202
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED", "accrual": Decimal("729.98")})


async def test_rewards_of_all_matches_add_up(client: Client) -> None:
    assert await client.post("/api/goods", '{"match": "Bork", "reward": 10, "reward_type": "%"}') == 200
    assert await client.post("/api/goods", '{"match": "Kettle", "reward": 12.5, "reward_type": "pt"}') == 200
    assert await client.post("/api/orders", '{"order": "18", "goods": [{"description": "Kettle Bork", "price": 147.5}]}') == 202
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED", "accrual": Decimal("27.25")})


async def test_an_order_without_matches_is_processed_and_has_no_accrual(client: Client) -> None:
    assert await client.post("/api/orders", {"order": "18", "goods": [{"description": "Tea", "price": 1}]}) == 202
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED"})


async def test_a_match_is_registered_once(client: Client) -> None:
    assert await client.post("/api/goods", BORK) == 200
    assert await client.post("/api/goods", BORK) == 409
    assert await client.post("/api/goods", BORK | {"reward": 50}) == 409
    await client.post("/api/orders", {"order": "18", "goods": [{"description": "Bork", "price": 100}]})
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED", "accrual": 5})


async def test_an_order_is_taken_once_even_by_many_at_the_same_time(client: Client) -> None:
    order = {"order": "18", "goods": [{"description": "Bork", "price": 100}]}
    statuses = await asyncio.gather(*(client.post("/api/orders", order) for _ in range(20)))
    assert sorted(statuses) == [202] + [409] * 19


@pytest.mark.parametrize("number", ["26", "19", "abc", "%D9%A1%D9%A8", "%00", "1" * 2000, "-18", "18%20"])
async def test_what_nobody_registered_gets_204(client: Client, number: str) -> None:
    assert await client.order(number) == (204, "")


async def test_order_numbers_may_be_a_thousand_digits_long(client: Client) -> None:
    number = "0" * 998 + "18"
    assert await client.post("/api/orders", {"order": number, "goods": []}) == 202
    assert await client.order(number) == (200, {"order": number, "status": "PROCESSED"})
    assert await client.post("/api/orders", {"order": "0" + number, "goods": []}) == 400


async def test_texts_may_be_as_long_and_strange_as_stated(client: Client) -> None:
    match = "".join(chr(0x1F300 + index) for index in range(500))
    assert await client.post("/api/goods", BORK | {"match": match}) == 200
    assert await client.post("/api/orders", {"order": "18", "goods": [{"description": f"%{match}'", "price": 100}]}) == 202
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED", "accrual": 5})


async def test_the_largest_amounts_are_calculated_exactly(client: Client) -> None:
    assert await client.post("/api/goods", '{"match": "Bork", "reward": 1e12, "reward_type": "%"}') == 200
    goods = ",".join(['{"description": "Bork", "price": 999999999999.99}'] * 1000)
    assert await client.post("/api/orders", f'{{"order": "18", "goods": [{goods}]}}') == 202
    assert await client.order("18") == (200, {"order": "18", "status": "PROCESSED", "accrual": 9999999999999900000000000})


async def test_a_calculation_takes_its_time(http: aiohttp.ClientSession) -> None:
    async with running_simulator(calculation_delay_s=0.4) as simulator:
        await simulator.register_order("18")
        seen: list[object] = []
        async with asyncio.timeout(5):
            while "PROCESSED" not in seen:
                answer = (await Client(http, simulator.url).order("18"))[1]
                assert isinstance(answer, dict)
                if answer["status"] not in seen:
                    seen.append(answer["status"])
                await asyncio.sleep(0.01)
    assert seen == ["REGISTERED", "PROCESSING", "PROCESSED"]


async def test_unknown_orders_are_registered_when_asked_for_if_told_so(any_simulator: SimulatorHandle, client: Client) -> None:
    any_simulator.behave(auto_register=True)
    answers = await asyncio.gather(*(client.order("2377225624") for _ in range(10)))
    status, document = answers[0]
    assert status == 200
    assert isinstance(document, dict)
    assert Decimal(10) <= document["accrual"] <= Decimal(500)
    assert all(answer == answers[0] for answer in answers)
    assert await client.order("2377225625") == (204, "")  # not Luhn
    any_simulator.behave(auto_register=False)
    assert await client.order("2377225624") == answers[0]
    assert await client.order("18") == (204, "")


async def test_registered_orders_are_not_touched_by_auto_register(any_simulator: SimulatorHandle, client: Client) -> None:
    any_simulator.behave(auto_register=True)
    await any_simulator.settle_order("18", Status.INVALID)
    assert await client.order("18") == (200, {"order": "18", "status": "INVALID"})


async def test_beyond_the_rate_limit_callers_are_told_when_to_return(http: aiohttp.ClientSession) -> None:
    async with running_simulator(rate_limit_per_minute=3) as simulator:
        client = Client(http, simulator.url)
        assert [(await client.order("18"))[0] for _ in range(3)] == [204] * 3
        async with http.get(f"{simulator.url}/api/orders/18") as response:
            assert response.status == 429
            assert response.content_type == "text/plain"
            assert await response.text() == "No more than 3 requests per minute allowed"
            assert 55 <= int(response.headers["Retry-After"]) <= 60
        assert await client.post("/api/goods", BORK) == 200  # only questions are limited
        simulator.simulator.reset_behaviour()
        assert (await client.order("18"))[0] == 204


async def test_probes_answer(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    for path in ("/livez", "/readyz"):
        async with http.get(any_simulator.url + path) as response:
            assert response.status == 200
