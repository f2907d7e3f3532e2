"""What is given back of a payment: how much, by card and by points, and what of the points that the order earned is taken back for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.orders.domain.errors import RefundNotPossible
from services.orders.domain.ordering.model import Actor, Order, PointsState, State
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments.model import Payment, Points, Refund, RefundedLine, RefundState
from shared.errors import AccessDenied


@dataclass(frozen=True, slots=True)
class WantedRefund:
    """What to give back: units by SKU, or an amount, or all that is left if neither is said; of the payment that paid if none is named."""

    quantities: Mapping[str, int]
    amount_minor: int
    reason: str
    payment_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What earlier refunds of a payment took. Of those that failed it is their points, if those go back all the same.

    `surplus_minor` is what of it the order never cost, `surplus_failed_minor` the same of those that failed.
    """

    card_minor: int
    points_minor: int
    quantities: Mapping[str, int]
    surplus_minor: int = 0
    surplus_failed_minor: int = 0

    @property
    def amount_minor(self) -> int:
        return self.card_minor + self.points_minor


def given_by(refunds: Iterable[Refund]) -> Given:
    refunds = list(refunds)
    quantities: dict[str, int] = {}
    for refund in refunds:
        # Units that came back in part are not given twice: their rest is given as an amount.
        for line in refund.lines if _part_given(refund) else ():
            quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    through = [refund for refund in refunds if refund.state is not RefundState.FAILED]
    surplus = sum(refund.surplus_minor for refund in through)
    return Given(
        card_minor=sum(refund.card_minor for refund in through),
        points_minor=sum(_points_given(refund) for refund in refunds),
        quantities=quantities,
        surplus_minor=surplus,
        surplus_failed_minor=sum(refund.surplus_minor for refund in refunds) - surplus,
    )


def _points_given(refund: Refund) -> int:
    return refund.points_minor if refund.gives_points else 0


def _part_given(refund: Refund) -> int:
    """Returns what of the order's cost the refund gives back, by which the points that were earned are taken back."""
    return refund.take_back_share[0] if refund.state is not RefundState.FAILED else _points_given(refund)


def given_elsewhere(payment: Payment, given: Given) -> int:
    """Returns what went back to the card and is no refund of ours: somebody gave it at the provider itself.

    While one of ours is under way, as much of that may be taken for it: should more be asked for than is left, the provider refuses it.
    """
    return max(0, payment.refunded_minor - given.card_minor)


def left_of(payment: Payment, given: Given) -> tuple[int, int]:
    """Returns what can still be given back, by card and in points."""
    card_left = payment.card_expected_minor - given.card_minor - given_elsewhere(payment, given)
    return max(0, card_left), payment.points_minor - given.points_minor


def surplus_left(payment: Payment, given: Given) -> int:
    """Returns what was taken in addition to what the order cost, and should have gone back but failed to; not given again since.

    What was given at the provider itself is surplus first.
    """
    surplus = payment.card_expected_minor - payment.card_minor - given.surplus_minor - given_elsewhere(payment, given)
    return max(0, min(given.surplus_failed_minor, surplus))


def left_at_provider(payment: Payment, refunds: Iterable[Refund]) -> int:
    """Returns what was taken from the card and no refund was made of, by us or at the provider itself; of one that failed, there was."""
    return payment.captured_minor - max(payment.refunded_minor, sum(refund.card_minor for refund in refunds))


def refund_card(
    payment: Payment, card_minor: int, currency: str, *, refund_id: UUID, reason: str, now: datetime, is_surplus: bool
) -> Refund:
    """Returns a refund of money that did not fit, or that nothing was to be had for. Raises RefundNotPossible."""
    if card_minor <= 0:
        raise RefundNotPossible(0)
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        currency=currency,
        card_minor=card_minor,
        points_minor=0,
        take_back_share=(0 if is_surplus else card_minor, payment.total_minor),
        reason=reason,
        created_at=now,
    )


def as_taken(payment: Payment) -> Payment:
    """Returns the payment as it can be given back: points that were freed cost nothing."""
    return replace(payment, points_minor=0) if payment.points_standing is Points.RELEASED else payment


def as_come_too_late(payment: Payment, refunds: Sequence[Refund]) -> Payment:
    """Returns a payment that had failed or was given up as it can be given back: what came all the same, in the currency of its refund."""
    currency = refunds[0].currency if refunds else payment.currency
    return replace(payment, card_minor=payment.captured_minor, accepted_minor=0, points_minor=0, currency=currency)


def split_refund(refund_minor: int, *, card_left: int, points_left: int) -> tuple[int, int]:
    """Returns the card's and the points' share of a refund, by what is left of each; both never exceed what is left."""
    left = card_left + points_left
    points = refund_minor * points_left // left if left else 0
    return refund_minor - points, points


def refund_amount(
    payment: Payment, given: Given, amount_minor: int, *, refund_id: UUID, reason: str, now: datetime, lines: tuple[RefundedLine, ...] = ()
) -> Refund:
    """Returns a refund of an amount, all that is left if it is 0. What the order never cost goes first, if it is not for lines.

    Raises RefundNotPossible.
    """
    card_left, points_left = left_of(payment, given)
    left, failed_surplus = card_left + points_left, surplus_left(payment, given)
    amount = amount_minor or left
    if not 0 < amount <= left:
        raise RefundNotPossible(left)
    surplus = 0 if lines else min(amount, failed_surplus)
    card, points = split_refund(amount - surplus, card_left=card_left - failed_surplus, points_left=points_left)
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        customer_id=payment.customer_id,
        currency=payment.currency,
        card_minor=surplus + card,
        points_minor=points,
        take_back_share=(amount - surplus, payment.total_minor),
        reason=reason,
        created_at=now,
        lines=lines,
    )


def refund_lines(
    order: Order, payment: Payment, given: Given, quantities: Mapping[str, int], *, refund_id: UUID, reason: str, now: datetime
) -> Refund:
    """Returns a refund of units, never more than is left of the payment. Raises RefundNotPossible for units that were not bought."""
    left = sum(left_of(payment, given)) - surplus_left(payment, given)
    bought = {line.sku: line for line in order.lines}
    lines = []
    for sku, quantity in sorted(quantities.items()):
        line = bought.get(sku)
        if line is None or quantity + given.quantities.get(sku, 0) > line.quantity:
            raise RefundNotPossible(left)
        lines.append(RefundedLine(sku, quantity, line.unit_price_minor * quantity))
    amount = min(left, sum(line.amount_minor for line in lines))
    if amount == 0:
        raise RefundNotPossible(left)
    return refund_amount(payment, given, amount, refund_id=refund_id, reason=reason, now=now, lines=tuple(lines))


def points_to_take_back(refund: Refund, refunds: Iterable[Refund], earned_minor: int) -> int:
    """Returns how many of the earned points this refund takes back: its share of what was paid. Decided before, it stays so.

    Shares are counted up in the order in which they are decided, so that rounding never adds up and the one that empties the payment takes
    the rest. What fails takes none; if it had taken some before that, as many fewer are taken by the next.
    """
    if refund.points_taken_back_minor or refund.take_back_done or refund.state is RefundState.FAILED:
        return refund.points_taken_back_minor
    decided = [other for other in refunds if other.id != refund.id and (other.take_back_done or other.points_taken_back_minor)]
    part, whole = refund.take_back_share
    parts = part + sum(_part_given(other) for other in decided)
    return max(0, earned_minor * min(whole, parts) // whole - sum(other.points_taken_back_minor for other in decided))


def may_earn_later(order: Order) -> bool:
    """Tells whether the order has earned no points yet and still can: what its refunds take back of them is not known then."""
    return order.points_state is PointsState.NOT_YET and order.state not in (State.CANCELLED, State.EXPIRED, State.RETURNED)


def acting_for(order: Order, caller: Caller) -> Actor:
    """Returns who gives back, in which role. Raises AccessDenied if they have none for the order."""
    actor = next(caller.acting(order), None)
    if actor is None:
        raise AccessDenied("this caller has nothing to do with the order")
    return actor
