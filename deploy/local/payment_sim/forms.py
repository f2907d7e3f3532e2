"""Reads form-encoded parameters with nested names: `metadata[order_id]=7`, `payment_method_types[]=card`, `created[gte]=1`.

Whatever is not as the API wants it raises ApiError with the parameter's name, before anything is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from deploy.local.payment_sim.errors import ApiError, invalid, missing_parameter, unknown_parameter

AMOUNT_MAX = 99_999_999
METADATA_KEYS_MAX, METADATA_NAME_MAX, METADATA_VALUE_MAX = 50, 40, 500
FIELDS_MAX = 500
TEXT_MAX = 5000
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")

Value = str | list[str] | dict[str, str]


def parse_form(text: str) -> Params:
    """Reads a query or the body of a POST. Raises ApiError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise ApiError(400, "Invalid form encoding") from None
    given: dict[str, Value] = {}
    for name, value in pairs:
        _add(given, name, value)
    return Params(given)


def _add(given: dict[str, Value], name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None or len(name) > 200:
        raise unknown_parameter(name[:100])
    if "\x00" in name + value or len(value) > TEXT_MAX:
        raise invalid(name[:100], "Invalid string: too long, or with characters that are not allowed")
    first, inner = match[1], match[2]
    if not inner:
        given[first] = value
        return
    key, _, deeper = inner[1:-1].partition("][")
    # `types[]=card` and `types[0]=card` are lists both.
    if not deeper and (key == "" or key.isdigit()):
        known = given.setdefault(first, [])
        if isinstance(known, list):
            known.append(value)
        return
    mapping = given.setdefault(first, {})
    if isinstance(mapping, dict):
        mapping[key + (f"[{deeper}]" if deeper else "")] = value


class Params:
    """The parameters of a request. Every method raises ApiError if the value is not as asked for."""

    def __init__(self, given: Mapping[str, Value]) -> None:
        self.given = given

    def only(self, names: Iterable[str]) -> None:
        """Refuses parameters other than these; `expand` is always taken, and ignored."""
        for name in self.given:
            if name != "expand" and name not in names:
                raise unknown_parameter(name)

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(name, f"Invalid string: {name} must be a string")
        return value or None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise missing_parameter(name)
        return value

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        value, known = self.text(name), tuple(choices)
        if value is not None and value not in known:
            raise invalid(name, f"Invalid {name}: must be one of {', '.join(known)}")
        return value

    def flag(self, name: str) -> bool:
        return self.choice(name, ("true", "false")) == "true"

    def amount(self, name: str) -> int | None:
        """Returns an amount from 1 on."""
        text = self.text(name)
        if text is None:
            return None
        value = whole(name, text)
        if value < 1:
            raise invalid(name, "This value must be greater than or equal to 1.", "parameter_invalid_integer")
        if value > AMOUNT_MAX:
            raise invalid(name, f"Amount must be no more than {AMOUNT_MAX}", "amount_too_large")
        return value

    def metadata(self) -> dict[str, str]:
        value = self.given.get("metadata", {})
        if value in ("", []):
            return {}
        if not isinstance(value, dict):
            raise invalid("metadata", "Invalid object")
        if len(value) > METADATA_KEYS_MAX:
            raise invalid("metadata", f"Metadata can have up to {METADATA_KEYS_MAX} keys")
        for key, text in value.items():
            if len(key) > METADATA_NAME_MAX or len(text) > METADATA_VALUE_MAX:
                raise invalid(f"metadata[{key[:40]}]", "Metadata names have up to 40 characters, values up to 500")
        return {key: text for key, text in value.items() if text}

    def texts(self, name: str) -> list[str]:
        value = self.given.get(name, [])
        if not isinstance(value, list):
            raise invalid(name, "Invalid array")
        return value

    def nested(self, name: str) -> Mapping[str, str]:
        value = self.given.get(name, {})
        if not isinstance(value, dict):
            raise invalid(name, "Invalid object")
        return value


def whole(name: str, text: str) -> int:
    """Reads a whole number. Raises ApiError."""
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise invalid(name, f"Invalid integer: {text[:50]}", "parameter_invalid_integer")
    return int(text)
