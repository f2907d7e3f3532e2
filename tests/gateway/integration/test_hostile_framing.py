"""Bodies and heads that are badly packed, too long, or can be read in two ways: refused, and nothing behind the edge hears of them."""

from __future__ import annotations

import gzip

import pytest

from tests.gateway.client import BALANCE, ORDERS, Client, status_of
from tests.gateway.fakes import FakeServices


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
