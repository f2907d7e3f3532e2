from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.luhn import is_luhn_valid, with_check_digit
from shared.money import decimal_text, hundredths_of, rounded_hundredths_of


@pytest.mark.parametrize("number", ["79927398713", "2377225624", "12345678903", "0", "18", "4561261212345467"])
def test_known_luhn_numbers_are_valid(number: str) -> None:
    assert is_luhn_valid(number)


@pytest.mark.parametrize("number", ["", "79927398710", "1", "12a", " 18", "18 ", "-18", "1٨", "²", "１８"])
def test_everything_else_is_not(number: str) -> None:
    assert not is_luhn_valid(number)


@given(st.text("0123456789", min_size=1, max_size=60), st.data())
def test_a_check_digit_finds_every_single_wrong_digit(payload: str, data: st.DataObject) -> None:
    number = with_check_digit(payload)
    place = data.draw(st.integers(0, len(number) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))

    assert is_luhn_valid(number)
    assert not is_luhn_valid(number[:place] + wrong + number[place + 1 :])


@given(st.integers(-(10**18), 10**18))
def test_hundredths_survive_being_written_and_read(amount: int) -> None:
    assert hundredths_of(Decimal(decimal_text(amount))) == amount


@pytest.mark.parametrize(("hundredths", "text"), [(50050, "500.5"), (4200, "42"), (72998, "729.98"), (5, "0.05"), (0, "0"), (-150, "-1.5")])
def test_hundredths_are_written_as_short_as_they_go(hundredths: int, text: str) -> None:
    assert decimal_text(hundredths) == text


@pytest.mark.parametrize(
    ("amount", "hundredths"), [("729.975", 72998), ("27.25", 2725), ("0.005", 1), ("0.0049", 0), ("1e2", 10000), ("0.004" + "9" * 40, 0)]
)
def test_a_third_decimal_is_rounded_half_up(amount: str, hundredths: int) -> None:
    assert rounded_hundredths_of(Decimal(amount)) == hundredths


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e1000000", "1e31", "1." + "0" * 100 + "1"])
@pytest.mark.parametrize("convert", [hundredths_of, rounded_hundredths_of])
def test_what_is_not_an_amount_is_refused_without_being_computed(amount: str, convert: Callable[[Decimal], int]) -> None:
    with pytest.raises(ValueError, match="amount"):
        convert(Decimal(amount))


@pytest.mark.parametrize("amount", ["1.001", "1." + "0" * 40 + "1"])
def test_a_third_decimal_is_refused_where_exactness_is_asked_for(amount: str) -> None:
    with pytest.raises(ValueError, match="two decimals"):
        hundredths_of(Decimal(amount))
