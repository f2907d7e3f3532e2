"""The filter of ListOrders: what it means, and that whatever else comes is refused with a place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.orders.domain.errors import InvalidFilter
from services.orders.domain.ordering.filter import (
    TERMS_MAX,
    AssigneeTerm,
    CreateTimeTerm,
    HasRxTerm,
    Operator,
    SkuTerm,
    StateTerm,
    Term,
    TotalTerm,
    parse_filter,
)
from services.orders.domain.ordering.model import State
from tests.orders.filters import filter_text, terms, texts_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def refusal(text: str) -> dict[str, str] | None:
    """Returns what is said about a filter that is refused, None if it is not."""
    try:
        parse_filter(text)
    except InvalidFilter as refused:
        return refused.metadata
    return None


def test_a_filter_is_terms_that_must_all_hold() -> None:
    text = """state = PAID AND total >= 1000 AND sku = "IBU-400" AND create_time > "2026-01-31T12:00:00Z"
              AND assignee = 'customers/s-1' AND has_rx = true AND state != ORDER_STATE_READY"""

    assert parse_filter(text) == (
        StateTerm(Operator.EQUAL, State.PAID),
        TotalTerm(Operator.AT_LEAST, 1000),
        SkuTerm("IBU-400"),
        CreateTimeTerm(Operator.GREATER, NOON),
        AssigneeTerm("customers/s-1"),
        HasRxTerm(True),
        StateTerm(Operator.NOT_EQUAL, State.READY),
    )


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_filter_is_no_filter(text: str) -> None:
    assert parse_filter(text) == ()


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00.000000000Z",
        "2026-01-31T14:30:00+02:30",
        "2026-01-30T23:00:00-13:00",
    ],
)
def test_a_time_may_be_written_in_any_zone_and_with_more_zeros_than_are_kept(time: str) -> None:
    assert parse_filter(f"create_time<={time}") == (CreateTimeTerm(Operator.AT_MOST, NOON),)


def test_a_backslash_in_quotes_takes_the_next_letter_as_it_is() -> None:
    assert parse_filter(r"""sku = "\A\.1" AND assignee = ''""") == (SkuTerm("A.1"), AssigneeTerm(""))


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("color = red", 0, "one of state"),
        ("  = 1", 2, "one of state"),
        ("STATE = PAID", 0, "one of state"),
        ('"state" = PAID', 0, "one of state"),
        ("(state = PAID)", 0, "one of state"),
        ("NOT state = PAID", 0, "one of state"),
        ("-state = PAID", 0, "one of state"),
        ("state", 5, "one of = !="),
        ("state PAID", 6, "one of = !="),
        ("state > PAID", 6, "one of = !="),
        ("state == PAID", 6, "one of = !="),
        ("state : PAID", 6, "one of = !="),
        ("sku != A", 4, "one of ="),
        ("total <> 1", 6, "one of = != < <= > >="),
        ("state =", 7, "one of PENDING_PAYMENT"),
        ("state = LOST", 8, "one of PENDING_PAYMENT"),
        ("state = paid", 8, "one of PENDING_PAYMENT"),
        ("state = ORDER_STATE_UNSPECIFIED", 8, "one of PENDING_PAYMENT"),
        ("state = 2", 8, "one of PENDING_PAYMENT"),
        ("state = (PAID)", 8, "one of PENDING_PAYMENT"),
        ("total = 1e3", 8, "a whole number"),
        ("total = 1.5", 8, "a whole number"),
        ("total = ١٢", 8, "a whole number"),
        ("total = 9223372036854775808", 8, "a whole number"),
        ("total = -9223372036854775808", 8, "a whole number"),
        ("total = " + "9" * 1900, 8, "a whole number"),
        ("total = -", 8, "a whole number"),
        ('total = ""', 8, "a whole number"),
        ("create_time = yesterday", 14, "a time like"),
        ("create_time = 2026-01-31", 14, "a time like"),
        ("create_time = 2026-01-31T12:00:00", 14, "a time like"),
        ("create_time = 2026-02-30T12:00:00Z", 14, "a time like"),
        ("create_time = 2026-01-31T12:00:60Z", 14, "a time like"),
        ("create_time = 2026-01-31T24:00:01Z", 14, "a time like"),
        ("create_time = 2026-01-31T12:00:00+99:99", 14, "a time like"),
        ("create_time = 2026-01-31T12:00:00.0000001Z", 14, "a time like"),
        ("create_time = 0000-01-01T00:00:00Z", 14, "a time like"),
        ("create_time = 0001-01-01T00:00:00+12:00", 14, "a time like"),
        ("create_time = 9999-12-31T23:59:59-12:00", 14, "a time like"),
        ('sku = "a b"', 6, "a SKU"),
        ("sku = é", 6, "a SKU"),
        ('sku = "a\0"', 6, "a SKU"),
        ("sku = " + "A" * 41, 6, "a SKU"),
        ("assignee = me", 11, "customers/{staff}"),
        ("assignee = customers/a/b", 11, "customers/{staff}"),
        ("assignee = customers/a\n", -1, ""),
        ("has_rx = yes", 9, "true or false"),
        ("has_rx = True", 9, "true or false"),
        ("has_rx = 1", 9, "true or false"),
        ('sku = "A', 8, 'a closing "'),
        ("sku = 'A\"", 9, "a closing '"),
        ('sku = "A\\"', 10, 'a closing "'),
        ("state = PAID AND", 16, "one of state"),
        ("state = PAID AND ", 17, "one of state"),
        ("state = PAID AND AND total = 1", 17, "one of state"),
        ("AND state = PAID", 0, "one of state"),
        ("state = PAID OR total = 1", 13, "AND"),
        ("state = PAID, total = 1", 8, "one of PENDING_PAYMENT"),
        ("state = PAID total = 1", 13, "AND"),
        ("state = PAID and total = 1", 13, "AND"),
        ("state = PAID AND(total = 1)", 16, "one of state"),
        ('sku = "A""B"', 9, "AND"),
        ("🙂", 0, "one of state"),
        ("state = PAID AND 🙂 = 1", 17, "one of state"),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place_and_what_was_expected(text: str, position: int, expected: str) -> None:
    if position < 0:
        assert parse_filter(text)
        return
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(text)

    assert refused.value.metadata["position"] == str(position)
    assert refused.value.metadata["expected"].startswith(expected)


def test_more_terms_than_the_database_should_try_are_refused() -> None:
    assert len(parse_filter(" AND ".join(["total > 1"] * TERMS_MAX))) == TERMS_MAX
    with pytest.raises(InvalidFilter, match="at most 20 terms"):
        parse_filter(" AND ".join(["total > 1"] * (TERMS_MAX + 1)))


@given(st.lists(terms, max_size=TERMS_MAX))
def test_a_filter_that_is_written_is_read_back(found: list[Term]) -> None:
    assert parse_filter(filter_text(found)) == tuple(found)


@given(st.data())
def test_room_quotes_and_escapes_mean_nothing(data: st.DataObject) -> None:
    found = data.draw(st.lists(terms, max_size=4))

    assert parse_filter(data.draw(texts_of(found))) == tuple(found)


PIECES = ["state", "total", "sku", "create_time", "assignee", "has_rx", "AND", "OR", "=", "!=", "<", ">=", '"', "'", "\\", " ", "\n", "\0"]
VALUES = [
    "PAID",
    "1000",
    "-5",
    "9" * 30,
    "IBU-400",
    "2026-01-31T12:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "true",
    "customers/s",
    "é",
    "🙂",
    "𝟙",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from([*PIECES, *VALUES]), max_size=12).map("".join)))
@example("\ud800 = 1")
def test_whatever_comes_is_a_filter_or_is_refused_with_a_place_in_it(text: str) -> None:
    refused = refusal(text)

    assert refused is None or (0 <= int(refused["position"]) <= len(text) and refused["expected"])


@given(st.data())
def test_a_filter_that_was_damaged_is_another_filter_or_is_refused(data: st.DataObject) -> None:
    """Most damage is near what is valid: here the parser has the most ways to go wrong."""
    text = data.draw(texts_of(data.draw(st.lists(terms, min_size=1, max_size=3))))
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.text(max_size=2)) + text[place + data.draw(st.integers(0, 3)) :]

    refused = refusal(damaged)

    assert refused is None or 0 <= int(refused["position"]) <= len(damaged)
