"""Whatever strangers send is either read exactly or refused with BadRequest."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.simulation.documents import AMOUNT_MAX, BadRequest, Fields, parse_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"'a'",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1e99999999999999999999999",
        b"{} {}",
        b"\x00",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(BadRequest):  # anything else fails
        parse_json(body)


@given(json_values)
def test_any_value_of_any_field_is_read_or_refused(value: object) -> None:
    with suppress(BadRequest):  # anything else fails
        given_fields = Fields(parse_json(json.dumps({"field": value}).encode()))
        assert given_fields.text("field", length_max=100).encode() == str(value).encode()
    with suppress(BadRequest):
        given_fields = Fields(parse_json(json.dumps({"field": value}).encode()))
        assert given_fields.amount("field") == Decimal(json.dumps(value))


@given(st.decimals(min_value=0, max_value=AMOUNT_MAX, places=20))
def test_an_amount_is_read_exactly(amount: Decimal) -> None:
    assert Fields(parse_json(f'{{"price": {amount:f}}}'.encode())).amount("price") == amount


@pytest.mark.parametrize(
    "literal",
    ["-1", "-0.01", "1e13", "1e999999999", "1e-999999999", "1000000000000.01", "0." + "1" * 21, '"5"', "true", "null", "[]", "1" * 5000],
)
def test_what_is_no_amount_is_refused(literal: str) -> None:
    with pytest.raises(BadRequest, match="price"):
        Fields(parse_json(f'{{"price": {literal}}}'.encode())).amount("price")


@pytest.mark.parametrize("literal", ['"a\\u0000b"', '"\\ud800"', '"\\udfff x"', "1", "null", '"' + "x" * 11 + '"', '""'])
def test_a_text_that_postgres_cannot_store_or_that_has_the_wrong_length_is_refused(literal: str) -> None:
    with pytest.raises(BadRequest, match="match"):
        Fields(parse_json(f'{{"match": {literal}}}'.encode())).text("match", length_min=1, length_max=10)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="object"):
        Fields(parse_json(body))


def test_fields_that_are_not_known_are_refused_only_where_that_is_asked_for() -> None:
    Fields({"known": 1, "other": 2})
    with pytest.raises(BadRequest, match="other"):
        Fields({"known": 1, "other": 2}, known=frozenset({"known"}))
