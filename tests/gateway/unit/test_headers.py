"""What the edge reads out of headers: tokens, ids of writes, addresses, and whether gzip is welcome."""

from __future__ import annotations

from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.errors import InvalidHeader
from services.gateway.entrypoints.http.client_address import ClientAddresses
from services.gateway.entrypoints.http.compression import accepts_gzip
from services.gateway.entrypoints.http.credentials import COOKIE, token_in
from services.gateway.entrypoints.http.idempotency import request_id

HEADER_TEXT = st.text(st.characters(blacklist_characters="\r\n\0"), max_size=300)


@pytest.mark.parametrize(
    ("header", "welcome"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip ; q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("br, zstd", False),
        ("x-gzip-not", False),
        ("gzip;q=high", False),
        ("gzip;q=..", False),
    ],
)
def test_gzip_is_welcome_if_the_client_says_so(header: str, welcome: bool) -> None:
    assert accepts_gzip(header) is welcome


@given(HEADER_TEXT)
def test_any_accept_encoding_can_be_read(header: str) -> None:
    assert accepts_gzip(header) in (True, False)


def test_a_uuid_is_taken_as_it_is_in_any_case_and_in_quotes() -> None:
    key = uuid4()
    assert [request_id([text], "/a") for text in (str(key), str(key).upper(), f'"{key}"', f" {key} ")] == [key] * 4


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255).filter(lambda text: text.strip('"')))
def test_any_other_key_becomes_the_same_uuid_each_time_and_another_one_on_another_route(key: str) -> None:
    first = request_id([key], "/a")
    assert first == request_id([key], "/a")
    assert isinstance(first, UUID)
    if str(first) != key:
        assert first != request_id([key], "/b")


def test_what_only_python_takes_for_a_uuid_is_just_text() -> None:
    key = uuid4()
    assert request_id([f"{{{key}}}"], "/a") != key
    assert request_id([key.hex], "/a") != key


def test_without_a_key_every_request_has_an_id_of_its_own() -> None:
    assert request_id([], "/a") != request_id([], "/a")


@pytest.mark.parametrize("keys", [[""], ['""'], ["a" * 256], ["caf\u00e9"], ["a\tb"], ["\udcff"], ["a", "b"]])
def test_keys_that_are_no_key_are_refused(keys: list[str]) -> None:
    with pytest.raises(InvalidHeader):
        request_id(keys, "/a")


@pytest.mark.parametrize(
    ("authorization", "cookies", "token"),
    [
        ("Bearer a.b.c", {}, "a.b.c"),
        ("bearer   a.b.c ", {}, "a.b.c"),
        ("a.b.c", {}, "a.b.c"),
        ("", {COOKIE: "x.y.z"}, "x.y.z"),
        ("Bearer a.b.c", {COOKIE: "x.y.z"}, "a.b.c"),
        ("a.b.c", {COOKIE: "x.y.z"}, "a.b.c"),
        ("Bearer", {COOKIE: "x.y.z"}, None),
        ("Bearer ", {}, None),
        ("", {}, None),
        ("  ", {COOKIE: ""}, None),
    ],
)
def test_the_token_is_in_the_header_or_in_the_cookie_and_the_header_wins(
    authorization: str, cookies: dict[str, str], token: str | None
) -> None:
    assert token_in(authorization, cookies) == token


PROXIES = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("remote", "forwarded_for", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, garbage"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_trusted_proxies_wrote_them(remote: str, forwarded_for: list[str], client: str) -> None:
    assert PROXIES.read(remote, forwarded_for) == client


def test_without_trusted_proxies_nobody_can_forge_an_address() -> None:
    assert ClientAddresses([]).read("203.0.113.7", ["1.1.1.1"]) == "203.0.113.7"


@given(HEADER_TEXT)
def test_any_forwarded_address_can_be_read(header: str) -> None:
    assert PROXIES.read("10.0.0.1", [header])
