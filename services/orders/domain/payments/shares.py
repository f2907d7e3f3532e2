"""How an amount is shared out, so that the parts sum to the whole."""

from __future__ import annotations


def share(part: int, whole: int, amount: int, *, given: int, left: int) -> int:
    """Returns what falls on `part` of `whole` when `amount` is shared out over it piece by piece.

    `given` is what earlier pieces got, `left` what remains of `whole` after this piece: the last one gets the remainder, so that rounding
    never adds up (settled: pro rata by line, the remainder on the last).
    """
    if left == 0:
        return amount - given
    return min(amount - given, amount * part // whole) if whole else 0


def split_refund(refund_minor: int, *, card_left: int, points_left: int) -> tuple[int, int]:
    """Returns the card's and the points' share of a refund, by what is left of each; both never exceed what is left."""
    left = card_left + points_left
    points = refund_minor * points_left // left if left else 0
    return refund_minor - points, points
