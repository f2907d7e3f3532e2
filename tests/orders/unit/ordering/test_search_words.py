"""The words by which orders are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.ordering.search import QUERY_WORDS_MAX, query_words, stored_words, words_of


def test_an_order_is_found_by_its_number_name_phone_and_medicines() -> None:
    words = stored_words(
        number="123456789012345", name="Ana-María Álvarez", phone="+49 (30) 555-0123", medicines=["IBU-400", "Ibuprofen forte"]
    )

    assert {*words} == {
        *("123456789012345", "ana", "maria", "alvarez"),
        *("49", "30", "555", "0123", "49305550123"),
        *("ibu", "400", "ibuprofen", "forte"),
    }


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("  Álvarez  IBU-4", ["alvarez", "ibu", "4"]),
        ("ÁLVAREZ alvarez", ["alvarez"]),
        ("Straße ﬁn", ["strasse", "fin"]),
        ("Işık IŞIK ışık", ["isik"]),
        ("!!! & | <-> :* ' \\", []),
        ("a'b:*", ["a", "b"]),
        ("Ω μ 你好", ["ω", "μ", "你好"]),
    ],
)
def test_a_query_is_cut_up_like_what_is_stored(query: str, words: list[str]) -> None:
    assert query_words(query) == words


def test_only_the_first_words_of_a_query_count() -> None:
    assert query_words(" ".join(map(str, range(50)))) == [str(number) for number in range(QUERY_WORDS_MAX)]


@given(st.text(max_size=80))
def test_words_are_letters_and_digits_without_case_and_are_found_by_themselves(text: str) -> None:
    for word in words_of(text):
        assert word.isalnum()
        assert query_words(word) == [word]
        assert query_words(word.upper()) == query_words(word)
