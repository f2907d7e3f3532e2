"""Input that nobody should send: it costs the sender a 4xx, and nobody anything else. A 500 anywhere fails the test."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.entrypoints.http.credentials import COOKIE
from tests.gateway.client import BALANCE, JSON, LOGIN, ORDERS, REGISTER, TEXT, WITHDRAW, WITHDRAWALS, Client, status_of
from tests.gateway.fakes import FakeServices

PAIR_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b"{}", 400),
    (b'{"login": "a"}', 400),
    (b'{"password": "a"}', 400),
    (b'{"login": 1, "password": "a"}', 400),
    (b'{"login": "a", "password": null}', 400),
    (b'{"login": ["a"], "password": {"a": 1}}', 400),
    (b'{"login": "\\ud800", "password": "a"}', 400),
    (b'{"login": "a", "password": "\\udfff"}', 400),
    (b'{"login": "\xff\xfe", "password": "a"}', 400),
    (b'{"login": "a", "login": "b", "password": "c"}', 400),
    (b'{"login": "a", "password": "b"', 400),
    (b'{"login": "a", "password": "b"} x', 400),
    (b"[" * 60_000, 400),
    (b'{"login":' * 7_000, 400),
    (b'{"login": "a", "password": "b", "x": ' + b"9" * 60_000 + b"}", 200),
    (b'\xef\xbb\xbf{"login": "a", "password": "b"}', 200),
]

SUMS: list[tuple[str, int]] = [
    ("0", 422),
    ("-1", 422),
    ("-0.01", 422),
    ("0.001", 422),
    ("1.005", 422),
    ("10000000000.01", 422),
    ("1e1000000", 422),
    ("1e-1000000", 422),
    ("9" * 5000, 422),
    ("0." + "0" * 5000 + "1", 422),
    ("1e99999999999999999999999", 400),
    ("NaN", 400),
    ("Infinity", 400),
    ("-Infinity", 400),
    ("+1", 400),
    ("01", 400),
    (".5", 400),
    ("1.", 400),
    ("0x10", 400),
    ('"751"', 400),
    ("true", 400),
    ("null", 400),
    ("[751]", 400),
    ("{}", 400),
    ("1e2", 200),
    ("10000000000", 200),
    ("0.01", 200),
]

UPLOADS: list[tuple[bytes, int]] = [
    (b"", 400),
    (b" \r\n\t", 400),
    (b"letters", 422),
    (b"12345678900", 422),
    (b"-18", 422),
    (b"1 8", 422),
    (b"18\x0018", 422),
    (b"18\x00", 422),
    ("١٨".encode(), 422),
    (b"\xff\xfe1\x008\x00", 422),
    (b"\xed\xa0\x80", 422),
    (b"0" * 256, 422),
    (b"0" * 60_000, 422),
    (b'{"order": "18"}', 422),
    (b"0" * 255, 202),
    (b"\n18 ", 202),
]


@pytest.mark.parametrize("path", [REGISTER, LOGIN])
@pytest.mark.parametrize(("body", "status"), PAIR_BODIES, ids=lambda value: repr(value)[:40])
async def test_bad_credentials_are_a_bad_request(client: Client, fakes: FakeServices, path: str, body: bytes, status: int) -> None:
    assert (await client.post(path, body)).status == status
    assert len(fakes.calls) == (status == 200)


@pytest.mark.parametrize(("amount", "status"), SUMS, ids=lambda value: repr(value)[:40])
async def test_bad_sums_are_refused_and_never_reach_the_ledger(client: Client, fakes: FakeServices, amount: str, status: int) -> None:
    answer = await client.post(WITHDRAW, f'{{"order": "2377225624", "sum": {amount}}}')
    assert answer.status == status
    assert len(fakes.calls) == (status == 200)


@pytest.mark.parametrize(
    ("order", "status"),
    [('"2377225625"', 422), ('""', 422), ('"' + "0" * 256 + '"', 422), ('"18\\u0000"', 422), ("18", 400), ("null", 400), ("[]", 400)],
)
async def test_bad_order_numbers_of_withdrawals_are_refused(client: Client, fakes: FakeServices, order: str, status: int) -> None:
    assert (await client.post(WITHDRAW, f'{{"order": {order}, "sum": 1}}')).status == status
    assert fakes.calls == []


@pytest.mark.parametrize(("body", "status"), UPLOADS, ids=lambda value: repr(value)[:40])
async def test_bad_uploads_are_refused(client: Client, fakes: FakeServices, body: bytes, status: int) -> None:
    assert (await client.post(ORDERS, body)).status == status
    assert len(fakes.calls) == (status == 202)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 202),
        ("text/plain; charset=utf-8", 202),
        ('TEXT/PLAIN;charset="utf-8"', 202),
        ("text/plain;", 202),
        ("text/html", 400),
        ("application/json", 400),
        ("text", 400),
        ("", 400),
        ("text/plain, application/json", 400),
        ("\xff", 400),
    ],
)
async def test_the_media_type_of_an_upload_is_parsed(client: Client, content_type: str, status: int) -> None:
    answer = await client.raw(client.raw_head("POST", ORDERS, f"Content-Type: {content_type}", "Content-Length: 2") + b"18")
    assert status_of(answer) == status


async def test_a_body_of_unsaid_type_is_given_the_benefit_of_the_doubt(client: Client) -> None:
    assert status_of(await client.raw(client.raw_head("POST", ORDERS, "Content-Length: 2") + b"18")) == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", REGISTER),
        ("PUT", LOGIN),
        ("DELETE", ORDERS),
        ("POST", BALANCE),
        ("GET", WITHDRAW),
        ("POST", WITHDRAWALS),
        ("OPTIONS", ORDERS),
        ("PATCH", BALANCE),
        ("TRACE", ORDERS),
    ],
)
async def test_a_wrong_method_is_not_allowed(client: Client, method: str, path: str) -> None:
    answer = await client.ask(method, path)
    assert (answer.status, answer.reason) == (405, "METHOD_NOT_ALLOWED")
    assert method not in answer.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/user/orders/",
        "/api/user/orders/18",
        "/API/USER/ORDERS",
        "/metrics",
        "/%2e%2e/etc/passwd",
        "/%ff%00",
        "//api/user/orders",
        "/api/user/orders;x",
        "/" + "a" * 4000,
    ],
)
async def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    answer = await client.raw(client.raw_head("GET", path))
    assert status_of(answer) == 404
    assert b"ROUTE_NOT_FOUND" in answer


async def test_a_query_changes_nothing(client: Client) -> None:
    assert (await client.ask("GET", f"{BALANCE}?order=1&order=%00%ff")).status == 200


@pytest.mark.parametrize("path", [ORDERS, BALANCE, WITHDRAWALS])
async def test_head_is_get_without_its_body(client: Client, path: str) -> None:
    got, head = await client.ask("GET", path), await client.ask("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers.get("Content-Length") == got.headers.get("Content-Length")


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        ";",
        "=",
        "=;=",
        f"{COOKIE}",
        f"{COOKIE}=",
        f'{COOKIE}="',
        f"{COOKIE}=\xff\xfe",
        f"{COOKIE}=a.b.c; {COOKIE}=d",
        f'{COOKIE}="\\777\\"',
        "a" * 6000,
        f"{COOKIE}=" + "a" * 6000,
        "$Version=1; a[]=b",
        "\x01=\x02",
    ],
)
async def test_a_bad_cookie_is_no_credential(client: Client, cookie: str) -> None:
    head = f"GET {BALANCE} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n".encode("latin-1")
    assert status_of(await client.raw(head)) in (400, 401)


@pytest.mark.parametrize("key", ["", "a" * 256, "\xe9", "a\tb"])
async def test_a_bad_idempotency_key_is_a_bad_request(client: Client, fakes: FakeServices, key: str) -> None:
    head = client.raw_head("POST", ORDERS, "Content-Type: text/plain", f"Idempotency-Key: {key}", "Content-Length: 2")
    answer = await client.raw(head + b"18")
    assert status_of(answer) == 400
    assert b"INVALID_HEADER" in answer
    assert fakes.calls == []


async def test_lines_smuggled_into_values_come_back_as_nothing(client: Client) -> None:
    answer = await client.ask("GET", "/x%0d%0aSet-Cookie:%20a=b", headers={"traceparent": "00-x%0d%0aSet-Cookie: a=b"})
    assert answer.status == 404
    assert "Set-Cookie" not in answer.headers


FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
PATHS = st.sampled_from([REGISTER, LOGIN, ORDERS, WITHDRAW])


@FUZZ
@given(PATHS, st.binary(max_size=500), st.sampled_from([{}, {"Content-Encoding": "gzip"}]))
async def test_no_body_makes_the_edge_fail(client: Client, path: str, body: bytes, headers: dict[str, str]) -> None:
    answer = await client.ask("POST", path, data=body, headers={**(TEXT if path == ORDERS else JSON), **headers})
    assert answer.status < 500


HEADER_NAMES = st.sampled_from(
    [
        "Authorization",
        "Cookie",
        "Content-Type",
        "Accept-Encoding",
        "Idempotency-Key",
        "X-Forwarded-For",
        "traceparent",
        "Accept",
        "Range",
        "If-None-Match",
        "Origin",
        "Host",
    ]
)
HEADER_VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=100) | st.text(
    string.printable.replace("\r", "").replace("\n", ""), max_size=100
)


@FUZZ
@given(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=5))
async def test_no_header_makes_the_edge_fail(client: Client, headers: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([f"GET {BALANCE} HTTP/1.1", "Connection: close", "Host: a", *lines, "", ""]).encode("latin-1")
    assert 200 <= status_of(await client.raw(head)) < 500
