"""Payments that are given up while somebody else is about to go on with them: an order never moves on by one of those."""

from __future__ import annotations

from uuid import UUID

import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1.order_pb2 import Order

from services.orders.application.payments.ports import Draft
from services.orders.domain.errors import OrderStateRefused
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Wish
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.orders_client import line
from tests.orders.till import Till


def id_of(payment: payment_pb2.Payment) -> UUID:
    return UUID(payment.name.rpartition("/")[2])


async def give_up(till: Till, payment: payment_pb2.Payment) -> None:
    await till.container.paying().records().record(id_of(payment), Draft(lambda now: changes.given_up(now, Wish.GIVE_UP)))


async def prescribed(till: Till, crew: Crew) -> Order:
    sku = await till.counter.medicine(rx_required=True)
    return await till.counter.ordered(crew.customer, line(sku, 1, await till.counter.prescription(crew.customer, sku)))


async def test_a_payment_that_is_given_up_pays_no_order_any_more(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")
    await give_up(till, payment)

    with pytest.raises(OrderStateRefused):
        await till.counter.steps.settle(order_id(order), id_of(payment))

    assert (await crew.customer.get(order.name)).state == state_number("PENDING_PAYMENT")


async def test_a_payment_that_is_given_up_sends_no_order_to_review(till: Till, crew: Crew) -> None:
    order = await prescribed(till, crew)
    payment = await till.pay(crew.customer, order, card="")
    await give_up(till, payment)

    with pytest.raises(OrderStateRefused):
        await till.counter.steps.authorize(order_id(order), id_of(payment))

    assert (await crew.customer.get(order.name)).state == state_number("PENDING_PAYMENT")


async def test_a_payment_that_has_paid_is_settled_with_its_order_and_nobody_gives_it_up(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card="")

    await till.counter.steps.settle(order_id(order), id_of(payment))
    await give_up(till, payment)

    stored = (await till.container.paying().records().read(id_of(payment))).payment
    assert (stored.settled, stored.wish) == (True, Wish.PAY)
