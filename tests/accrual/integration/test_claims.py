"""An order number becomes points: submitted over gRPC, answered by the simulated accrual system, credited by the balance service."""

from __future__ import annotations

from decimal import Decimal

from galen.accrual.v1 import claim_pb2

from deploy.local.accrual_sim.orders import Status
from tests.accrual.world import Customer, World


async def test_a_claim_ends_with_its_points_in_the_balance(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, Decimal("729.98"))

    submitted = (await customer.submit(number)).claim
    claim = await customer.finished(number)

    assert (submitted.state, submitted.HasField("accrual"), submitted.credit_operation) == (claim_pb2.CLAIM_STATE_NEW, False, "")
    assert (claim.state, claim.accrual) == (claim_pb2.CLAIM_STATE_PROCESSED, 72998)
    (operation,) = await customer.credits()
    assert (operation.amount, operation.reference, operation.name) == (72998, number, claim.credit_operation)
    assert claim.update_time.ToDatetime() > claim.create_time.ToDatetime()
