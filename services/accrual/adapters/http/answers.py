"""Reads what the provider says of an order. Everything that is not exactly as its contract has it is nonsense, never a guess.

Numbers are read as exact decimals; a third decimal is rounded half up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import NoReturn

from services.accrual.application.ports import ProviderFailed
from services.accrual.domain.claims import ACCRUAL_MAX, UNDER_WAY, Answer, State
from shared.money import rounded_hundredths_of

NONSENSE = "nonsense"
_UNDER_WAY = ("REGISTERED", "PROCESSING")


def read_answer(number: str, content_type: str | None, body: bytes) -> Answer:
    """Returns the answer in the body of a 200. Raises ProviderFailed."""
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise nonsense(f"the content type is {media_type[:50]!r}")
    document = _parse(body)
    if document.get("order") != number:
        raise nonsense("the answer is about another order")
    accrual = _accrual(document.get("accrual"))
    status = document.get("status")
    if status in _UNDER_WAY:
        return UNDER_WAY
    if status == "INVALID":
        return Answer(State.INVALID)
    if status == "PROCESSED":
        return Answer(State.PROCESSED, accrual or None)
    raise nonsense(f"the status is {str(status)[:50]!r}")


def nonsense(what: str) -> ProviderFailed:
    return ProviderFailed(NONSENSE, what)


def _accrual(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, Decimal):
        raise nonsense("the accrual is no number")
    try:
        accrual = rounded_hundredths_of(value)
    except ValueError:
        raise nonsense("the accrual is no amount") from None
    if value < 0 or accrual > ACCRUAL_MAX:
        raise nonsense("the accrual is negative or absurd")
    return accrual


def _parse(body: bytes) -> Mapping[str, object]:
    try:
        document: object = json.loads(
            body.decode(), parse_float=_decimal, parse_int=_decimal, parse_constant=_refuse, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError):
        raise nonsense("the body is not JSON") from None
    if not isinstance(document, dict):
        raise nonsense("the body is not a JSON object")
    return document


def _decimal(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except ArithmeticError:
        raise ValueError("a number is too large") from None


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON number")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two values for one field nobody can say which is meant."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a field is repeated")
    return document
