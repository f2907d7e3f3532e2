"""What is looked at before an order is made: many callers share a look, and each sees what concerns them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from services.orders.application.ordering.ports import Looked
from services.orders.domain.inventory.shortage import ShortLine
from shared.errors import RequestIdReused
from shared.requests import RequestKey
from tests.orders.counter import Counter, order_id
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line
from tests.orders.world import new_sku


@dataclass(frozen=True)
class Shared:
    """Looks that are asked for at once. `batches` is how many there were since the service began."""

    ordering: Ordering
    location_id: str

    @property
    def batches(self) -> float:
        counted = self.ordering.container.registry().get_sample_value("order_look_batch_calls_count")
        assert counted is not None
        return counted

    async def look(self, *carts: tuple[Mapping[str, int], RequestKey]) -> list[Looked | BaseException]:
        looks = self.ordering.container.ordering().looks()
        return await asyncio.gather(*(looks.look(key, self.location_id, units) for units, key in carts), return_exceptions=True)


@pytest.fixture
def shared(ordering: Ordering, counter: Counter) -> Shared:
    return Shared(ordering, counter.location_id)


def new_key() -> RequestKey:
    return RequestKey("customers/somebody", uuid4(), b"fingerprint")


async def test_callers_at_once_share_a_look_and_see_what_concerns_them(shared: Shared, counter: Counter) -> None:
    much, little, none = await counter.medicine(9), await counter.medicine(2), new_sku()
    before = shared.batches
    seen = await shared.look(
        ({much: 3, little: 2}, new_key()),
        ({little: 3, much: 1}, new_key()),
        ({none: 1, much: 9}, new_key()),
        ({little: 4, much: 10}, new_key()),
    )

    assert shared.batches == before + 1
    assert [(look.answer, set(look.medicines)) for look in seen if isinstance(look, Looked)] == [
        (None, {much, little}),
        (None, {much, little}),
        (None, {much}),
        (None, {much, little}),
    ]
    both = sorted([ShortLine(little, 4, 2), ShortLine(much, 10, 9)], key=lambda line: line.sku)
    assert [look.short for look in seen if isinstance(look, Looked)] == [(), [ShortLine(little, 3, 2)], (), both]


async def test_an_answer_is_seen_by_whom_it_was_given_and_a_request_that_is_not_the_same_fails_alone(
    shared: Shared, counter: Counter
) -> None:
    customer, sku, request_id = counter.person(), await counter.medicine(2), str(uuid4())
    order = await counter.ordered(customer, line(sku, 2), request_id=request_id)
    ((fingerprint,),) = await counter.rows("select fingerprint from request_log where request_id = %s", request_id)
    key = RequestKey(customer.name, UUID(request_id), fingerprint)
    other = RequestKey(customer.name, UUID(request_id), b"another order")
    stranger = RequestKey("customers/somebody", UUID(request_id), fingerprint)
    answered, reused, strange = await shared.look(({sku: 2}, key), ({sku: 2}, other), ({sku: 2}, stranger))

    assert isinstance(answered, Looked)
    assert isinstance(strange, Looked)
    assert answered.answer is not None
    # What it took itself is not short.
    assert (answered.answer.id, answered.short) == (order_id(order), ())
    assert isinstance(reused, RequestIdReused)
    assert (strange.answer, strange.short) == (None, [ShortLine(sku, 2, 0)])


async def test_stock_of_another_place_is_not_looked_at(shared: Shared, counter: Counter) -> None:
    """There it is the transaction that says what is wrong: that there is no such place, or that it has none of it."""
    sku = await counter.medicine(1)
    elsewhere = Shared(shared.ordering, "nowhere")
    (seen,) = await elsewhere.look(({sku: 5}, new_key()))

    assert isinstance(seen, Looked)
    assert (seen.short, set(seen.medicines)) == ((), {sku})
