"""The calculation of points, held against fractions, which cannot round by accident."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.accrual_sim.rewards import Good, Reward, RewardType, accrual_of

PERCENT, POINTS = RewardType.PERCENT, RewardType.POINTS

amounts = st.decimals(min_value=0, max_value=10**12, places=20) | st.decimals(min_value=0, max_value=10**4, places=3)
rewards = st.lists(st.builds(Reward, st.sampled_from(["a", "b", "ab", "c"]), amounts, st.sampled_from(RewardType)), max_size=4)
goods = st.lists(st.builds(Good, st.text("abc", max_size=4), amounts), max_size=4)


def test_five_percent_of_14599_50_are_729_98() -> None:
    assert accrual_of([Good("Kettle Bork", Decimal("14599.50"))], [Reward("Bork", Decimal(5), PERCENT)]) == Decimal("729.98")


def test_ten_percent_of_147_5_and_12_5_points_are_27_25() -> None:
    offered = [Reward("Bork", Decimal(10), PERCENT), Reward("Kettle", Decimal("12.5"), POINTS)]
    assert accrual_of([Good("Kettle Bork", Decimal("147.5"))], offered) == Decimal("27.25")


def test_the_sum_is_rounded_and_not_each_part() -> None:
    thrice = [Good("Bork", Decimal("0.4"))] * 3
    assert accrual_of(thrice, [Reward("Bork", Decimal(1), PERCENT)]) == Decimal("0.01")


@pytest.mark.parametrize(("points", "rounded"), [("0.005", "0.01"), ("0.015", "0.02"), ("0.0149999999", "0.01"), ("0.025", "0.03")])
def test_a_third_decimal_is_rounded_half_up(points: str, rounded: str) -> None:
    assert accrual_of([Good("Bork", Decimal(1))], [Reward("Bork", Decimal(points), POINTS)]) == Decimal(rounded)


@pytest.mark.parametrize("points", ["0", "0.00499999999999999999"])
def test_points_that_round_to_nothing_are_nothing(points: str) -> None:
    assert accrual_of([Good("Bork", Decimal(1))], [Reward("Bork", Decimal(points), POINTS)]) is None


def test_goods_that_no_reward_matches_earn_nothing() -> None:
    assert accrual_of([Good("kettle bork", Decimal(100))], [Reward("Bork", Decimal(5), PERCENT)]) is None


@given(goods, rewards)
def test_the_accrual_is_the_exact_sum_rounded_half_up(bought: list[Good], offered: list[Reward]) -> None:
    exact = Fraction(0)
    for good in bought:
        for reward in offered:
            if reward.match in good.description:
                exact += Fraction(reward.reward) * (1 if reward.reward_type is POINTS else Fraction(good.price) / 100)
    hundredths = math.floor(exact * 100 + Fraction(1, 2))
    accrual = accrual_of(bought, offered)
    assert Fraction(accrual or 0) == Fraction(hundredths, 100)
    assert (accrual is None) == (hundredths == 0)
