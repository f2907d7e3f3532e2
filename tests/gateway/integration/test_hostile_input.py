"""Input that nobody should send: it costs the sender a 4xx, and nobody anything else. A 500 anywhere fails the test."""

from __future__ import annotations

import gzip
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.entrypoints.http.credentials import COOKIE
from tests.gateway.client import BALANCE, JSON, LOGIN, ORDERS, REGISTER, TEXT, WITHDRAW, WITHDRAWALS, Client
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


def packed(content: bytes) -> bytes:
    """Packs without the time of day, which would give the tests another name in each worker."""
    return gzip.compress(content, mtime=0)


GZIPPED = packed(b"12345678903")
GZIP_CASES: list[tuple[str, bytes, int]] = [
    ("gzip", GZIPPED, 202),
    ("x-gzip", GZIPPED, 202),
    ("GZIP", GZIPPED, 202),
    ("identity", b"12345678903", 202),
    ("", b"12345678903", 202),
    ("gzip", GZIPPED + packed(b" "), 202),
    ("gzip", b"", 400),
    ("gzip", b"12345678903", 400),
    ("gzip", GZIPPED[:-1], 400),
    ("gzip", GZIPPED[:12], 400),
    ("gzip", GZIPPED + b"garbage", 400),
    ("gzip", GZIPPED[:-4] + b"\0\0\0\0", 400),
    ("gzip", packed(b"0" * (10 << 20)), 413),
    ("gzip", packed(b"0" * 70_000), 413),
    ("gzip", packed(b""), 400),
    ("gzip, gzip", packed(GZIPPED), 415),
    ("deflate", b"x", 415),
    ("br", b"x", 415),
    ("zstd", b"x", 415),
    ("nonsense", b"x", 415),
    ("\xff", b"x", 415),
]


@pytest.mark.parametrize(("encoding", "body", "status"), GZIP_CASES, ids=lambda value: repr(value)[:30])
async def test_packed_bodies_are_unpacked_within_bounds(client: Client, encoding: str, body: bytes, status: int) -> None:
    head = client.raw_head("POST", ORDERS, "Content-Type: text/plain", f"Content-Encoding: {encoding}", f"Content-Length: {len(body)}")
    assert status_of(await client.raw(head + body)) == status


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_body_over_the_limit_is_refused(client: Client, fakes: FakeServices, declared: bool) -> None:
    body = b"0" * 70_000
    length = f"Content-Length: {len(body)}" if declared else "Transfer-Encoding: chunked"
    sent = body if declared else f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    answer = await client.raw(client.raw_head("POST", ORDERS, "Content-Type: text/plain", length) + sent)
    assert status_of(answer) == 413
    assert b"BODY_TOO_LARGE" in answer
    assert fakes.calls == []


async def test_a_body_that_says_it_is_huge_is_refused_before_it_comes(client: Client) -> None:
    answer = await client.raw(client.raw_head("POST", ORDERS, "Content-Type: text/plain", "Content-Length: 99999999999"))
    assert status_of(answer) == 413


FRAMINGS = [
    ("Content-Length: 2", "Transfer-Encoding: chunked"),
    ("Content-Length: 2", "Content-Length: 3"),
    ("Content-Length: -1",),
    ("Content-Length: +2",),
    ("Content-Length: 0x2",),
    ("Content-Length: 2 2",),
    ("Content-Length: 99999999999999999999999999",),
    ("Transfer-Encoding: gzip",),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding:\x0bchunked",),
    ("Transfer-Encoding : chunked",),
    (" folded: header",),
    ("no colon",),
    ("Bad Name: x",),
    ("X: a\x00b",),
    *[("X: " + "a" * 10_000,)],
    *[tuple(f"X-{number}: 1" for number in range(100))],
]


@pytest.mark.parametrize("lines", FRAMINGS, ids=lambda lines: repr(lines)[:40])
async def test_heads_that_can_be_read_in_two_ways_are_refused_and_the_connection_ends(
    client: Client, fakes: FakeServices, lines: tuple[str, ...]
) -> None:
    head = client.raw_head("POST", ORDERS, "Content-Type: text/plain", *lines).replace(b"Connection: close\r\n", b"")
    answer = await client.raw(head + b"18\r\n0\r\n\r\n")
    assert status_of(answer) in (400, 413)
    assert answer.count(b"HTTP/1.") == 1
    assert fakes.calls == []


CHUNKS = [
    b"zz\r\n18\r\n0\r\n\r\n",
    b"-2\r\n18\r\n0\r\n\r\n",
    b"2\n18\n0\n\n",
    b"2\r\n1800\r\n\r\n",
    b"ffffffffffffffffffff\r\n18\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("chunks", CHUNKS, ids=lambda chunks: repr(chunks)[:40])
async def test_chunks_that_lie_are_a_bad_request(client: Client, fakes: FakeServices, chunks: bytes) -> None:
    answer = await client.raw(client.raw_head("POST", ORDERS, "Content-Type: text/plain", "Transfer-Encoding: chunked") + chunks)
    assert status_of(answer) in (400, 413)
    assert fakes.calls == []


REQUEST_LINES = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n\r\n",
    b"G\xffT / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
]


@pytest.mark.parametrize("sent", REQUEST_LINES, ids=lambda sent: repr(sent)[:40])
async def test_what_is_no_http_is_refused_and_the_connection_ends(client: Client, sent: bytes) -> None:
    answer = await client.raw(sent)
    assert status_of(answer) in (400, 404)
    assert b"Server: galen\r\n" in answer
    assert b"Connection: close" in answer or not answer.startswith(b"HTTP/1.1")
    assert b"Content-Type: application/problem+json" in answer
    assert b"aiohttp" not in answer


async def test_an_expectation_that_nobody_can_meet_is_refused(client: Client) -> None:
    assert status_of(await client.raw(client.raw_head("POST", ORDERS, "Expect: miracles", "Content-Length: 2"))) == 417


async def test_a_client_may_wait_for_a_go_ahead_before_it_sends_its_body(client: Client) -> None:
    head = client.raw_head("POST", ORDERS, "Expect: 100-continue", "Content-Type: text/plain", "Content-Length: 2")
    answer = await client.raw(head + b"18")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202")


async def test_an_upgrade_is_not_taken_up(client: Client) -> None:
    answer = await client.raw(
        client.raw_head("GET", BALANCE, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: x"), within_s=8
    )
    assert status_of(answer) == 200


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


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
