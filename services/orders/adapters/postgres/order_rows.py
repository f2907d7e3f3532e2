"""Orders as rows, and as what they are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from itertools import groupby
from types import SimpleNamespace
from typing import Any, TypeAlias
from uuid import UUID

from psycopg.rows import TupleRow
from sqlalchemy import Row, Select, and_, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.orders.adapters.postgres.tables import customer_order, order_event, order_item, reservation_lot, stock_lot
from services.orders.domain.ordering.model import (
    Actor,
    Contact,
    DeliveryAddress,
    EventKind,
    Fulfilment,
    Line,
    LineLot,
    Order,
    OrderEvent,
    PaymentState,
    Pending,
    PointsState,
    State,
    Times,
)

ORDER_COLUMNS = tuple(column for column in customer_order.c if column is not customer_order.c.search)
EVENT_COLUMNS = tuple(order_event.c)
_TIMES = tuple(field.name for field in fields(Times))
_TEXTS = ("assignee", "preparer", "reviewer", "tracking_number", "pickup_code", "cancel_reason")

# The columns of a line, with one of its lots if it has any.
LINE_FIELDS = (*(column.name for column in order_item.c), "lot_id", "lot_quantity", "lot_number", "expires_on")
_ORDER_FIELDS = tuple(column.name for column in ORDER_COLUMNS)
_EVENT_FIELDS = tuple(column.name for column in EVENT_COLUMNS)
_LineRow: TypeAlias = Row[Any] | SimpleNamespace

_IDS = bindparam("order_ids", type_=ARRAY(Uuid))
_LINES = select(*order_item.c).where(order_item.c.order_id == any_(_IDS)).order_by(order_item.c.order_id, order_item.c.position)
# The reservation of an order has the order's id.
_BOUND = and_(reservation_lot.c.reservation_id == order_item.c.order_id, reservation_lot.c.sku == order_item.c.sku)
_LINES_WITH_LOTS = (
    _LINES.add_columns(
        reservation_lot.c.lot_id, reservation_lot.c.quantity.label("lot_quantity"), stock_lot.c.lot_number, stock_lot.c.expires_on
    )
    .select_from(order_item.outerjoin(reservation_lot, _BOUND).outerjoin(stock_lot, stock_lot.c.lot_id == reservation_lot.c.lot_id))
    .order_by(stock_lot.c.expires_on, reservation_lot.c.lot_id)
)


def order_of(row: Row[Any] | SimpleNamespace, lines: Iterable[Line]) -> Order:
    """Returns the order of a row of ORDER_COLUMNS."""
    return Order(
        id=row.order_id,
        customer_id=row.customer_id,
        number=row.order_number,
        state=State(row.state),
        location_id=row.location_id,
        currency=row.currency,
        lines=tuple(lines),
        fulfilment=Fulfilment(row.fulfilment),
        contact=Contact(row.contact_name, row.contact_phone, row.contact_email),
        delivery_address=address_of(row.delivery_address),
        note=row.note,
        created_at=row.created_at,
        updated_at=row.updated_at,
        times=Times(**{name: getattr(row, f"{name}_at") for name in _TIMES}),
        payment_state=PaymentState(row.payment_state),
        points_state=PointsState(row.points_state),
        points_minor=row.points_minor,
        pending=Pending(row.pending_operation),
        pending_since=row.pending_since,
        overdue=row.overdue,
        events=row.events,
        version=row.version,
        **{name: getattr(row, name) for name in _TEXTS},
    )


def address_of(document: Mapping[str, Any] | None) -> DeliveryAddress | None:
    return None if document is None else DeliveryAddress(**{**document, "lines": tuple(document["lines"])})


def address_document(address: DeliveryAddress | None) -> dict[str, Any] | None:
    return None if address is None else {field.name: getattr(address, field.name) for field in fields(address)}


def address_json(address: DeliveryAddress | None) -> str | None:
    return None if address is None else json.dumps(address_document(address))


def order_values(order: Order) -> dict[str, Any]:
    """Returns the columns of what can change of an order, but for its version."""
    return {
        "state": order.state,
        "note": order.note,
        "delivery_address": address_document(order.delivery_address),
        "payment_state": order.payment_state,
        "points_state": order.points_state,
        "points_minor": order.points_minor,
        "pending_operation": order.pending,
        "pending_since": order.pending_since,
        "overdue": order.overdue,
        "events": order.events,
        "updated_at": order.updated_at,
        **{name: getattr(order, name) for name in _TEXTS},
        **{f"{name}_at": getattr(order.times, name) for name in _TIMES},
    }


async def read_lines(connection: AsyncConnection, order_ids: Collection[UUID], *, lots: bool) -> Mapping[UUID, tuple[Line, ...]]:
    """Returns the lines of these orders, in one statement however many they are, with the lots that are bound if `lots`."""
    query: Select[Any] = _LINES_WITH_LOTS if lots else _LINES
    rows = (await connection.execute(query, {"order_ids": list(order_ids)})).all()
    return {order_id: _lines(group, lots) for order_id, group in groupby(rows, key=lambda row: row.order_id)}


def locked_order(row: TupleRow, lines: Iterable[TupleRow]) -> Order:
    """Returns the order of a row of ORDER_COLUMNS and rows of LINE_FIELDS."""
    named = (SimpleNamespace(**dict(zip(LINE_FIELDS, line, strict=True))) for line in lines)
    return order_of(SimpleNamespace(**dict(zip(_ORDER_FIELDS, row, strict=True))), _lines(named, lots=True))


def _lines(rows: Iterable[_LineRow], lots: bool) -> tuple[Line, ...]:
    return tuple(_line(list(group), lots) for _, group in groupby(rows, key=lambda row: row.position))


def _line(rows: list[_LineRow], lots: bool) -> Line:
    row = rows[0]
    return Line(
        sku=row.sku,
        display_name=row.display_name,
        form=row.form,
        strength=row.strength,
        quantity=row.quantity,
        unit_price_minor=row.unit_price_minor,
        rx_required=row.rx_required,
        schedule=row.schedule,
        cold_chain=row.cold_chain,
        prescription_id=row.prescription_id,
        returned_quantity=row.returned_quantity,
        lots=tuple(_lot(row) for row in rows if row.lot_id is not None) if lots else (),
    )


def _lot(row: _LineRow) -> LineLot:
    return LineLot(row.lot_id, row.lot_number, row.expires_on, row.lot_quantity)


def told_event(row: TupleRow) -> OrderEvent:
    """Returns the event of a plain row of EVENT_COLUMNS."""
    return event_of(SimpleNamespace(**dict(zip(_EVENT_FIELDS, row, strict=True))))


def event_of(row: Row[Any] | SimpleNamespace) -> OrderEvent:
    """Returns the event of a row of EVENT_COLUMNS."""
    return OrderEvent(
        order_id=row.order_id,
        number=row.number,
        kind=EventKind(row.kind),
        from_state=State(row.from_state) if row.from_state else None,
        to_state=State(row.to_state),
        actor=Actor(row.actor, row.role),
        reason=row.reason,
        details=row.details,
        created_at=row.created_at,
    )
