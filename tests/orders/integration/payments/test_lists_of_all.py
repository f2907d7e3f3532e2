"""Payments of all customers, as staff look through them: those in quarantine above all, which wait for somebody to decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.payment_reads import listing
from services.orders.application.payments.read_payments import PaymentFilter
from shared.testing.errors import refusal_of
from tests.balance.plans import blocks, nodes
from tests.orders.counter import Crew, order_id
from tests.orders.orders_client import Orders
from tests.orders.till import TIMEOUT_S, Till

ALL = "customers/-/orders/-"
PAYMENTS = 20_000
# As many payments of one order that failed. Every hundredth is looked after, and every thousandth is in quarantine.
FILL = """
insert into payment (payment_id, order_id, customer_id, order_number, currency, method, state, wish, card_standing, points_standing,
                     card_minor, manual_capture, quarantined, settled, version, created_at, updated_at, look_at)
select gen_random_uuid(), %s::uuid, 'ada', '1', 'EUR', 1, 7, 3, 7, 0, 499, false, n %% 1000 = 0, false, 1,
       now() - make_interval(days => 1, secs => n), now(), case when n %% 100 = 0 then now() end
  from generate_series(1, %s) n
"""


async def page(till: Till, who: Orders, parent: str = ALL, **fields: Any) -> messages.ListPaymentsResponse:
    request = messages.ListPaymentsRequest(parent=parent, **fields)
    return await till.payments.ListPayments(request, metadata=who.metadata, timeout=TIMEOUT_S)


async def walked(till: Till, who: Orders, **fields: Any) -> list[str]:
    """The names on all pages."""
    names, token = [], ""
    while True:
        found = await page(till, who, page_token=token, **fields)
        names += [payment.name for payment in found.payments]
        assert len(names) == len(set(names)), "a page repeats another"
        token = found.next_page_token
        if not token:
            return names


async def paid_by(till: Till, *people: Orders) -> list[payment_pb2.Payment]:
    """An order of each that waits to be confirmed, its payment in quarantine."""
    payments = []
    for person in people:
        order = await till.counter.ordered(person)
        payments.append(await till.pay(person, order, card=""))
        await till.counter.rows("update payment set quarantined = true where order_id = %s", order_id(order))
    return payments


@pytest_asyncio.fixture
async def waiting(till: Till, crew: Crew) -> AsyncIterator[list[payment_pb2.Payment]]:
    """Three payments in quarantine, of two customers, and one that is not."""
    await till.counter.rows("update payment set quarantined = false")
    found = await paid_by(till, crew.customer, till.counter.person(), crew.customer)
    await till.pay(crew.customer, await till.counter.ordered(crew.customer))
    yield found
    await till.counter.rows("update payment set quarantined = false")


@pytest.mark.parametrize("role", ["staff", "pharmacist", "admin"])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_staff_find_the_payments_in_quarantine_of_all_customers(
    till: Till, waiting: list[payment_pb2.Payment], role: str, size: int
) -> None:
    found = await walked(till, till.counter.person(role), quarantined_only=True, page_size=size)

    assert found == [payment.name for payment in reversed(waiting)]


async def test_of_one_order_too_only_those_in_quarantine_can_be_listed(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order, card="pm_card_chargeDeclined")
    last = await till.pay(crew.customer, order, card="")
    await till.counter.rows("update payment set quarantined = true where payment_id = %s", UUID(last.name.rpartition("/")[2]))

    assert [one.name for one in (await page(till, crew.customer, order.name, quarantined_only=True)).payments] == [last.name]
    assert len((await page(till, crew.customer, order.name)).payments) == 2


async def test_without_that_all_payments_are_listed_newest_first(till: Till, crew: Crew, waiting: list[payment_pb2.Payment]) -> None:
    newest = await page(till, crew.admin, page_size=4)

    assert [payment.name for payment in newest.payments][1:] == [payment.name for payment in reversed(waiting)]
    assert newest.payments[0].state == payment_pb2.PAYMENT_STATE_CAPTURED
    assert {bool(payment.client_secret) for payment in newest.payments} == {False}


async def test_customers_list_those_of_their_own_orders_only(till: Till, crew: Crew) -> None:
    assert (await refusal_of(page(till, crew.customer))).reason == "ACCESS_DENIED"
    for parent in (f"{crew.customer.name}/orders/-", f"customers/-/orders/{UUID(int=1)}"):
        assert (await refusal_of(page(till, crew.staff, parent))).reason == "ORDER_NOT_FOUND"


async def test_a_token_of_one_list_is_of_no_other(till: Till, crew: Crew, waiting: list[payment_pb2.Payment]) -> None:
    token = (await page(till, crew.staff, quarantined_only=True, page_size=1)).next_page_token
    assert token

    for parent, quarantined_only in ((ALL, False), (waiting[0].name.partition("/payments")[0], True)):
        refused = await refusal_of(page(till, crew.staff, parent, quarantined_only=quarantined_only, page_token=token))
        assert refused.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize(("quarantined_only", "index"), [(True, "payment_look"), (False, "payment_started")])
async def test_a_page_is_read_by_an_index_however_many_payments_there_are(
    till: Till, crew: Crew, till_database: AsyncEngine, quarantined_only: bool, index: str
) -> None:
    order = await till.counter.ordered(crew.customer)
    wanted = PaymentFilter(None, quarantined_only, (datetime.now(UTC), UUID(int=0)), limit=10)
    compiled = listing(wanted).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    async with till_database.connect() as connection:
        await connection.exec_driver_sql(FILL, (order_id(order), PAYMENTS))
        await connection.exec_driver_sql("analyze payment")
        explained = await connection.exec_driver_sql(f"explain (analyze, buffers, format json) {compiled}")
        plan = explained.scalar_one()[0]["Plan"]
        await connection.rollback()

    assert [node["Index Name"] for node in nodes(plan) if "Index Name" in node] == [index]
    assert plan["Actual Rows"] == wanted.limit
    assert blocks(plan) < 300, "who goes through the table looks at more"
