"""What payments and time do to orders, which no call can ask for; and the provider's word before an order ends unpaid."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from galen.orders.v1 import order_pb2 as orders

from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.application.ordering.payment_steps import PaymentSteps
from services.orders.application.ordering.ports import Verdict
from services.orders.domain.errors import InsufficientStock, OrderNotFound, OrderStateRefused
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.model import Order, PaymentState, Pending, State
from services.orders.domain.ordering.transitions import Caller
from shared.requests import RequestKey
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line
from tests.orders.stock_rows import LevelRow


class Provider:
    """Says what it is told to; `meanwhile` happens between its answer and what follows."""

    def __init__(self, *verdicts: Verdict, meanwhile: Callable[[UUID], Awaitable[object]] | None = None) -> None:
        self._verdicts = list(verdicts)
        self._meanwhile = meanwhile
        self.asked: list[int] = []

    async def cancel(self, order: Order) -> Verdict:
        self.asked.append(order.version)
        verdict = self._verdicts.pop(0)
        if self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile(order.id)
        return verdict


def change_with(ordering: Ordering, provider: Provider) -> ChangeOrder:
    parts = ordering.container.ordering()
    return ChangeOrder(parts.work_transactions(), provider, parts.terms(), ordering.container.clock(), ordering.container.metrics())


def steps_with(ordering: Ordering, provider: Provider) -> PaymentSteps:
    change, container = change_with(ordering, provider), ordering.container
    return PaymentSteps(change, container.ordering().orders(), container.ordering().work_transactions(), container.metrics())


def a_key(crew: Crew) -> RequestKey:
    return RequestKey(crew.customer.name, uuid4(), b"fingerprint")


def as_customer(crew: Crew) -> Caller:
    return Caller(crew.customer.name, frozenset({"customer"}))


async def test_settling_sells_the_stock_once_however_often_it_is_done(crew: Crew) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    steps = crew.counter.steps

    first, again = await steps.settle(order_id(order)), await steps.settle(order_id(order))

    assert first == again
    assert (first.state, first.payment_state, first.pending) == (State.PAID, PaymentState.PAID, Pending.NONE)
    assert sum(lot.quantity for lot in first.lines[0].lots) == 1
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(99, 0)
    assert len(await crew.customer.events(order.name)) == 2


async def test_an_order_that_has_ended_is_not_paid_any_more(crew: Crew) -> None:
    for state in ("CANCELLED", "EXPIRED"):
        order = await crew.in_state(state)
        with pytest.raises(OrderStateRefused):
            await crew.counter.steps.settle(order_id(order))
    with pytest.raises(OrderNotFound):
        await crew.counter.steps.settle(uuid4())


async def test_what_is_on_prescription_is_not_paid_before_somebody_looked_at_it(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)

    with pytest.raises(OrderStateRefused):
        await crew.counter.steps.settle(order_id(order))
    assert (await crew.counter.steps.authorize(order_id(order))).state is State.UNDER_REVIEW
    assert order.due_time.ToDatetime() > order.create_time.ToDatetime()


async def test_settling_says_so_when_the_lots_were_lost_meanwhile(crew: Crew) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    sku = order.lines[0].sku
    await crew.counter.rows("update stock_lot set expires_on = current_date - 1 where sku = %s", sku)

    with pytest.raises(InsufficientStock) as short:
        await crew.counter.steps.settle(order_id(order))
    assert sku in short.value.metadata
    assert (await crew.customer.get(order.name)).etag == order.etag


async def test_an_order_expires_when_it_is_due_and_not_before(crew: Crew) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    assert not await crew.counter.steps.expire(order_id(order))
    await crew.counter.due(order)

    assert await crew.counter.steps.expire(order_id(order))
    assert not await crew.counter.steps.expire(order_id(order))
    expired = await crew.customer.get(order.name)
    assert (expired.state, list(expired.allowed_actions)) == (orders.ORDER_STATE_EXPIRED, [])
    assert expired.HasField("expire_time")
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)
    states = await crew.counter.rows("select state from reservation where order_id = %s", order_id(order))
    assert [row.state for row in states] == ["EXPIRED"]


async def test_a_review_that_nobody_did_in_time_expires_and_gives_the_prescription_back(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)
    await crew.counter.due(order)

    assert await crew.counter.steps.expire(order_id(order))
    assert await crew.counter.uses(order.lines[0].prescription) == 0


async def test_an_order_that_is_approved_at_the_last_moment_gets_time_for_its_money_and_expires_after_that(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)
    await crew.counter.due(order)
    await crew.pharmacist.act("ApproveOrder", order)
    assert not await crew.counter.steps.expire(order_id(order))

    await crew.counter.due(order)
    assert await crew.counter.steps.expire(order_id(order))


async def test_a_parcel_counts_as_arrived_after_some_days(crew: Crew) -> None:
    order = await crew.in_state("SHIPPED", delivery=True)
    assert not await crew.counter.steps.auto_complete(order_id(order))
    await crew.counter.due(order)

    assert await crew.counter.steps.auto_complete(order_id(order))
    assert not await crew.counter.steps.auto_complete(order_id(order))
    completed = await crew.customer.get(order.name)
    assert (completed.state, completed.earned_points.state) == (orders.ORDER_STATE_COMPLETED, orders.EARNED_POINTS_STATE_PENDING)
    assert (await crew.customer.events(order.name))[-1].role == "system"


async def test_the_alert_of_an_order_that_nobody_collects_is_raised_once_and_staff_may_cancel_it(crew: Crew) -> None:
    order = await crew.in_state("READY")
    assert not await crew.counter.steps.mark_overdue(order_id(order))
    await crew.counter.due(order)

    assert [await crew.counter.steps.mark_overdue(order_id(order)) for _ in range(2)] == [True, False]
    late = await crew.customer.get(order.name)
    assert (late.overdue, late.state) == (True, orders.ORDER_STATE_READY)
    assert (await crew.customer.events(order.name))[-1].kind == orders.ORDER_EVENT_KIND_OVERDUE
    cancelled = await crew.staff.act("CancelOrder", late, reason="not collected")
    assert (cancelled.state, cancelled.overdue) == (orders.ORDER_STATE_CANCELLED, False)


async def test_an_order_ends_unpaid_only_with_the_providers_consent(crew: Crew, ordering: Ordering) -> None:
    order, provider = await crew.in_state("PENDING_PAYMENT"), Provider(Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.CANCELLED)
    key, command = a_key(crew), commands.cancel(as_customer(crew), "", "changed my mind")

    waiting = await change_with(ordering, provider).request(crew.customer.id, order_id(order), command, key)
    assert (waiting.state, waiting.pending) == (State.PENDING_PAYMENT, Pending.CANCELLING)
    assert (await crew.customer.events(order.name))[-1].kind == orders.ORDER_EVENT_KIND_CANCEL_REQUESTED
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 1)
    # The same request is answered the same; another one asks again, and leaves no second event.
    assert await change_with(ordering, provider).request(crew.customer.id, order_id(order), command, key) == replace(
        waiting, pickup_code=""
    )
    again = await change_with(ordering, provider).request(crew.customer.id, order_id(order), command, a_key(crew))
    assert again == waiting

    steps = steps_with(ordering, provider)
    assert await steps.resume(order_id(order)) == waiting
    ended = await steps.resume(order_id(order))
    assert ended is not None
    assert (ended.state, ended.pending, ended.cancel_reason) == (State.CANCELLED, Pending.NONE, "changed my mind")
    (*_, last) = events = await crew.customer.events(order.name)
    assert (last.actor, last.role, last.reason, len(events)) == (crew.customer.name, "customer", "changed my mind", 3)
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)
    assert len(provider.asked) == 4
    assert await steps.resume(order_id(order)) == ended


async def test_an_expiry_that_the_provider_did_not_answer_goes_on_as_an_expiry(crew: Crew, ordering: Ordering) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    await crew.counter.due(order)
    steps = steps_with(ordering, Provider(Verdict.UNKNOWN, Verdict.CANCELLED))

    assert not await steps.expire(order_id(order))
    ended = await steps.resume(order_id(order))
    assert ended is not None
    assert ended.state is State.EXPIRED


async def test_what_waits_for_the_provider_is_not_changed_by_people(crew: Crew, ordering: Ordering) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    await crew.counter.due(order)
    await steps_with(ordering, Provider(Verdict.UNKNOWN)).expire(order_id(order))

    refused = await refusal_of(crew.customer.act("UpdateOrder", order, etag="", update_mask={"paths": ["note"]}, note="x"))
    assert (refused.reason, refused.metadata) == ("OPERATION_PENDING", {"pending": "CANCELLING"})
    assert list((await crew.customer.get(order.name)).allowed_actions) == []


async def test_a_provider_that_has_the_money_makes_the_order_paid_instead_of_expired(crew: Crew, ordering: Ordering) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    await crew.counter.due(order)

    assert not await steps_with(ordering, Provider(Verdict.PAID)).expire(order_id(order))
    assert (await crew.customer.get(order.name)).state == orders.ORDER_STATE_PAID


async def test_a_customer_who_cancels_what_was_just_paid_cancels_a_paid_order(crew: Crew, ordering: Ordering) -> None:
    order, provider = await crew.in_state("PENDING_PAYMENT"), Provider(Verdict.PAID)
    command = commands.cancel(as_customer(crew), "", "")

    cancelled = await change_with(ordering, provider).request(crew.customer.id, order_id(order), command, a_key(crew))

    assert (cancelled.state, cancelled.payment_state) == (State.CANCELLED, PaymentState.PAID)
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)


async def test_the_providers_word_is_asked_for_again_if_the_order_changed_meanwhile(crew: Crew, ordering: Ordering) -> None:
    order = await crew.in_state("PENDING_PAYMENT")

    async def change_note(_: UUID) -> object:
        return await crew.customer.update(order, "note", note="wait")

    provider = Provider(Verdict.CANCELLED, Verdict.CANCELLED, meanwhile=change_note)
    await change_with(ordering, provider).request(
        crew.customer.id, order_id(order), commands.cancel(as_customer(crew), "", ""), a_key(crew)
    )
    assert provider.asked == [1, 2]


async def test_a_cancellation_with_a_stale_etag_does_not_even_ask_the_provider(crew: Crew, ordering: Ordering) -> None:
    order, provider = await crew.in_state("PENDING_PAYMENT", line(await crew.counter.medicine())), Provider()
    await crew.customer.update(order, "note", note="x")

    command = commands.cancel(as_customer(crew), order.etag, "")
    with pytest.raises(Exception, match="has changed"):
        await change_with(ordering, provider).request(crew.customer.id, order_id(order), command, a_key(crew))
    assert provider.asked == []
