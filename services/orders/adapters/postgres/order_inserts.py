"""New orders, written in few round trips: one statement for all rows of an order, however many lines it has.

Making orders is what the service does most, and here each round trip and each layer costs a good part of it: see order_round_trips.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from psycopg import errors

from services.orders.adapters.postgres import request_statements as requests
from services.orders.adapters.postgres.order_round_trips import BEGIN, SETTINGS, Send, find_medicines, medicines_of, named, positional
from services.orders.adapters.postgres.order_rows import address_json
from services.orders.adapters.postgres.stock_statements import RESERVE, RESERVE_OR_FAIL
from services.orders.application.ordering.ports import NumberTaken
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.errors import LocationNotFound
from services.orders.domain.ordering.model import Order, OrderEvent
from shared.postgres.round_trips import Statement
from shared.requests import RequestKey

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

_PLACE = "select location_id from location where location_id = %(location_id)s"
# Where a medicine is not as it was read, there is no place for the order.
_UNCHANGED = """
    and (select count(*) from unnest(%(read_skus)s::text[], %(read_versions)s::bigint[]) as seen (sku, version)
         join medicine using (sku, version)) = cardinality(%(read_skus)s::text[])
"""

# An order of a location that is not there, or with a number that is taken, is not stored, nor is anything of it.
_STORE_ORDER = f"""
stored as (
    insert into customer_order (
        order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor, payable_minor,
        has_rx, has_controlled, contact_name, contact_phone, contact_email, delivery_address,
        assignee, preparer, reviewer, tracking_number, pickup_code, cancel_reason,
        payment_state, points_state, points_minor, pending_operation, overdue, due_at, events, version, created_at, updated_at, search
    )
    select %(order_id)s::uuid, %(customer_id)s, %(order_number)s, location_id, %(currency)s, %(note)s,
           %(state)s::smallint, %(fulfilment)s::smallint, %(subtotal_minor)s::bigint, %(subtotal_minor)s::bigint,
           %(has_rx)s::bool, %(has_controlled)s::bool,
           %(contact_name)s, %(contact_phone)s, %(contact_email)s, %(delivery_address)s::jsonb,
           '', '', '', '', %(pickup_code)s, '', %(payment_state)s::smallint, %(points_state)s::smallint, 0, %(pending)s::smallint, false,
           %(due_at)s::timestamptz, %(events)s::int, %(version)s::bigint, %(created_at)s::timestamptz, %(created_at)s::timestamptz,
           array_to_tsvector(%(words)s::text[])
    from place
    on conflict on constraint customer_order_number_unique do nothing
    returning order_id
), items as (
    insert into order_item (order_id, position, returned_quantity, {_COLUMNS})
    select order_id, position, 0, {_COLUMNS}
    from stored, unnest({_ARRAYS}) with ordinality as line ({_COLUMNS}, position)
), event as (
    insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
    select order_id, %(events)s::int, %(event_kind)s::smallint, 0, %(state)s::smallint, %(actor)s, %(role)s, %(reason)s, %(details)s::jsonb,
           %(created_at)s::timestamptz
    from stored
), outbox as (
    insert into order_outbox (order_id, number) select order_id, %(events)s::int from stored
)
"""  # noqa: S608  the columns are ours

_INSERT = positional(f"""
with place as ({_PLACE}), {_STORE_ORDER}
select (select count(*) from place) as places, (select count(*) from stored) as orders
""")  # noqa: S608
_INSERT_OR_FAIL = positional(f"with place as ({_PLACE} {_UNCHANGED}), {_STORE_ORDER} select 1 / (select count(*) from stored)")  # noqa: S608
# A movement for each line that is held.
_RESERVE = positional(f"{RESERVE} returning sku")
_RESERVE_OR_FAIL = positional(RESERVE_OR_FAIL)


async def claim_and_read(send: Send, key: RequestKey | None, skus: Collection[str]) -> tuple[bool, Mapping[str, Medicine]]:
    """Begins. Tells whether the request is new and ours to do here, after waiting for any other of its key; reads the medicines."""
    claim = [] if key is None else [requests.claim(key)]
    *claims, found = (await send([BEGIN, SETTINGS, *claim, find_medicines(skus)]))[2:]
    return all(claims), medicines_of(found)


async def insert_order(send: Send, order: Order, event: OrderEvent, words: Iterable[str]) -> None:
    """Stores an order with its lines and its first event. Raises LocationNotFound, NumberTaken."""
    (((places, orders),),) = await send([named(_INSERT, _values(order, event, words))])
    if not places:
        raise LocationNotFound
    if not orders:
        raise NumberTaken


async def remember_and_reserve(send: Send, key: RequestKey | None, reply: str, reservation: Mapping[str, Any]) -> bool:
    """Stores the reply and holds the units; tells whether all could be held. The levels are locked last, from here to the commit."""
    answer = [] if key is None else [requests.remember(key, reply)]
    *_, moved = await send([*answer, named(_RESERVE, reservation)])
    return len(moved) == len(reservation["skus"])


async def place_order(
    send: Send,
    key: RequestKey,
    reply: str,
    order: tuple[Order, OrderEvent, Iterable[str]],
    versions: Mapping[str, int],
    jobs: Sequence[Statement],
    reservation: Mapping[str, Any],
) -> bool:
    """Does all of it in one transaction and one round trip, the levels locked last. False if any of it can't be done: then nothing is."""
    read = {"read_skus": list(versions), "read_versions": list(versions.values())}
    answer = requests.answer(key, reply)
    try:
        await send([SETTINGS, answer, named(_INSERT_OR_FAIL, _values(*order) | read), *jobs, named(_RESERVE_OR_FAIL, reservation)])
    except (errors.UniqueViolation, errors.DivisionByZero):
        return False
    return True


def _values(order: Order, event: OrderEvent, words: Iterable[str]) -> dict[str, Any]:
    return _order_values(order) | _event_values(event) | _line_values(order) | {"words": list(words)}


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
