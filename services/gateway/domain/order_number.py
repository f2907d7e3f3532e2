"""The rule for order numbers, which come from outside and may be anything."""

from __future__ import annotations

from services.gateway.domain.errors import OrderNumberInvalid
from shared.luhn import is_luhn_valid

DIGITS_MAX = 255
_WHITE_SPACE = " \t\r\n\f\v"


def checked_number(text: str) -> str:
    """Returns the number without the white space around it. Raises OrderNumberInvalid."""
    number = text.strip(_WHITE_SPACE)
    if len(number) > DIGITS_MAX or not is_luhn_valid(number):
        raise OrderNumberInvalid
    return number
