"""Giving back, as staff do it, and orders brought to where something can come back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order

from tests.orders.counter import Crew, scans_of
from tests.orders.orders_client import Orders
from tests.orders.till import TIMEOUT_S, Till, eventually

SUCCEEDED, FAILED = payment_pb2.REFUND_STATE_SUCCEEDED, payment_pb2.REFUND_STATE_FAILED


async def give_back(till: Till, who: Orders, order: Order, **fields: Any) -> payment_pb2.Refund:
    """Asks for a refund: of all that is left, unless `amount_minor` or `units` (by SKU) say otherwise."""
    units = fields.pop("units", {})
    request = messages.CreateRefundRequest(
        order=order.name,
        lines=[messages.RefundLine(sku=sku, quantity=quantity) for sku, quantity in units.items()],
        **({"reason": "was broken", "request_id": str(uuid4())} | fields),
    )
    return (await till.payments.CreateRefund(request, metadata=who.metadata, timeout=TIMEOUT_S)).refund


async def refund_in(till: Till, who: Orders, name: str, *states: int) -> payment_pb2.Refund:
    """Waits until a refund has come to one of the states (SUCCEEDED or FAILED, unless given); returns it."""
    wanted = states or (SUCCEEDED, FAILED)

    async def found() -> payment_pb2.Refund:
        return (await till.payments.GetRefund(messages.GetRefundRequest(name=name), metadata=who.metadata, timeout=TIMEOUT_S)).refund

    async def is_there() -> bool:
        return (await found()).state in wanted

    assert await eventually(is_there), await found()
    return await found()


async def through(till: Till, crew: Crew, order: Order, **fields: Any) -> payment_pb2.Refund:
    """Gives back and waits until it is through."""
    refund = await refund_in(till, crew.staff, (await give_back(till, crew.staff, order, **fields)).name)
    assert refund.state == SUCCEEDED, refund
    return refund


async def completed(crew: Crew, order: Order) -> Order:
    """Has a paid order prepared and handed over; returns it."""
    order = await crew.staff.act("StartPreparing", await crew.staff.get(order.name))
    order = await crew.pharmacist.act("FinishPreparing", order, scans=scans_of(order))
    code = (await crew.customer.get(order.name)).pickup_code
    return await crew.staff.act("HandOverOrder", order, pickup_code=code)


async def books_agree(till: Till) -> bool:
    return await till.differences() == []
