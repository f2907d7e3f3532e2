"""The whole way of a customer, over HTTP, against the real services."""

from __future__ import annotations

from decimal import Decimal

from deploy.local.accrual_sim.rewards import Good, RewardType
from tests.contract.shop import WITHDRAWALS, Shop, Shopper, fresh_number


async def test_points_are_earned_by_orders_and_spent_on_others(shop: Shop, shopper: Shopper) -> None:
    assert await shopper.balance() == ("0", "0")
    number, paid = fresh_number(), fresh_number()
    await shop.simulator.register_reward("Kettle", 5, RewardType.PERCENT)
    await shop.simulator.register_order(number, Good("Kettle, steel", Decimal("14599.50")))

    assert (await shopper.upload(number)).status == 202
    order = await shopper.order_reaches(number, "PROCESSED")

    # The public suite reads the balance once, right after it saw PROCESSED.
    assert await shopper.balance() == ("729.98", "0")
    assert order["accrual"] == Decimal("729.98")
    assert (await shopper.withdraw(paid, "751")).status == 402
    assert (await shopper.withdraw(paid, "229.5")).status == 200
    assert await shopper.balance() == ("500.48", "229.5")
    withdrawals = (await shopper.ask("GET", WITHDRAWALS)).json
    assert [(item["order"], item["sum"]) for item in withdrawals] == [(paid, Decimal("229.5"))]
