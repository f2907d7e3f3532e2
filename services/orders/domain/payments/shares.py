"""How an amount is shared out, so that the parts sum to the whole."""

from __future__ import annotations


def split_refund(refund_minor: int, *, card_left: int, points_left: int) -> tuple[int, int]:
    """Returns the card's and the points' share of a refund, by what is left of each; both never exceed what is left."""
    left = card_left + points_left
    points = refund_minor * points_left // left if left else 0
    return refund_minor - points, points
