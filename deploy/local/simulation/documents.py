"""JSON that strangers send, read strictly: whatever is wrong with it becomes BadRequest, and a number stays an exact decimal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import NoReturn

AMOUNT_MAX = Decimal(10) ** 12
_AMOUNT_DIGITS_MAX = 40
_AMOUNT_DECIMALS_MAX = 20


class BadRequest(Exception):
    """The request is not what the contract asks for; the text says why and is shown to the caller."""


def parse_json(body: bytes) -> object:
    """Returns the document; its numbers are Decimals. Raises BadRequest if it is not JSON in UTF-8, NaN and Infinity included."""
    try:
        document: object = json.loads(body.decode(), parse_float=_decimal, parse_int=_decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadRequest("nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from error
    return document


def _decimal(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except ArithmeticError:
        raise ValueError("a number is too large") from None


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON number")


class Fields:
    """The fields of a JSON object. Every method raises BadRequest, with the field's name, if the value is not as asked for."""

    def __init__(self, document: object, *, known: frozenset[str] | None = None) -> None:
        """`known` names the fields that may be there; None lets others pass unread."""
        if not isinstance(document, dict):
            raise BadRequest("must be a JSON object")
        unknown = sorted(set(document) - known) if known is not None else []
        if unknown:
            raise BadRequest(f"unknown field {unknown[0][:50]!a}")
        self._values: dict[str, object] = document

    def text(self, name: str, *, length_max: int, length_min: int = 0) -> str:
        """Returns a text that PostgreSQL can store: no NUL, no lone surrogate."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise BadRequest(f"{name}: must be a text")
        if not length_min <= len(value) <= length_max:
            raise BadRequest(f"{name}: must have {length_min} to {length_max} characters")
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise BadRequest(f"{name}: has characters that are not allowed")
        return value

    def text_or_none(self, name: str, *, length_max: int) -> str | None:
        """Returns the text, or None if there is none."""
        return None if self._values.get(name) is None else self.text(name, length_max=length_max)

    def amount(self, name: str) -> Decimal:
        """Returns an exact amount from 0 to AMOUNT_MAX."""
        value = self._values.get(name)
        if not isinstance(value, Decimal):
            raise BadRequest(f"{name}: must be a number")
        _, digits, exponent = value.as_tuple()
        # The size is looked at before anything is calculated: 1e999999999 is a short text and a very long number.
        fits = isinstance(exponent, int) and -_AMOUNT_DECIMALS_MAX <= exponent <= _AMOUNT_DIGITS_MAX and len(digits) <= _AMOUNT_DIGITS_MAX
        if not fits or not 0 <= value <= AMOUNT_MAX:
            raise BadRequest(f"{name}: must be from 0 to {AMOUNT_MAX:f} with at most {_AMOUNT_DECIMALS_MAX} decimals")
        return value

    def amount_or_none(self, name: str) -> Decimal | None:
        """Returns the amount, or None if there is none."""
        return None if self._values.get(name) is None else self.amount(name)

    def number(self, name: str, *, default: float, low: float, high: float) -> float:
        """Returns a number, `default` if there is none; for times and chances, never for money."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, Decimal) or not low <= value <= high:
            raise BadRequest(f"{name}: must be a number from {low:g} to {high:g}")
        return float(value)

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        """Returns a whole number, `default` if there is none."""
        value = self.number(name, default=default, low=low, high=high)
        if value != int(value):
            raise BadRequest(f"{name}: must be a whole number")
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Returns true or false, `default` if there is none."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadRequest(f"{name}: must be true or false")
        return value

    def items(self, name: str, *, count_max: int) -> list[object]:
        """Returns the items of a list."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise BadRequest(f"{name}: must be a list")
        if len(value) > count_max:
            raise BadRequest(f"{name}: must have at most {count_max} items")
        return value

    def has(self, name: str) -> bool:
        """Tells whether the field is there and not null."""
        return self._values.get(name) is not None
