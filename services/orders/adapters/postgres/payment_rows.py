"""Payments and refunds as rows, and as what they are."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Any

from sqlalchemy import Row

from services.orders.adapters.postgres.payment_tables import payment, payment_fact, refund
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import (
    Card,
    Method,
    Payment,
    PaymentState,
    Points,
    Refund,
    RefundedLine,
    RefundState,
    Wish,
)

PAYMENT_COLUMNS = tuple(column for column in payment.c if column is not payment.c.look_at)
REFUND_COLUMNS = tuple(refund.c)
FACT_COLUMNS = tuple(column for column in payment_fact.c if column is not payment_fact.c.payment_id)
_PAYMENT_WORDS = {"method": Method, "state": PaymentState, "wish": Wish, "card_standing": Card, "points_standing": Points}


def payment_of(row: Row[Any]) -> Payment:
    """Returns the payment of a row that has PAYMENT_COLUMNS."""
    values = {column.name: getattr(row, column.name) for column in PAYMENT_COLUMNS}
    words = {name: kind(values[name]) for name, kind in _PAYMENT_WORDS.items()}
    return Payment(id=values.pop("payment_id"), **{**values, **words})


def payment_values(paid: Payment) -> dict[str, Any]:
    """Returns the columns of a payment."""
    values = asdict(paid)
    return {"payment_id": values.pop("id"), **values}


def refund_of(row: Row[Any]) -> Refund:
    """Returns the refund of a row of REFUND_COLUMNS."""
    values = dict(row._mapping)
    part, whole = values.pop("take_back_part"), values.pop("take_back_whole")
    lines = tuple(RefundedLine(**line) for line in values.pop("lines"))
    return Refund(id=values.pop("refund_id"), take_back_share=(part, whole), lines=lines, state=RefundState(values.pop("state")), **values)


def refund_values(given: Refund) -> dict[str, Any]:
    """Returns the columns of a refund."""
    values = asdict(given)
    part, whole = values.pop("take_back_share")
    return {
        "refund_id": values.pop("id"),
        "take_back_part": part,
        "take_back_whole": whole,
        **values,
        "lines": [asdict(line) for line in given.lines],
    }


def fact_of(row: Row[Any]) -> Fact:
    return Fact(FactKind(row.kind), row.reference, row.at.astimezone(UTC), row.amount_minor, row.currency, row.detail)


def fact_values(fact: Fact) -> dict[str, Any]:
    return {**asdict(fact), "kind": fact.kind.value}
