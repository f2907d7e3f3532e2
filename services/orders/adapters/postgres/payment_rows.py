"""Payments and refunds as rows, and as what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

from sqlalchemy import Row

from services.orders.adapters.postgres.payment_tables import payment, payment_fact, refund
from services.orders.domain.ordering.model import State
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
from services.orders.domain.payments.saga import OrderStanding

PAYMENT_COLUMNS = tuple(column for column in payment.c if column is not payment.c.look_at)
REFUND_COLUMNS = tuple(refund.c)
FACT_COLUMNS = tuple(column for column in payment_fact.c if column is not payment_fact.c.payment_id)
_PAYMENT_NAMES = tuple(column.name for column in PAYMENT_COLUMNS)
_PAYMENT_WORDS = {"method": Method, "state": PaymentState, "wish": Wish, "card_standing": Card, "points_standing": Points}


def payment_of(row: Sequence[Any]) -> Payment:
    """Returns the payment of a row that begins with PAYMENT_COLUMNS."""
    values = dict(zip(_PAYMENT_NAMES, row, strict=False))
    for name, kind in _PAYMENT_WORDS.items():
        values[name] = kind(values[name])
    return Payment(id=values.pop("payment_id"), **values)


def payment_values(paid: Payment) -> dict[str, Any]:
    """Returns the columns of a payment."""
    return {name: paid.id if name == "payment_id" else getattr(paid, name) for name in _PAYMENT_NAMES}


def standing_of(row: Sequence[Any]) -> OrderStanding:
    """Returns how an order stands by a row that ends with its version, its state, whether it is approved, and whether it was ever paid."""
    version, state, approved, was_paid = row[-4:]
    return OrderStanding(version=version, state=State(state), approved=approved, was_paid=was_paid)


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


def fact_of(row: Sequence[Any]) -> Fact:
    """Returns the fact of a row of FACT_COLUMNS."""
    kind, reference, at, amount_minor, currency, detail = row
    return Fact(FactKind(kind), reference, at.astimezone(UTC), amount_minor, currency, detail)


def fact_values(fact: Fact) -> dict[str, Any]:
    return {**asdict(fact), "kind": fact.kind.value}
