"""Orders are made of what the catalogue and the customer's profile say, with their stock held, all of it or none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

from galen.orders.v1.order_pb2 import (
    FULFILMENT_DELIVERY,
    FULFILMENT_PICKUP,
    ORDER_ACTION_CANCEL,
    ORDER_ACTION_PAY,
    ORDER_ACTION_UPDATE,
    ORDER_EVENT_KIND_CREATED,
    ORDER_PAYMENT_STATE_UNPAID,
    ORDER_STATE_PENDING_PAYMENT,
)

from services.orders.adapters.identifiers import RandomIdentifiers
from services.orders.application.ordering.create_order import CreateOrder, NewOrder
from services.orders.domain.ordering.creation import Wanted
from services.orders.domain.ordering.transitions import Caller
from shared.clock import Clock
from shared.luhn import is_luhn_valid
from shared.requests import RequestKey
from shared.testing.errors import refusal_of
from tests.orders.counter import Counter, order_id
from tests.orders.customers_peer import NOBODY, NOWHERE
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line
from tests.orders.stock_rows import LevelRow


async def test_a_new_order_is_priced_by_the_catalogue_and_holds_its_stock(counter: Counter) -> None:
    ibuprofen = await counter.medicine(10, display_name="Ibuprofen", price_minor=499)
    cream = await counter.medicine(5, display_name="Cream", form="cream", strength="1 %", price_minor=1250, cold_chain=True)
    customer = counter.person()

    order = await counter.ordered(customer, line(ibuprofen, 3), line(cream, 1), note="ring twice")

    assert order.name.startswith(f"{customer.name}/orders/")
    assert len(order.order_number) == 16
    assert is_luhn_valid(order.order_number)
    assert order.state == ORDER_STATE_PENDING_PAYMENT
    assert [(one.sku, one.display_name, one.quantity, one.total.amount_minor) for one in order.lines] == [
        (ibuprofen, "Ibuprofen", 3, 1497),
        (cream, "Cream", 1, 1250),
    ]
    assert (order.totals.payable.amount_minor, order.totals.payable.currency_code) == (2747, "EUR")
    assert (order.fulfilment, order.location, order.note) == (FULFILMENT_PICKUP, counter.location, "ring twice")
    assert (order.lines[1].form, order.lines[1].strength, order.lines[1].cold_chain) == ("cream", "1 %", True)
    assert (order.contact.display_name, order.contact.phone, order.contact.email) == ("Ann Example", "+353871234567", "ann@example.com")
    assert order.due_time.ToDatetime() - order.create_time.ToDatetime() == timedelta(minutes=15)
    assert (order.payment.state, order.pickup_code, order.assignee) == (ORDER_PAYMENT_STATE_UNPAID, "", "")
    assert list(order.allowed_actions) == [ORDER_ACTION_CANCEL, ORDER_ACTION_UPDATE, ORDER_ACTION_PAY]
    assert [await counter.level(sku) for sku in (ibuprofen, cream)] == [LevelRow(10, 3), LevelRow(5, 1)]
    assert await customer.get(order.name) == order


async def test_its_first_event_says_who_made_it(counter: Counter) -> None:
    customer, staff = counter.person(), counter.person("staff")
    own = await counter.ordered(customer)
    at_the_counter = await counter.ordered(staff, parent=customer.name)

    for order, actor, role in ((own, customer.name, "customer"), (at_the_counter, staff.name, "staff")):
        (event,) = await customer.events(order.name)
        assert (event.kind, event.actor, event.role) == (ORDER_EVENT_KIND_CREATED, actor, role)
        assert (event.name, event.order_number, event.from_state) == (f"{order.name}/events/1", order.order_number, 0)
        # The feed of another server may have taken it out of the outbox by now.
        placed = "select number from order_outbox where order_id = %s union all select number from order_feed where order_id = %s"
        assert [row.number for row in await counter.rows(placed, order_id(order), order_id(order))] == [1]


async def test_the_address_is_copied_from_the_customers_service_which_is_asked_once(counter: Counter) -> None:
    customer, address = counter.person(), str(uuid4())

    order = await counter.ordered(customer, address=f"{customer.name}/addresses/{address}")

    assert order.fulfilment == FULFILMENT_DELIVERY
    assert order.delivery_address.address == f"{customer.name}/addresses/{address}"
    assert (order.delivery_address.recipient, list(order.delivery_address.lines), order.delivery_address.country_code) == (
        "Ann",
        ["1 Main St"],
        "IE",
    )
    assert counter.people.asked == [f"{customer.name} {customer.name}/addresses/{address}"]
    assert all(token.startswith("Bearer ") for token in counter.people.tokens)


async def test_the_main_pharmacy_sells_what_names_no_location(counter: Counter) -> None:
    order = await refusal_of(counter.person().create(line(await counter.medicine())))
    assert order.reason == "INSUFFICIENT_STOCK"  # it is on the shelf elsewhere


async def test_a_judged_order_changes_nothing_and_has_no_name(counter: Counter) -> None:
    customer, sku = counter.person(), await counter.medicine(5)
    prescribed = await counter.medicine(5, rx_required=True)
    prescription = await counter.prescription(customer, prescribed)
    request_id = str(uuid4())
    lines = (line(sku, 2), line(prescribed, 1, prescription))

    judged = await counter.ordered(customer, *lines, validate_only=True, request_id=request_id)

    assert (judged.name, judged.order_number, judged.etag, list(judged.allowed_actions)) == ("", "", "", [])
    assert judged.totals.payable.amount_minor == 3 * 499
    assert await counter.level(sku) == LevelRow(5, 0)
    assert await counter.uses(prescription) == 0
    assert await counter.rows("select 1 from customer_order where customer_id = %s", customer.id) == []
    assert (await refusal_of(counter.ordered(customer, line(sku, 6), validate_only=True))).reason == "INSUFFICIENT_STOCK"
    # Nothing was remembered, so the same id is still good for the order itself.
    assert (await counter.ordered(customer, *lines, request_id=request_id)).name


async def test_200_lines_are_an_order(counter: Counter) -> None:
    skus, customer = await counter.medicines(200), counter.person()

    order = await counter.ordered(customer, *(line(sku, 2) for sku in reversed(skus)))

    assert [one.sku for one in order.lines] == skus[::-1]
    assert order.totals.payable.amount_minor == 2 * sum(range(1, 201))
    await counter.steps.settle(order_id(order))
    assert all(len(one.lots) == 1 for one in (await customer.get(order.name)).lines)


async def test_a_customer_orders_no_more_in_a_period_than_may_be_sold(counter: Counter) -> None:
    sku = await counter.medicine(100, max_per_period=5, period_days=30)
    customer = counter.person()
    first = await counter.ordered(customer, line(sku, 3))

    refused = await refusal_of(counter.ordered(customer, line(sku, 3)))
    assert refused.reason == "QUANTITY_LIMIT"
    assert refused.metadata == {"sku": sku, "limit": "5", "requested": "3", "already": "3"}
    assert refused.message == f"3 of {sku} are asked for; at most 5 may be ordered in its period, 3 were before"
    await counter.ordered(counter.person(), line(sku, 3))

    await customer.act("CancelOrder", first)
    second = await counter.ordered(customer, line(sku, 5))
    await counter.rows("update customer_order set created_at = created_at - interval '30 days' where order_id = %s", order_id(second))
    await counter.ordered(customer, line(sku, 5))


async def test_orders_of_one_customer_at_once_do_not_pass_a_limit_together(counter: Counter) -> None:
    sku = await counter.medicine(100, max_per_period=5, period_days=30)
    customer = counter.person()

    outcomes = await asyncio.gather(*(counter.ordered(customer, line(sku, 2)) for _ in range(6)), return_exceptions=True)

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 2


async def test_an_order_counts_once_on_each_of_its_prescriptions_and_is_given_back_when_it_ends(counter: Counter) -> None:
    customer = counter.person()
    first, second = await counter.medicine(rx_required=True), await counter.medicine(rx_required=True)
    prescription = await counter.prescription(customer, first, second, refills=1)

    order = await counter.ordered(customer, line(first, 1, prescription), line(second, 1, prescription))
    assert order.has_rx
    assert [one.prescription for one in order.lines] == [prescription, prescription]
    assert await counter.uses(prescription) == 1

    await counter.ordered(customer, line(first, 1, prescription))
    assert (await refusal_of(counter.ordered(customer, line(first, 1, prescription)))).reason == "PRESCRIPTION_USED_UP"
    await customer.act("CancelOrder", order)
    assert await counter.uses(prescription) == 1
    await counter.ordered(customer, line(first, 1, prescription))


async def test_the_last_use_of_a_prescription_goes_to_one_of_many_orders(counter: Counter) -> None:
    customer, sku = counter.person(), await counter.medicine(rx_required=True)
    prescription = await counter.prescription(customer, sku)

    outcomes = await asyncio.gather(*(counter.ordered(customer, line(sku, 1, prescription)) for _ in range(5)), return_exceptions=True)

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert await counter.uses(prescription) == 1


async def test_an_unknown_customer_or_address_is_told_apart_from_a_peer_that_is_away(counter: Counter) -> None:
    sku, staff, customer = await counter.medicine(), counter.person("staff"), counter.person()

    assert (await refusal_of(counter.ordered(staff, line(sku), parent=f"customers/{NOBODY}"))).reason == "CUSTOMER_NOT_FOUND"
    nowhere = f"{customer.name}/addresses/{NOWHERE}"
    assert (await refusal_of(counter.ordered(customer, line(sku), address=nowhere))).reason == "ADDRESS_NOT_FOUND"
    counter.people.away = True
    assert (await refusal_of(counter.ordered(customer, line(sku)))).reason == "UNAVAILABLE"
    assert await counter.level(sku) == LevelRow(100, 0)


async def test_somebody_elses_address_is_not_even_asked_for(counter: Counter) -> None:
    customer, other = counter.person(), counter.person()

    refused = await refusal_of(counter.ordered(customer, address=f"{other.name}/addresses/{uuid4()}"))

    assert refused.reason == "ADDRESS_NOT_FOUND"
    assert counter.people.asked == []


async def test_a_repeat_is_answered_without_asking_anybody(counter: Counter) -> None:
    customer, sku, request_id = counter.person(), await counter.medicine(10), str(uuid4())
    order = await counter.ordered(customer, line(sku, 4), request_id=request_id)
    counter.people.away = True
    counter.people.asked.clear()
    await counter.rows("update medicine set withdrawn = true, price_minor = 1 where sku = %s", sku)

    assert await counter.ordered(customer, line(sku, 4), request_id=request_id) == order
    assert counter.people.asked == []
    assert (await refusal_of(counter.ordered(customer, line(sku, 5), request_id=request_id))).reason == "REQUEST_ID_REUSED"
    assert await counter.level(sku) == LevelRow(10, 4)


async def test_the_same_request_at_once_makes_one_order(counter: Counter) -> None:
    customer, sku, request_id = counter.person(), await counter.medicine(10, max_per_period=4, period_days=30), str(uuid4())

    orders = await asyncio.gather(*(counter.ordered(customer, line(sku, 4), request_id=request_id) for _ in range(5)))

    assert all(order == orders[0] for order in orders)
    assert await counter.level(sku) == LevelRow(10, 4)
    assert len(await counter.rows("select 1 from customer_order where customer_id = %s", customer.id)) == 1


async def test_more_than_there_is_is_refused_line_by_line(counter: Counter) -> None:
    little, none, enough = await counter.medicine(2), await counter.medicine(0), await counter.medicine(5)

    refused = await refusal_of(counter.ordered(counter.person(), line(little, 3), line(none, 1), line(enough, 5)))

    assert refused.reason == "INSUFFICIENT_STOCK"
    assert refused.metadata == {little: "3/2", none: "1/0"}
    assert await counter.level(enough) == LevelRow(5, 0)


async def test_the_last_units_go_to_one_of_many_buyers(counter: Counter) -> None:
    sku = await counter.medicine(3)

    outcomes = await asyncio.gather(*(counter.ordered(counter.person(), line(sku, 2)) for _ in range(8)), return_exceptions=True)

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert await counter.level(sku) == LevelRow(3, 2)


class Drawn(RandomIdentifiers):
    """Draws certain numbers first."""

    def __init__(self, clock: Clock, *numbers: str) -> None:
        super().__init__(clock)
        self.numbers = list(numbers)

    def order_number(self) -> str:
        return self.numbers.pop(0) if self.numbers else super().order_number()


async def test_a_number_that_another_order_has_is_drawn_again(counter: Counter, ordering: Ordering) -> None:
    taken, customer, sku = (await counter.ordered(counter.person())).order_number, counter.person(), await counter.medicine(5)
    parts, container = ordering.container.ordering(), ordering.container
    identifiers = Drawn(container.clock(), taken, taken)
    create = CreateOrder(
        parts.looks(),
        parts.transactions(),
        parts.plain_orders(),
        parts.customers(),
        identifiers,
        parts.terms(),
        container.clock(),
        container.metrics(),
    )
    new = NewOrder(customer.id, [Wanted(sku, 2)], None, counter.location_id, "", validate_only=False)

    order = await create(new, Caller(customer.name, frozenset({"customer"})), RequestKey(customer.name, uuid4(), b"fingerprint"))

    assert order.number != taken
    assert identifiers.numbers == []
    assert await counter.level(sku) == LevelRow(5, 2)
    jobs = await counter.rows(
        "select 1 from procrastinate_jobs where args ->> 'order_id' in (select order_id::text from customer_order where customer_id = %s)",
        customer.id,
    )
    assert len(jobs) == len(await counter.rows("select 1 from order_event where order_id = %s", order.id)) == 1


async def test_orders_of_later_have_greater_ids(counter: Counter) -> None:
    customer = counter.person()
    orders = [await counter.ordered(customer) for _ in range(3)]
    ids = [order_id(order) for order in orders]

    assert ids == sorted(ids)
    assert all(one.version == 7 for one in ids)
