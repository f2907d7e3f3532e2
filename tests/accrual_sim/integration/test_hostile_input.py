"""Nothing that a stranger sends gives a 5xx: each of these is refused with the status of the contract, on both stores."""

from __future__ import annotations

import asyncio
import gzip
import io
import json

import aiohttp
import pytest

from deploy.local.accrual_sim.testing import SimulatorHandle

ORDER = {"order": "18", "goods": [{"description": "Bork", "price": 100}]}
GOODS = {"match": "Bork", "reward": 5, "reward_type": "%"}

BAD_GOODS: list[object] = [
    GOODS | {"match": ""},
    GOODS | {"match": "a\0b"},
    GOODS | {"match": "\ud800"},
    GOODS | {"match": "x" * 501},
    GOODS | {"match": 5},
    GOODS | {"match": None},
    GOODS | {"reward": -1},
    GOODS | {"reward": "5"},
    GOODS | {"reward": True},
    GOODS | {"reward": float("nan")},
    GOODS | {"reward": float("inf")},
    GOODS | {"reward": 1e300},
    GOODS | {"reward_type": "points"},
    GOODS | {"reward_type": ["%"]},
    {"match": "Bork", "reward": 5},
    [GOODS],
    None,
]
BAD_ORDERS: list[object] = [
    ORDER | {"order": "19"},
    ORDER | {"order": 18},
    ORDER | {"order": ""},
    ORDER | {"order": "1 8"},
    ORDER | {"order": "\u0661\u0668"},
    ORDER | {"order": "18\0"},
    ORDER | {"goods": None},
    ORDER | {"goods": {}},
    ORDER | {"goods": ["Bork"]},
    ORDER | {"goods": [{"description": "Bork"}]},
    ORDER | {"goods": [{"description": "\udc00", "price": 1}]},
    ORDER | {"goods": [{"description": "a\0b", "price": 1}]},
    ORDER | {"goods": [{"description": "Bork", "price": -0.01}]},
    ORDER | {"goods": [{"description": "Bork", "price": 10**400}]},
    ORDER | {"goods": [{"description": "x", "price": 1}] * 1001},
    {"order": "18"},
    "18",
]
NOT_JSON = [b"", b"{", b"NaN", b"\xff\xfe", b"[" * 500_000, b'{"order": ' * 50_000, b"1e9999999999999999999", b"9" * 500_000, b"\0" * 100]


async def status_of(http: aiohttp.ClientSession, url: str, body: bytes) -> int:
    async with http.post(url, data=io.BytesIO(body)) as response:
        return response.status


async def test_bad_goods_are_refused(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    for document in BAD_GOODS:
        assert await status_of(http, f"{any_simulator.url}/api/goods", json.dumps(document).encode()) == 400, document


async def test_bad_orders_are_refused_and_leave_nothing(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    for document in BAD_ORDERS:
        assert await status_of(http, f"{any_simulator.url}/api/orders", json.dumps(document).encode()) == 400, document
    assert await any_simulator.simulator.answer("18") is None


@pytest.mark.parametrize("path", ["/api/goods", "/api/orders"])
async def test_what_is_not_json_is_refused(simulator: SimulatorHandle, http: aiohttp.ClientSession, path: str) -> None:
    for body in NOT_JSON:
        assert await status_of(http, simulator.url + path, body) == 400, body[:20]


async def test_bodies_over_a_mebibyte_are_refused_packed_or_not(simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    url = f"{simulator.url}/api/orders"
    assert await status_of(http, url, b" " * (1 << 20) + b"{}") == 413
    async with http.post(url, data=io.BytesIO(gzip.compress(b" " * (64 << 20))), headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 413


async def test_a_body_that_is_not_the_gzip_it_says_is_refused(simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{simulator.url}/api/orders", data=b"not gzip at all", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/goods", 405),
        ("DELETE", "/api/orders/18", 405),
        ("POST", "/api/orders/18", 405),
        ("PUT", "/api/orders", 405),
        ("GET", "/api/orders/", 404),
        ("GET", "/api/orders/18/19", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/control/faults", 405),
        ("PROPFIND", "/api/goods", 405),
    ],
)
async def test_wrong_methods_and_paths_are_refused(
    simulator: SimulatorHandle, http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with http.request(method, simulator.url + path) as response:
        assert response.status == status


async def test_bytes_that_are_not_http_do_not_stop_it(simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    port = int(simulator.url.rpartition(":")[2])
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET \x00 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert b" 500 " not in await reader.read()
        writer.close()
        await writer.wait_closed()
    async with http.get(f"{simulator.url}/livez") as response:
        assert response.status == 200


async def test_bad_control_requests_are_refused(simulator: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    for path, body in [
        ("/control/faults", b'{"fault": []}'),
        ("/control/faults", b'{"faults": [{"kind": "explode"}]}'),
        ("/control/settings", b'{"calculation_delay_s": -1}'),
        ("/control/settings", b'{"rate_limit_per_minute": 0}'),
        ("/control/settings", b'{"auto": true}'),
        ("/control/orders/19", b'{"status": "INVALID"}'),
        ("/control/orders/18", b'{"status": "NEW"}'),
        ("/control/orders/18", b'{"status": "PROCESSED", "accrual": -1}'),
    ]:
        async with http.put(simulator.url + path, data=body) as response:
            assert response.status == 400, body
    async with http.get(f"{simulator.url}/control/requests?operation=no") as response:
        assert response.status == 400
