"""What a filter or a search asks, as conditions on columns of orders: on those of the table, or of a part of it that was read already."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, literal, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from services.orders.adapters.postgres.tables import customer_order, order_item
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

Columns: TypeAlias = ReadOnlyColumnCollection[str, Any] | Mapping[str, ColumnElement[Any]]
Condition: TypeAlias = Callable[[Columns], ColumnElement[bool]]

# What conditions look at.
TRIED_COLUMNS: Sequence[Column[Any]] = (
    customer_order.c.customer_id,
    customer_order.c.state,
    customer_order.c.payable_minor,
    customer_order.c.assignee,
    customer_order.c.has_rx,
    customer_order.c.search,
)

_COMPARE: Mapping[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.GREATER: operator.gt,
    Operator.AT_LEAST: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a filter: `along` pick orders that lie together in one index, newest first, `matching` is the rest."""

    along: Sequence[Condition]
    matching: Sequence[Condition]


def conditions_of(customer_id: str | None, terms: Sequence[Term]) -> Conditions:
    """Chooses the index: of the customer, else of who works on it, else of the state, else of all orders."""
    way = None if customer_id is not None else _way(terms)
    picking = [term for term in terms if term is way or _is_range_of_time(term)]
    owner = [] if customer_id is None else [_equal("customer_id", customer_id)]
    return Conditions(
        along=[*owner, *map(_condition, picking)], matching=[_condition(term) for term in terms if not any(term is one for one in picking)]
    )


def words_condition(words: Sequence[str]) -> Condition:
    """Each of the words begins one that is stored. They are of letters and digits only."""
    query = " & ".join(f"'{word}':*" for word in words)
    return lambda columns: columns["search"].op("@@", is_comparison=True)(literal(query, TSQUERY))


def skus_of(terms: Sequence[Term]) -> Sequence[str]:
    return list(dict.fromkeys(term.sku for term in terms if isinstance(term, SkuTerm)))


def _way(terms: Sequence[Term]) -> Term | None:
    assigned = (term for term in terms if isinstance(term, AssigneeTerm) and term.assignee)
    in_state = (term for term in terms if isinstance(term, StateTerm) and term.operator is Operator.EQUAL)
    return next(assigned, None) or next(in_state, None)


def _is_range_of_time(term: Term) -> bool:
    return isinstance(term, CreateTimeTerm) and term.operator is not Operator.NOT_EQUAL


def _condition(term: Term) -> Condition:
    match term:
        case StateTerm(compare, state):
            return _compared("state", compare, int(state))
        case CreateTimeTerm(compare, moment):
            return _compared("created_at", compare, moment)
        case TotalTerm(compare, amount_minor):
            return _compared("payable_minor", compare, amount_minor)
        case SkuTerm(sku):
            return _has_line(sku)
        case AssigneeTerm(""):
            return _equal("assignee", "")
        case AssigneeTerm(assignee):
            # The index knows only what is said here too.
            return lambda columns: (columns["assignee"] == assignee) & (columns["assignee"] != literal_column("''"))
        case HasRxTerm(has_rx):
            return _equal("has_rx", has_rx)


def _equal(column: str, value: str | bool) -> Condition:
    return lambda columns: columns[column] == value


def _compared(column: str, compare: Operator, value: int | datetime) -> Condition:
    return lambda columns: _COMPARE[compare](columns[column], literal(value, customer_order.c[column].type))


def _has_line(sku: str) -> Condition:
    """Looks the line up order by order: an `exists` would let the planner collect all lines with the SKU first."""

    def condition(columns: Columns) -> ColumnElement[bool]:
        line = select(order_item.c.position).where(order_item.c.order_id == columns["order_id"], order_item.c.sku == sku)
        return line.scalar_subquery().is_not(None)

    return condition
