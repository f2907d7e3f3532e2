"""How many points goods earn: a pure calculation with exact decimals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, localcontext
from enum import StrEnum

HUNDREDTH = Decimal("0.01")
# Amounts have at most 40 digits, so a product has 80 and a sum of a million products 86: nothing is ever cut off.
_DIGITS = 120


class RewardType(StrEnum):
    """How a reward is counted."""

    PERCENT = "%"
    POINTS = "pt"


@dataclass(frozen=True, slots=True)
class Reward:
    """What goods earn whose description contains `match`: `reward` percent of the price, or `reward` points."""

    match: str
    reward: Decimal
    reward_type: RewardType

    def earned_by(self, good: Good) -> Decimal:
        """Returns the points, not rounded, that this reward alone gives for one good."""
        if self.match not in good.description:
            return Decimal(0)
        return self.reward if self.reward_type is RewardType.POINTS else (good.price * self.reward).scaleb(-2)


@dataclass(frozen=True, slots=True)
class Good:
    """One line of an order; the price is in roubles."""

    description: str
    price: Decimal


def accrual_of(goods: Iterable[Good], rewards: Iterable[Reward]) -> Decimal | None:
    """Returns the points that `goods` earn, the sum of all matches rounded half up to two decimals; None if they earn nothing."""
    offered = tuple(rewards)
    with localcontext(Context(prec=_DIGITS, traps=[Inexact, InvalidOperation])):
        total = sum((reward.earned_by(good) for good in goods for reward in offered), Decimal(0))
    with localcontext(Context(prec=_DIGITS)):
        points = total.quantize(HUNDREDTH, rounding=ROUND_HALF_UP)
    return points or None
