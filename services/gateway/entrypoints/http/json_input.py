"""Reads JSON objects that strangers send: exact decimals, and no surprises for what comes after."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from services.gateway.domain.errors import MalformedBody


def json_object(raw: bytes) -> dict[str, Any]:
    """Returns the members of a JSON object; every number in it is a Decimal. Raises MalformedBody."""
    try:
        value = json.loads(
            raw.decode("utf-8-sig"), parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse, object_pairs_hook=_unique_members
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        # In this order: not JSON or not UTF-8, an exponent beyond all bounds, nested a thousand deep.
        raise MalformedBody("the body must be a JSON object") from error
    if not isinstance(value, dict):
        raise MalformedBody("the body must be a JSON object")
    return value


def text_member(members: dict[str, Any], name: str) -> str:
    """Returns a string that can be sent on as UTF-8. Raises MalformedBody."""
    value = members.get(name)
    if not isinstance(value, str):
        raise MalformedBody(f"{name} must be a string")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedBody(f"{name} holds half a character")
    return value


def number_member(members: dict[str, Any], name: str) -> Decimal:
    """Returns a number as it was written. Raises MalformedBody."""
    value = members.get(name)
    if not isinstance(value, Decimal):
        raise MalformedBody(f"{name} must be a number")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two members of one name: which of them counts is anyone's guess, and another reader may guess otherwise."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice")
    return members
