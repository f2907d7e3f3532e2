from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.errors import MalformedBody
from services.gateway.entrypoints.http.json_input import json_object, number_member, text_member


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_an_object_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(MalformedBody):
        assert isinstance(json_object(raw), dict)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_every_json_object_is_read(members: dict[str, object]) -> None:
    assert json_object(json.dumps(members).encode()).keys() == members.keys()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_numbers_keep_every_digit(number: Decimal) -> None:
    assert number_member(json_object(f'{{"sum": {number}}}'.encode()), "sum") == number


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": 1e1000000000000000000000000}',
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a": "\n"}',
        b"[" * 50_000,
        b'{"a":' * 10_000,
    ],
)
def test_what_is_not_one_plain_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedBody):
        json_object(raw)


def test_a_number_of_sixty_thousand_digits_is_read_in_no_time() -> None:
    assert number_member(json_object(b'{"sum": ' + b"9" * 60_000 + b"}"), "sum").adjusted() == 59_999


@pytest.mark.parametrize("value", ["1", "true", "null", "[]", '["a"]', "{}", '"\\ud800"', '"a\\udfffb"'])
def test_a_text_is_a_string_of_whole_characters(value: str) -> None:
    with pytest.raises(MalformedBody):
        text_member(json_object(f'{{"login": {value}}}'.encode()), "login")


def test_a_pair_of_surrogates_is_one_whole_character() -> None:
    assert text_member(json_object(b'{"login": "\\ud83d\\ude00"}'), "login") == "\N{GRINNING FACE}"


@pytest.mark.parametrize("value", ['"1"', "true", "null", "[]", "{}"])
def test_a_number_is_a_json_number(value: str) -> None:
    with pytest.raises(MalformedBody):
        number_member(json_object(f'{{"sum": {value}}}'.encode()), "sum")


def test_a_missing_member_is_malformed() -> None:
    with pytest.raises(MalformedBody, match="login"):
        text_member({}, "login")
    with pytest.raises(MalformedBody, match="sum"):
        number_member({}, "sum")
