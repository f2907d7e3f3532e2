"""What is measured while orders are paid."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.application.payments.ports import Draft
from services.orders.domain.payments.facts import Fact, FactKind
from shared.clock import SystemClock
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id
from tests.orders.refunding import give_back, refund_in
from tests.orders.till import TIMEOUT_S, Till, eventually


class Meter:
    """The samples of the service."""

    def __init__(self, till: Till) -> None:
        self._registry = till.container.registry()

    def value(self, name: str, **labels: str) -> float:
        return float(self._registry.get_sample_value(name, labels) or 0)

    def webhooks(self, outcome: str) -> float:
        return self.value("payments_webhooks_total", outcome=outcome)


async def test_messages_are_counted_by_what_they_were(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    await till.pay(crew.customer, await till.counter.ordered(crew.customer))
    body, signature = till.simulator.signed(till.simulator.events()[-1])
    meter = Meter(till)
    new, again, rejected = (meter.webhooks(outcome) for outcome in ("new", "duplicate", "rejected"))

    for _ in range(3):
        await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=10)
    assert (
        await refusal_of(till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature="t=1,v1=a"), timeout=10))
    ).reason

    assert (meter.webhooks("new") - new, meter.webhooks("duplicate") - again) == (1, 2)
    assert meter.webhooks("rejected") - rejected == 1


async def test_what_is_stuck_and_what_was_given_back_is_told(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    meter = Meter(till)
    before = meter.value("payments_refunds_total", state="SUCCEEDED")
    refund = await give_back(till, crew.staff, order)
    await refund_in(till, crew.staff, refund.name)

    async def is_counted() -> bool:
        return meter.value("payments_refunds_total", state="SUCCEEDED") == before + 1

    assert await eventually(is_counted)

    waiting = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, waiting, card="")
    change = "update payment set state = 4, quarantined = %s, updated_at = clock_timestamp() - interval '1 hour' where order_id = %s"
    await till.counter.rows(change, False, order_id(waiting))
    await till.look()
    assert meter.value("payments_saga_age_seconds") == pytest.approx(3600, abs=60)
    assert meter.value("payments_pending") >= 1

    await till.counter.rows(change, True, order_id(waiting))
    await till.look()
    assert meter.value("payments_quarantined") == 1


async def test_a_refund_is_counted_once_however_many_drive_it(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    meter = Meter(till)
    before = meter.value("payments_refunds_total", state="SUCCEEDED")
    refund_id = UUID((await give_back(till, crew.staff, order)).name.rpartition("/")[2])

    drive = till.container.paying().refund_driver().drive
    await asyncio.gather(*(drive(refund_id) for _ in range(5)), return_exceptions=True)

    async def is_counted() -> bool:
        return meter.value("payments_refunds_total", state="SUCCEEDED") > before

    assert await eventually(is_counted)
    assert meter.value("payments_refunds_total", state="SUCCEEDED") == before + 1


async def test_money_that_does_not_fit_is_told_though_the_payment_had_ended_until_somebody_decides(till: Till, crew: Crew) -> None:
    """Red while only payments that had not ended were looked after."""
    order = await till.counter.ordered(crew.customer)
    paid = await till.pay(crew.customer, order)
    meter, payment_id = Meter(till), UUID(paid.name.rpartition("/")[2])
    await till.look()
    before = meter.value("payments_quarantined")
    again = Fact(FactKind.CAPTURED, "ch_again", SystemClock().now(), 1, paid.total.currency_code)
    payment = (await till.container.paying().records().record(payment_id, Draft(facts=(again,)))).payment
    assert (payment.is_final, payment.quarantined) == (True, True)

    await till.look()
    assert meter.value("payments_quarantined") == before + 1

    seen = await till.payment(crew.admin, paid.name)
    request = messages.ResolveQuarantineRequest(
        name=paid.name, decision=payment_pb2.QUARANTINE_DECISION_ACCEPT, etag=seen.etag, reason="r", request_id=str(uuid4())
    )
    await till.payments.ResolveQuarantine(request, metadata=crew.admin.metadata, timeout=TIMEOUT_S)
    await till.look()
    assert meter.value("payments_quarantined") == before
