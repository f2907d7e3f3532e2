"""Orders that are made at the same time ask together for whom they are and where they go. None suffers from another's trouble."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio
from galen.orders.v1 import order_service_pb2 as messages
from prometheus_client import CollectorRegistry

from services.orders.adapters.grpc.customers import QUERIES_MAX, CustomersPeer
from services.orders.application.ordering.ports import Recipient
from services.orders.domain.errors import AddressNotFound, CustomerNotFound
from shared.errors import DeadlineExceeded, Unavailable
from shared.grpc.call import DEADLINE_MARGIN_S, current_deadline
from shared.observability.tracing import start_span, trace_id_text
from shared.testing.errors import refusal_of
from tests.orders.counter import Counter
from tests.orders.customers_peer import NOBODY, NOWHERE, People
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line

T = TypeVar("T")
# A caller's deadline that passes soon, and one that does not.
SOON_S, LATE_S = 0.1, 60


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest_asyncio.fixture
async def peer(people: People, registry: CollectorRegistry) -> AsyncIterator[CustomersPeer]:
    async with CustomersPeer(f"127.0.0.1:{people.port}", lambda: "Bearer orders", registry).opened() as opened:
        yield opened


async def outcomes(calls: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  nobody tells us when
            await asyncio.sleep(0.005)


async def asked_within(left_s: float, peer: CustomersPeer) -> Recipient:
    """Asks for somebody in a call that has so much time left. Run it as a task of its own: the deadline is set for all that follows."""
    current_deadline.set(time.monotonic() + left_s + DEADLINE_MARGIN_S)
    return await peer.recipient(str(uuid4()), None)


async def traced(peer: CustomersPeer) -> str:
    """Asks for somebody in a call of its own; returns the id of its trace. Run it as a task of its own."""
    trace_id = trace_id_text(start_span(None))
    await peer.recipient(str(uuid4()), None)
    return trace_id


async def test_who_is_alone_is_asked_for_at_once(peer: CustomersPeer, people: People) -> None:
    for customer_id in ("1", "2", "3"):
        assert (await peer.recipient(customer_id, None)).contact.display_name == "Ann Example"

    assert people.batches == [1, 1, 1]
    assert people.tokens == ["Bearer orders"] * 3


async def test_who_asks_at_the_same_time_shares_a_call_and_gets_their_own_answer(
    peer: CustomersPeer, people: People, registry: CollectorRegistry
) -> None:
    queries = [(str(uuid4()), str(uuid4()) if number % 2 else None) for number in range(20)]

    found = await asyncio.gather(*(peer.recipient(*query) for query in queries))

    names = [one.address and one.address.address for one in found]
    assert names == [address and f"customers/{customer}/addresses/{address}" for customer, address in queries]
    assert people.batches == [20]
    assert registry.get_sample_value("recipient_read_batch_calls_sum") == 20
    assert registry.get_sample_value("recipient_read_batch_calls_count") == 1


async def test_who_comes_while_a_call_is_under_way_is_in_the_next_one(
    peer: CustomersPeer, people: People, registry: CollectorRegistry
) -> None:
    people.going.clear()
    first = asyncio.create_task(peer.recipient("1", None))
    await until(lambda: people.batches == [1])
    others = [asyncio.create_task(peer.recipient(str(number), None)) for number in range(2, 7)]
    await until(lambda: registry.get_sample_value("recipient_read_batch_calls_waiting") == 5)
    people.going.set()

    assert [type(one) for one in await outcomes([first, *others])] == [Recipient] * 6
    assert people.batches == [1, 5]


async def test_more_than_a_call_may_ask_for_are_asked_for_in_several(peer: CustomersPeer, people: People) -> None:
    await asyncio.gather(*(peer.recipient(str(number), None) for number in range(QUERIES_MAX + 50)))

    assert people.batches == [QUERIES_MAX, 50]


async def test_the_same_question_of_several_is_asked_once(peer: CustomersPeer, people: People) -> None:
    found = await asyncio.gather(*(peer.recipient("1", "home") for _ in range(5)), peer.recipient("2", "home"), peer.recipient("1", None))

    assert [one.address and one.address.address for one in found] == [
        *["customers/1/addresses/home"] * 5,
        "customers/2/addresses/home",
        None,
    ]
    assert people.batches == [3]


async def test_who_is_unknown_fails_alone(peer: CustomersPeer, people: People) -> None:
    found = await outcomes(
        [peer.recipient("1", None), peer.recipient(NOBODY, None), peer.recipient("2", NOWHERE), peer.recipient("3", "home")]
    )

    assert [type(one) for one in found] == [Recipient, CustomerNotFound, AddressNotFound, Recipient]
    assert people.batches == [4]


async def test_a_query_that_the_peer_can_not_read_fails_alone(peer: CustomersPeer, people: People) -> None:
    people.unreadable = "customers/odd"

    found = await outcomes([peer.recipient("1", None), peer.recipient("odd", None), peer.recipient("2", None)])

    assert [type(one) for one in found] == [Recipient, Unavailable, Recipient]
    assert people.batches == [3, 1, 1, 1]


async def test_a_peer_that_is_away_fails_all_who_asked_and_nobody_is_asked_for_again(peer: CustomersPeer, people: People) -> None:
    people.away = True
    found = await outcomes([peer.recipient(str(number), None) for number in range(5)])

    assert [type(one) for one in found] == [Unavailable] * 5
    assert set(people.batches) == {5}, "the channel repeats a call as a whole"
    people.away = False
    assert (await peer.recipient("1", None)).contact.display_name == "Ann Example"


async def test_nobody_is_ended_by_the_deadline_of_who_asked_first(peer: CustomersPeer, people: People) -> None:
    people.going.clear()
    hasty, *patient = (asyncio.create_task(asked_within(left_s, peer)) for left_s in (SOON_S, LATE_S, LATE_S))

    with pytest.raises(Unavailable):
        await hasty
    assert not any(call.done() for call in patient)
    people.going.set()

    assert [type(one) for one in await outcomes(patient)] == [Recipient, Recipient]
    assert people.batches == [3]


async def test_who_has_no_time_left_does_not_wait_for_a_call_that_others_are_in(peer: CustomersPeer, people: People) -> None:
    people.going.clear()
    first = asyncio.create_task(peer.recipient("1", None))
    await until(lambda: people.batches == [1])
    late, over, patient = (asyncio.create_task(asked_within(left_s, peer)) for left_s in (SOON_S, -SOON_S, LATE_S))

    assert [type(one) for one in await outcomes([late, over])] == [Unavailable, DeadlineExceeded]
    assert not first.done()
    people.going.set()

    assert [type(one) for one in await outcomes([first, patient])] == [Recipient, Recipient]
    assert people.batches == [1, 1], "who had left was not asked for"


async def test_a_peer_that_does_not_answer_is_given_up(people: People, registry: CollectorRegistry) -> None:
    async with CustomersPeer(f"127.0.0.1:{people.port}", lambda: None, registry, call_limit_s=SOON_S).opened() as impatient:
        people.going.clear()
        found = await outcomes([asked_within(LATE_S, impatient) for _ in range(3)])
        people.going.set()

        assert all(isinstance(one, Unavailable) for one in found), found
        assert people.batches == [3]
        assert (await impatient.recipient("1", None)).contact.display_name == "Ann Example"


async def test_a_call_for_many_has_a_trace_of_its_own(peer: CustomersPeer, people: People) -> None:
    callers = [await asyncio.create_task(traced(peer)) for _ in range(2)]

    sent = [trace.split("-")[1] for trace in people.traces]
    assert len(set(sent)) == 2
    assert set(sent).isdisjoint(callers)


async def test_what_was_asked_is_answered_before_the_channel_closes_and_nothing_is_asked_after(
    people: People, registry: CollectorRegistry
) -> None:
    closing = CustomersPeer(f"127.0.0.1:{people.port}", lambda: None, registry)
    people.going.clear()
    async with closing.opened():
        calls = [asyncio.create_task(closing.recipient(str(number), None)) for number in range(3)]
        await until(lambda: people.batches == [3])
        asyncio.get_running_loop().call_later(SOON_S, people.going.set)

    assert [type(one) for one in await outcomes(calls)] == [Recipient] * 3
    with pytest.raises(Unavailable):
        await closing.recipient("1", None)


async def test_orders_that_are_made_together_ask_together_and_an_unknown_customer_fails_alone(counter: Counter, ordering: Ordering) -> None:
    sku, staff, people = await counter.medicine(), counter.person("staff"), counter.people
    buyers = [counter.person() for _ in range(12)]

    def are_all_there() -> bool:
        waiting = ordering.container.registry().get_sample_value("recipient_read_batch_calls_waiting") or 0
        return sum(people.batches) + waiting == len(buyers) + 1

    people.going.clear()
    unknown = asyncio.create_task(refusal_of(counter.ordered(staff, line(sku), parent=f"customers/{NOBODY}")))
    calls = [
        asyncio.create_task(counter.ordered(buyer, line(sku), address=f"{buyer.name}/addresses/{number}"))
        for number, buyer in enumerate(buyers)
    ]
    await until(are_all_there)
    people.going.set()

    assert (await unknown).reason == "CUSTOMER_NOT_FOUND"
    addresses = [order.delivery_address.address for order in await asyncio.gather(*calls)]
    assert addresses == [f"{buyer.name}/addresses/{number}" for number, buyer in enumerate(buyers)]
    assert len(people.batches) == 2


async def test_an_order_whose_deadline_passed_while_the_peer_was_slow_is_not_made(counter: Counter, ordering: Ordering) -> None:
    buyer, people, registry = counter.person(), counter.people, ordering.container.registry()
    wanted = messages.CreateOrderRequest(
        parent=buyer.name, lines=[line(await counter.medicine())], location=counter.location, request_id=str(uuid4())
    )
    people.going.clear()

    refused = await refusal_of(buyer.stub.CreateOrder(wanted, metadata=buyer.metadata, timeout=1))
    await until(lambda: registry.get_sample_value("rpc_server_calls_in_flight") == 0)
    people.going.set()

    assert refused.reason in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert people.batches == [1]
    assert await counter.rows("select 1 from customer_order where customer_id = %s", buyer.id) == []
