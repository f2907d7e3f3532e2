"""Filters of orders: terms of every kind, ways to write them, and what they mean, said without SQL."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from services.orders.domain.ordering.filter import (
    AssigneeTerm,
    CreateTimeTerm,
    HasRxTerm,
    Operator,
    SkuTerm,
    StateTerm,
    Term,
    TotalTerm,
)
from services.orders.domain.ordering.model import State

COMPARE = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.GREATER: operator.gt,
    Operator.AT_LEAST: operator.ge,
}
LETTERS = "ABCXYZabcxyz0123456789"

operators = st.sampled_from(Operator)
states = st.sampled_from(State)
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  zoned by it
amounts = st.integers(-(2**63) + 1, 2**63 - 1)
skus = st.text(LETTERS, min_size=1, max_size=1).flatmap(lambda first: st.text(LETTERS + "._-", max_size=39).map(lambda rest: first + rest))
assignees = st.one_of(st.just(""), st.text(LETTERS + "_-", min_size=1, max_size=64).map("customers/{}".format))
terms: st.SearchStrategy[Term] = st.one_of(
    st.builds(StateTerm, st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL]), states),
    st.builds(CreateTimeTerm, operators, moments),
    st.builds(TotalTerm, operators, amounts),
    st.builds(SkuTerm, skus),
    st.builds(AssigneeTerm, assignees),
    st.builds(HasRxTerm, st.booleans()),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a filter can ask of an order."""

    state: State
    created_at: datetime
    total_minor: int
    skus: Collection[str]
    assignee: str
    has_rx: bool


def passes(facts: Facts, terms: Iterable[Term]) -> bool:
    """Tells whether all the terms hold."""
    return all(_holds(facts, term) for term in terms)


def _holds(facts: Facts, term: Term) -> bool:
    match term:
        case StateTerm(compare, state):
            return bool(COMPARE[compare](facts.state, state))
        case CreateTimeTerm(compare, moment):
            return bool(COMPARE[compare](facts.created_at, moment))
        case TotalTerm(compare, amount):
            return bool(COMPARE[compare](facts.total_minor, amount))
        case SkuTerm(sku):
            return sku in facts.skus
        case AssigneeTerm(assignee):
            return facts.assignee == assignee
        case HasRxTerm(has_rx):
            return facts.has_rx is has_rx


def written(term: Term) -> tuple[str, str, str]:
    """Returns the field, the operator and the value as they stand in a filter."""
    match term:
        case StateTerm(compare, state):
            return "state", compare.value, state.name
        case CreateTimeTerm(compare, moment):
            return "create_time", compare.value, moment.isoformat().replace("+00:00", "Z")
        case TotalTerm(compare, amount):
            return "total", compare.value, str(amount)
        case SkuTerm(sku):
            return "sku", "=", sku
        case AssigneeTerm(assignee):
            return "assignee", "=", assignee
        case HasRxTerm(has_rx):
            return "has_rx", "=", str(has_rx).lower()


def filter_text(terms: Iterable[Term]) -> str:
    """Returns a filter that has these terms."""
    return " AND ".join(f'{field} {sign} "{value}"' for field, sign, value in map(written, terms))


@st.composite
def texts_of(draw: Any, terms: Iterable[Term]) -> str:
    """A way to write these terms: with more or less room, quotes and escapes."""
    text = draw(_space(0))
    for place, term in enumerate(terms):
        text += f"{draw(_space(1))}AND{draw(_space(1))}" if place else ""
        text += draw(_term_text(term))
    return f"{text}{draw(_space(0))}"


@st.composite
def _term_text(draw: Any, term: Term) -> str:
    field, sign, value = written(term)
    return f"{field}{draw(_space(0))}{sign}{draw(_space(0))}{draw(_value_text(value))}"


@st.composite
def _value_text(draw: Any, value: str) -> str:
    quote = draw(st.sampled_from(["", '"', "'"] if value else ['"', "'"]))
    if not quote:
        return value
    escaped = "".join("\\" + letter if draw(st.booleans()) else letter for letter in value) if draw(st.booleans()) else value
    return f"{quote}{escaped}{quote}"


def _space(least: int) -> st.SearchStrategy[str]:
    return st.text(" \t\n", min_size=least, max_size=2)
