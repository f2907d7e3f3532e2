"""Whoever comes for what is sold out is told so at once."""

from __future__ import annotations

from uuid import uuid4

from shared.testing.errors import refusal_of
from tests.orders.counter import Counter
from tests.orders.orders_client import line
from tests.orders.world import new_sku


async def test_what_is_sold_out_is_refused_without_asking_for_the_customer(counter: Counter) -> None:
    customer, gone, there = counter.person(), await counter.medicine(2), await counter.medicine(5)
    counter.people.asked.clear()
    refused = await refusal_of(counter.ordered(customer, line(gone, 3), line(there, 5)))

    assert (refused.reason, refused.metadata) == ("INSUFFICIENT_STOCK", {gone: "3/2"})
    assert counter.people.asked == []
    assert await counter.rows("select from request_log where actor = %s", customer.name) == []


async def test_a_cart_that_is_wrong_is_told_what_is_wrong_before_what_is_short(counter: Counter) -> None:
    gone, withdrawn = await counter.medicine(0), await counter.medicine(5, withdrawn=True)
    await counter.lot(gone, 1, "L")
    wrong = [
        (await refusal_of(counter.ordered(counter.person(), line(gone, 2), line(other, 1)))).reason for other in (new_sku(), withdrawn)
    ]

    assert wrong == ["MEDICINE_NOT_FOUND", "MEDICINE_WITHDRAWN"]


async def test_who_took_the_last_unit_is_answered_the_same_again(counter: Counter) -> None:
    customer, sku, request_id = counter.person(), await counter.medicine(1), str(uuid4())
    made = await counter.ordered(customer, line(sku), request_id=request_id)

    assert await counter.ordered(customer, line(sku), request_id=request_id) == made
    assert (await refusal_of(counter.ordered(customer, line(sku)))).reason == "INSUFFICIENT_STOCK"
    assert (await refusal_of(counter.ordered(customer, line(sku, 2), request_id=request_id))).reason == "REQUEST_ID_REUSED"
