"""The Luhn check of order numbers (ISO/IEC 7812-1, annex B)."""

from __future__ import annotations

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_luhn_valid(number: str) -> bool:
    """Tells whether `number` is one or more ASCII digits whose last digit is the right check digit."""
    if not (number.isascii() and number.isdigit()):
        return False
    digits = [ord(character) - 48 for character in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def with_check_digit(payload: str) -> str:
    """Returns the ASCII digits of `payload` with their check digit appended."""
    return next(number for number in (payload + str(digit) for digit in range(10)) if is_luhn_valid(number))
