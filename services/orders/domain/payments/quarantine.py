"""How a payment leaves quarantine: people have seen what the provider says of it that does not fit, and decide.

ACCEPT takes what was taken from the card for what the card had to pay. Too much: the difference goes back. Too little: the shop does
without the rest, and the card's share is what was taken. The saga then goes on as if that had been asked for.

REFUND_ALL wants none of it: an authorisation is cancelled, money that was taken goes back, points are freed, and the payment has FAILED. An
order that waits to be paid can be paid anew; one under review ends, as it does whenever its money is lost.

Whatever the provider says after an ACCEPT that does not fit that either puts the payment back into quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from services.orders.domain.errors import DecisionNotPossible
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Payment, Refund, Wish
from services.orders.domain.payments.refunding import given_by, given_elsewhere, left_at_provider, surplus_left

REFUSED = "refused_by_shop"


class Decision(IntEnum):
    """The numbers are those of galen.orders.v1.QuarantineDecision."""

    ACCEPT = 1
    REFUND_ALL = 2


@dataclass(frozen=True, slots=True)
class Release:
    """A payment after the decision, and what of its card share goes back at once, in the currency in which it was taken."""

    payment: Payment
    back_minor: int
    currency: str


def obstacle(payment: Payment, facts: Iterable[Fact], decision: Decision, *, order_was_paid: bool) -> str:
    """Returns why this can't be decided, as DECISION_NOT_POSSIBLE says it; empty if it can."""
    if decision is Decision.REFUND_ALL:
        # An order that is paid is cancelled, returned or refunded as such.
        return "ORDER_IS_PAID" if payment.settled or (payment.is_live and order_was_paid) else ""
    if not payment.is_live:
        return "PAYMENT_ENDED"
    if any(fact.currency not in ("", payment.currency) for fact in facts):
        return "OTHER_CURRENCY"
    return "" if payment.captured_minor else "NOTHING_CAPTURED"


def release(payment: Payment, facts: Sequence[Fact], refunds: Sequence[Refund], decision: Decision, *, order_was_paid: bool) -> Release:
    """Returns what the decision makes of a payment in quarantine. Raises DecisionNotPossible."""
    found = obstacle(payment, facts, decision, order_was_paid=order_was_paid)
    if found:
        raise DecisionNotPossible(found)
    if decision is Decision.REFUND_ALL:
        refused = replace(payment, quarantined=False, wish=Wish.REFUSE, failure=payment.failure or REFUSED)
        return Release(refused, max(0, left_at_provider(payment, refunds)), _currency_of(payment, facts))
    paid_minor = min(payment.card_minor, payment.captured_minor)
    accepted = replace(payment, quarantined=False, accepted_minor=payment.captured_minor, card_minor=paid_minor)
    surplus = payment.captured_minor - paid_minor - _surplus_of(payment, refunds)
    return Release(accepted, max(0, surplus), payment.currency)


def _surplus_of(payment: Payment, refunds: Sequence[Refund]) -> int:
    """Returns what went back already of what was too much: by an earlier decision, or at the provider itself."""
    given = given_by(refunds)
    ordinary = sum(refund.card_minor - refund.surplus_minor for refund in refunds)
    accounted = given.surplus_minor + given_elsewhere(payment, given) + surplus_left(payment, given)
    return max(payment.refunded_minor - ordinary, accounted)


def _currency_of(payment: Payment, facts: Iterable[Fact]) -> str:
    """Returns the currency in which money was taken: a refund is in the same."""
    return min((fact.currency for fact in facts if fact.kind is FactKind.CAPTURED), default=payment.currency)
