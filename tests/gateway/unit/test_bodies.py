from __future__ import annotations

import contextlib
import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.errors import BodyTooLarge, MalformedBody
from services.gateway.entrypoints.http.bodies import unpacked

LIMIT = 1000


@given(st.lists(st.binary(max_size=300), max_size=3))
def test_gzip_of_one_or_more_members_is_unpacked(parts: list[bytes]) -> None:
    assert unpacked(b"".join(map(gzip.compress, parts)), LIMIT) == b"".join(parts)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_gzip_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(MalformedBody):
        assert len(unpacked(raw, LIMIT)) <= LIMIT


@given(st.binary(min_size=1, max_size=200), st.data())
def test_gzip_that_is_cut_short_is_malformed(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    with pytest.raises(MalformedBody):
        unpacked(packed[: data.draw(st.integers(1, len(packed) - 1))], LIMIT)


def test_a_damaged_checksum_is_malformed() -> None:
    packed = bytearray(gzip.compress(b"12345678903"))
    packed[-5] ^= 1
    with pytest.raises(MalformedBody):
        unpacked(bytes(packed), LIMIT)


def test_the_limit_itself_is_allowed_and_one_byte_more_is_not() -> None:
    assert len(unpacked(gzip.compress(b"0" * LIMIT), LIMIT)) == LIMIT
    with pytest.raises(BodyTooLarge):
        unpacked(gzip.compress(b"0" * (LIMIT + 1)), LIMIT)


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(b"0" * (50 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            unpacked(bomb, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_bomb_of_many_members_is_refused_too() -> None:
    with pytest.raises(BodyTooLarge):
        unpacked(gzip.compress(b"0" * 900) * 70, LIMIT)
