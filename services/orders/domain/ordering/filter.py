"""The filter of ListOrders: a small part of AIP-160, terms joined by AND.

    filter = [term {"AND" term}]
    term   = field operator value
    value  = word | '"' text '"' | "'" text "'"      a backslash in quotes takes the next character as it is

Fields, operators and values stand in `_FIELDS`. Whatever else is asked is an InvalidFilter that says where and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NoReturn, TypeAlias

from services.orders.domain.errors import InvalidFilter
from services.orders.domain.ordering.model import State

# Each term costs the database a comparison with every order that is looked at.
TERMS_MAX = 20

_AMOUNT_MAX = 2**63 - 1


class Operator(Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class StateTerm:
    operator: Operator
    state: State


@dataclass(frozen=True, slots=True)
class CreateTimeTerm:
    operator: Operator
    moment: datetime


@dataclass(frozen=True, slots=True)
class TotalTerm:
    """Compares what is to be paid, in the smallest unit."""

    operator: Operator
    amount_minor: int


@dataclass(frozen=True, slots=True)
class SkuTerm:
    """A line has this SKU."""

    sku: str


@dataclass(frozen=True, slots=True)
class AssigneeTerm:
    """`customers/{staff}`, or empty: nobody has claimed it."""

    assignee: str


@dataclass(frozen=True, slots=True)
class HasRxTerm:
    has_rx: bool


Term: TypeAlias = StateTerm | CreateTimeTerm | TotalTerm | SkuTerm | AssigneeTerm | HasRxTerm


def parse_filter(text: str) -> tuple[Term, ...]:
    """Returns the terms, all of which must hold; none for an empty filter. Raises InvalidFilter."""
    return _Parser(text).terms()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def terms(self) -> tuple[Term, ...]:
        self._skip_space()
        if self._at == len(self._text):
            return ()
        terms = [self._term()]
        while self._joined():
            if len(terms) == TERMS_MAX:
                raise InvalidFilter(self._at, f"at most {TERMS_MAX} terms")
            terms.append(self._term())
        return tuple(terms)

    def _joined(self) -> bool:
        """Tells whether another term follows."""
        self._skip_space()
        if self._at == len(self._text):
            return False
        start = self._at
        if self._take(_WORD) != "AND":
            raise InvalidFilter(start, "AND")
        self._skip_space()
        return True

    def _term(self) -> Term:
        start = self._at
        field = _FIELDS.get(self._take(_WORD))
        if field is None:
            raise InvalidFilter(start, f"one of {', '.join(_FIELDS)}")
        self._skip_space()
        start = self._at
        operator = field.operators.get(self._take(_SIGNS))
        if operator is None:
            raise InvalidFilter(start, f"one of {' '.join(field.operators)}")
        self._skip_space()
        start = self._at
        term = field.term(operator, self._value(field.expected))
        if term is None:
            raise InvalidFilter(start, field.expected)
        return term

    def _value(self, expected: str) -> str:
        quote = self._text[self._at : self._at + 1]
        if quote in ('"', "'"):
            return self._quoted(quote)
        return self._take(_WORD) or self._refuse(expected)

    def _quoted(self, quote: str) -> str:
        found = _IN_QUOTES[quote].match(self._text, self._at + 1)
        if found is None:
            raise InvalidFilter(len(self._text), f"a closing {quote}")
        self._at = found.end()
        return _ESCAPED.sub(r"\1", found[1])

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Moves behind what the pattern finds here; returns it, empty if there is nothing."""
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _skip_space(self) -> bool:
        return bool(self._take(_SPACE))

    def _refuse(self, expected: str) -> NoReturn:
        raise InvalidFilter(self._at, expected)


_SPACE = re.compile(r"[ \t\r\n]+")
_SIGNS = re.compile(r"[=!<>]+")
_WORD = re.compile(r"""[^\s"'=!<>()]+""")
_IN_QUOTES = {quote: re.compile(rf"((?:[^\\{quote}]|\\.)*){quote}", re.DOTALL) for quote in ('"', "'")}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_INTEGER = re.compile(r"-?[0-9]{1,19}")
# Times are kept to the microsecond: of what is beyond only zeros can be equal to anything.
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6})0*)?(Z|[+-][0-9]{2}:[0-9]{2})")
_SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ASSIGNEE = re.compile(r"(customers/[A-Za-z0-9_-]{1,64})?")

_STATES = State.__members__
_TRUTH = {"true": True, "false": False}


def _state_term(operator: Operator, value: str) -> StateTerm | None:
    state = _STATES.get(value.removeprefix("ORDER_STATE_"))
    return None if state is None else StateTerm(operator, state)


def _create_time_term(operator: Operator, value: str) -> CreateTimeTerm | None:
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{whole}.{(fraction or '').ljust(6, '0')}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return CreateTimeTerm(operator, moment)


def _total_term(operator: Operator, value: str) -> TotalTerm | None:
    if not _INTEGER.fullmatch(value) or abs(int(value)) > _AMOUNT_MAX:
        return None
    return TotalTerm(operator, int(value))


def _sku_term(_: Operator, value: str) -> SkuTerm | None:
    return SkuTerm(value) if _SKU.fullmatch(value) else None


def _assignee_term(_: Operator, value: str) -> AssigneeTerm | None:
    return AssigneeTerm(value) if _ASSIGNEE.fullmatch(value) else None


def _has_rx_term(_: Operator, value: str) -> HasRxTerm | None:
    return HasRxTerm(_TRUTH[value]) if value in _TRUTH else None


@dataclass(frozen=True, slots=True)
class _Field:
    """`term` makes a term of an operator and a value, None if it is not such a value as is `expected`."""

    operators: Mapping[str, Operator]
    expected: str
    term: Callable[[Operator, str], Term | None]


def _signs(*operators: Operator) -> Mapping[str, Operator]:
    return {operator.value: operator for operator in operators}


_EQUAL = _signs(Operator.EQUAL)
_ORDERED = _signs(*Operator)

_FIELDS: Mapping[str, _Field] = {
    "state": _Field(_signs(Operator.EQUAL, Operator.NOT_EQUAL), f"one of {', '.join(_STATES)}", _state_term),
    "create_time": _Field(_ORDERED, "a time like 2026-01-31T09:30:00Z, to the microsecond", _create_time_term),
    "total": _Field(_ORDERED, "a whole number of the smallest unit", _total_term),
    "sku": _Field(_EQUAL, "a SKU", _sku_term),
    "assignee": _Field(_EQUAL, "customers/{staff}, or an empty string", _assignee_term),
    "has_rx": _Field(_EQUAL, "true or false", _has_rx_term),
}
