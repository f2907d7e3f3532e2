from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.errors import OrderNumberInvalid
from services.gateway.domain.order_number import checked_number
from shared.luhn import with_check_digit

payloads = st.text("0123456789", max_size=254)


@given(payloads, st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_numbers_of_any_length_are_taken_without_the_space_around_them(payload: str, before: str, after: str) -> None:
    number = with_check_digit(payload)
    assert checked_number(before + number + after) == number


@given(payloads, st.integers(1, 9))
def test_a_wrong_check_digit_is_refused(payload: str, off_by: int) -> None:
    number = with_check_digit(payload)
    with pytest.raises(OrderNumberInvalid):
        checked_number(number[:-1] + str((int(number[-1]) + off_by) % 10))


@pytest.mark.parametrize("text", ["", "12a", "1 8", "-18", "+18", "1.8", "١٨", "１８", "18\0", "18\N{NO-BREAK SPACE}", "²"])
def test_what_is_no_row_of_ascii_digits_is_refused(text: str) -> None:
    with pytest.raises(OrderNumberInvalid):
        checked_number(text)


def test_255_digits_are_taken_and_256_are_not() -> None:
    longest = with_check_digit("9" * 254)
    assert checked_number(longest) == longest
    with pytest.raises(OrderNumberInvalid):
        checked_number(with_check_digit("9" * 255))
