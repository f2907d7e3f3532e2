"""What the provider says of a payment, as a set of facts: order and duplicates do not matter.

Each message of the provider (a webhook, an answer, a look at the intent) is turned into facts; the standing of the card is folded from all
facts that are known, so that a late or repeated message can add what was missing. None takes anything back but the failure of a refund,
which is a fact of its own. Saleor recomputes its transactions from their events in the same way
(saleor/payment/transaction_item_calculations.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

from services.orders.domain.payments.model import Card, Payment, Wish


class FactKind(Enum):
    """`OPENED`, `ACTION_REQUIRED`, `PROCESSING` and `DECLINED` pass, and the latest of them counts; the others are for good.

    A refund may fail after it has succeeded, as when the customer's bank sends the money back days later
    (docs.stripe.com/refunds#failed-refunds), and never the other way round: `REFUND_FAILED` counts above `REFUNDED`.
    """

    OPENED = "OPENED"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    PROCESSING = "PROCESSING"
    DECLINED = "DECLINED"
    AUTHORIZED = "AUTHORIZED"
    CANCELLED = "CANCELLED"
    CAPTURED = "CAPTURED"
    REFUNDED = "REFUNDED"
    REFUND_FAILED = "REFUND_FAILED"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened at the provider.

    `reference` tells apart facts of the same kind (a charge, a refund, a state of the intent at a time); the same fact told twice is
    equal. `amount_minor` is 0 where the kind has none. `detail` is why: a decline code, the reason of a cancellation.
    """

    kind: FactKind
    reference: str
    at: datetime
    amount_minor: int = 0
    currency: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What all facts together say."""

    card: Card
    captured_minor: int
    refunded_minor: int
    authorized_at: datetime | None
    captured_at: datetime | None
    detail: str
    mismatch: str


_ANY_TIME = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_PASSING = {
    FactKind.OPENED: Card.OPEN,
    FactKind.ACTION_REQUIRED: Card.ACTION_REQUIRED,
    FactKind.PROCESSING: Card.PROCESSING,
    FactKind.DECLINED: Card.DECLINED,
}


# Of these, who says so later says nothing new.
_FOR_GOOD = frozenset(FactKind) - _PASSING.keys()


def news(known: Iterable[Fact], told: Iterable[Fact]) -> list[Fact]:
    """Returns those of what is told that add to what is known, each once: a payment is looked at again and again."""
    seen: set[Fact] = set()
    earliest: dict[Fact, datetime] = {}
    for fact in known:
        seen.add(replace(fact, detail=""))
        if fact.kind in _FOR_GOOD:
            thing = replace(fact, at=_ANY_TIME, detail="")
            earliest[thing] = min(fact.at, earliest.get(thing, fact.at))
    added = {replace(fact, detail=""): fact for fact in told if fact.at < earliest.get(replace(fact, at=_ANY_TIME, detail=""), _LATEST)}
    return [fact for bare, fact in added.items() if bare not in seen]


def adds_nothing(known: Iterable[Fact], told: Iterable[Fact]) -> bool:
    """Tells whether all that is told is that the payer has to confirm it, and that will never count above what is known.

    What moves a payment on always adds something: whoever recorded it may not have come to what follows from it.
    """
    known = list(known)
    return all(fact.kind is FactKind.OPENED and any(_counts_above(one, fact) for one in known) for fact in told)


def _counts_above(one: Fact, opened: Fact) -> bool:
    return one.kind in (FactKind.CAPTURED, FactKind.CANCELLED, FactKind.AUTHORIZED) or (one.kind in _PASSING and one.at >= opened.at)


def fold(payment: Payment, facts: Iterable[Fact]) -> Standing:
    """Returns how the card share stands by these facts.

    Taken money counts above all, for nothing undoes it but a refund; then a cancellation, then an authorisation; of what passes, the
    latest by the provider's clock (then the one that is further on).
    """
    known = set(facts)
    captures, refunds = _amounts(known, FactKind.CAPTURED), _amounts(known, FactKind.REFUNDED)
    failed = {fact.reference for fact in known if fact.kind is FactKind.REFUND_FAILED}
    authorized = [fact.at for fact in known if fact.kind is FactKind.AUTHORIZED]
    passing = max(
        (fact for fact in known if fact.kind in _PASSING), key=lambda fact: (fact.at, _PASSING[fact.kind], fact.reference), default=None
    )
    if captures:
        card = Card.CAPTURED
    elif any(fact.kind is FactKind.CANCELLED for fact in known):
        card = Card.CANCELLED
    elif authorized:
        card = Card.AUTHORIZED
    else:
        card = _PASSING[passing.kind] if passing else payment.card_standing
    return Standing(
        card=card,
        captured_minor=sum(captures.values()),
        refunded_minor=sum(amount for reference, amount in refunds.items() if reference not in failed),
        authorized_at=min(authorized, default=None),
        captured_at=min((fact.at for fact in known if fact.kind is FactKind.CAPTURED), default=None),
        detail=passing.detail if passing and card is _PASSING[passing.kind] else "",
        mismatch=_mismatch(payment, known, sum(captures.values())),
    )


def _amounts(facts: Iterable[Fact], kind: FactKind) -> dict[str, int]:
    """Returns the amount of each charge or refund: the same one is told of more than once, and what it says only grows."""
    amounts: dict[str, int] = {}
    for fact in facts:
        if fact.kind is kind:
            amounts[fact.reference] = max(fact.amount_minor, amounts.get(fact.reference, 0))
    return amounts


def _mismatch(payment: Payment, facts: Iterable[Fact], captured_minor: int) -> str:
    """Says what does not fit the payment; empty if all does. What people have accepted fits, and of what they refused all goes back."""
    if payment.wish is Wish.REFUSE:
        return ""
    for fact in sorted(facts, key=lambda fact: (fact.kind.value, fact.reference, fact.amount_minor, fact.currency)):
        if fact.kind in (FactKind.AUTHORIZED, FactKind.CAPTURED, FactKind.REFUNDED) and fact.currency != payment.currency:
            return f"{fact.kind.value} in {fact.currency}, not {payment.currency}"
        if fact.kind is FactKind.AUTHORIZED and not payment.accepted_minor and fact.amount_minor != payment.card_minor:
            return f"{fact.amount_minor} authorized, not {payment.card_minor}"
    if captured_minor and captured_minor != payment.card_expected_minor:
        return f"{captured_minor} captured, not {payment.card_expected_minor}"
    return ""
