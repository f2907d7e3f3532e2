"""New orders, written in few round trips: one statement for all rows of an order, however many lines it has.

These statements go to the driver itself, several at once where none needs the answer of another: making orders is what the service does
most, and here each round trip and each layer costs a good part of it. The transaction is the one of the SQLAlchemy connection above.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres import medicines
from services.orders.adapters.postgres.order_rows import address_json
from services.orders.adapters.postgres.stock_statements import RESERVE
from services.orders.application.ordering.ports import NumberTaken
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.errors import LocationNotFound
from services.orders.domain.ordering.model import Order, OrderEvent
from shared.requests import RequestKey

Driver: TypeAlias = psycopg.AsyncConnection[Any]

_CLAIM = """
insert into request_log (actor, request_id, fingerprint) values (%s, %s, %s) on conflict do nothing returning request_id
"""
_REMEMBER = "update request_log set reply = %s::jsonb where actor = %s and request_id = %s"
_MEDICINES = f"select {', '.join(column.name for column in medicines.COLUMNS)} from medicine where sku = any(%s)"  # noqa: S608

# What a line has a column for, and of which type.
_LINE = {
    "sku": "text",
    "display_name": "text",
    "form": "text",
    "strength": "text",
    "quantity": "int",
    "unit_price_minor": "bigint",
    "total_minor": "bigint",
    "rx_required": "bool",
    "schedule": "smallint",
    "cold_chain": "bool",
    "prescription_id": "uuid",
}
_COLUMNS = ", ".join(_LINE)
_ARRAYS = ", ".join(f"%({name})s::{kind}[]" for name, kind in _LINE.items())

# An order of a location that is not there, or with a number that is taken, is not stored, nor is anything of it.
_INSERT = f"""
with place as (
    select location_id from location where location_id = %(location_id)s
), stored as (
    insert into customer_order (
        order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor, payable_minor,
        has_rx, has_controlled, contact_name, contact_phone, contact_email, delivery_address,
        assignee, preparer, reviewer, tracking_number, pickup_code, cancel_reason,
        payment_state, points_state, points_minor, pending_operation, overdue, due_at, events, version, created_at, updated_at, search
    )
    select %(order_id)s, %(customer_id)s, %(order_number)s, location_id, %(currency)s, %(note)s, %(state)s, %(fulfilment)s,
           %(subtotal_minor)s, %(subtotal_minor)s, %(has_rx)s, %(has_controlled)s,
           %(contact_name)s, %(contact_phone)s, %(contact_email)s, %(delivery_address)s::jsonb,
           '', '', '', '', %(pickup_code)s, '', %(payment_state)s, %(points_state)s, 0, %(pending)s, false, %(due_at)s, %(events)s,
           %(version)s, %(created_at)s, %(created_at)s, array_to_tsvector(%(words)s::text[])
    from place
    on conflict on constraint customer_order_number_unique do nothing
    returning order_id
), items as (
    insert into order_item (order_id, position, returned_quantity, {_COLUMNS})
    select order_id, position, 0, {_COLUMNS}
    from stored, unnest({_ARRAYS}) with ordinality as line ({_COLUMNS}, position)
), event as (
    insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
    select order_id, %(events)s, %(event_kind)s, 0, %(state)s, %(actor)s, %(role)s, %(reason)s, %(details)s::jsonb, %(created_at)s
    from stored
), outbox as (
    insert into order_outbox (order_id, number) select order_id, %(events)s from stored
)
select (select count(*) from place) as places, (select count(*) from stored) as orders
"""  # noqa: S608  the columns are ours


async def driver_of(connection: AsyncConnection) -> Driver:
    """Returns the connection of the driver, in the same transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


async def claim_and_read(driver: Driver, key: RequestKey | None, skus: Collection[str]) -> tuple[bool, Mapping[str, Medicine]]:
    """Tells whether the request is new and ours to do here, after waiting for any other of its key; reads the medicines of the SKUs."""
    reading = driver.cursor(row_factory=dict_row)
    async with driver.pipeline():
        claim = None if key is None else await driver.execute(_CLAIM, (key.actor, key.request_id, key.fingerprint))
        await reading.execute(_MEDICINES, (list(skus),))
    is_new = claim is None or await claim.fetchone() is not None
    return is_new, {row["sku"]: Medicine(**row) for row in await reading.fetchall()}


async def insert_order(driver: Driver, order: Order, event: OrderEvent, words: Iterable[str]) -> None:
    """Stores an order with its lines and its first event. Raises LocationNotFound, NumberTaken."""
    values = _order_values(order) | _event_values(event) | _line_values(order) | {"words": list(words)}
    row = await (await driver.execute(_INSERT.encode(), values)).fetchone()
    assert row is not None
    places, orders = row
    if not places:
        raise LocationNotFound
    if not orders:
        raise NumberTaken


async def remember_and_reserve(driver: Driver, key: RequestKey | None, reply: str, reservation: Mapping[str, Any]) -> bool:
    """Stores the reply and holds the units; tells whether all could be held. The levels are locked last, from here to the commit."""
    async with driver.pipeline():
        if key is not None:
            await driver.execute(_REMEMBER, (reply, key.actor, key.request_id))
        reserved = await driver.execute(RESERVE.encode(), reservation)
    return reserved.rowcount == len(reservation["skus"])


def _order_values(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "order_number": order.number,
        "contact_name": order.contact.display_name,
        "contact_phone": order.contact.phone,
        "contact_email": order.contact.email,
        "delivery_address": address_json(order.delivery_address),
        "due_at": order.times.due,
        **{name: getattr(order, name) for name in ("customer_id", "location_id", "currency", "note", "subtotal_minor", "has_rx")},
        **{name: getattr(order, name) for name in ("has_controlled", "pickup_code", "events", "version", "created_at")},
        **{name: int(getattr(order, name)) for name in ("state", "fulfilment", "payment_state", "points_state", "pending")},
    }


def _event_values(event: OrderEvent) -> dict[str, Any]:
    details = json.dumps(dict(event.details))
    return {
        "event_kind": int(event.kind),
        "actor": event.actor.name,
        "role": event.actor.role,
        "reason": event.reason,
        "details": details,
    }


def _line_values(order: Order) -> dict[str, list[Any]]:
    """Returns an array for each column of the lines."""
    return {name: list(map(attrgetter(name), order.lines)) for name in _LINE}
