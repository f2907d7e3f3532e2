"""The statements that every payment takes: their texts are fixed, so that they stay prepared, and those that can go together do.

Whoever locks a payment reads its facts in a statement that follows: the one that waited for the lock sees them as they were before.
"""

# ruff: noqa: S608  nothing but columns of ours is put into a statement
from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.orders.adapters.postgres.order_round_trips import named, parameters, positional
from services.orders.adapters.postgres.payment_rows import FACT_COLUMNS, PAYMENT_COLUMNS, fact_values, payment_values
from services.orders.adapters.postgres.payment_tables import payment, payment_fact
from services.orders.domain.payments.facts import Fact
from services.orders.domain.payments.model import ENDED, Card, Payment, PaymentState, Points
from shared.ids import read_id
from shared.postgres.round_trips import Statement

# How long an answer that may have got lost is waited for, and how often a payer's own doing is looked for. Where people are waited for, it
# is looked seldom: nothing but the provider's own message can come of it. Who has just asked may have died before the answer.
LOOK_SOON, LOOK_AFTER, LOOK_SELDOM = timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=15)


_VALUES = parameters(payment) | {"look_at": "clock_timestamp() + make_interval(secs => %(look_after_s)s::float8)"}
_FACT_VALUES = parameters(payment_fact)
_COLUMNS = ", ".join(f"p.{column.name}" for column in PAYMENT_COLUMNS)
_FACTS = ", ".join(column.name for column in FACT_COLUMNS)
_STANDING = "o.version, o.state, not o.has_rx or o.reviewed_at is not null, o.paid_at is not null"
_LIVE = f"p.order_id = %s::uuid and p.state not in ({', '.join(str(state.value) for state in sorted(ENDED))})"

_READ = f"select {_COLUMNS}, {_STANDING} from payment p join customer_order o using (order_id) where p.payment_id = %s::uuid"
_READ_LIVE = f"select {_COLUMNS} from payment p where {_LIVE}"
_LOCK = f"select {_COLUMNS} from payment p where p.payment_id = %s::uuid for update"
_WAIT = """
select set_config('synchronous_commit', coalesce(%s, current_setting('synchronous_commit')), true)
  from payment where payment_id = %s::uuid for update
"""
_READ_FACTS = f"select {_FACTS} from payment_fact where payment_id = %s::uuid"
_READ_STANDING = f"""
select clock_timestamp(), {_STANDING} from customer_order o where o.order_id = (select order_id from payment where payment_id = %s::uuid)
"""
_COUNT = "select clock_timestamp(), count(*) from payment where order_id = %s::uuid"
_FIND = positional("""
select coalesce((select payment_id from payment where intent = %(intent)s and intent <> ''),
                (select payment_id from payment where payment_id = %(payment_id)s::uuid))
""")
_INSERT = positional(f"insert into payment ({', '.join(_VALUES)}) values ({', '.join(_VALUES.values())})")
_STORE = positional(
    f"update payment set {', '.join(f'{name} = {value}' for name, value in _VALUES.items() if name != 'payment_id')}"
    f" where payment_id = {_VALUES['payment_id']}"
)
# One that is another by now, or of which more was said, is left as it is, and nothing comes of it.
_STORE_IF_SAME = positional(f"""
with stored as (
    update payment set {", ".join(f"{name} = {value}" for name, value in _VALUES.items() if name not in ("payment_id", "updated_at"))},
                       updated_at = greatest(updated_at, clock_timestamp())
     where payment_id = {_VALUES["payment_id"]} and version = %(version_seen)s::bigint
       and updated_at = %(updated_seen)s::timestamptz
       and (select count(*) from payment_fact where payment_id = {_VALUES["payment_id"]}) = %(facts_seen)s::bigint
    returning payment_id, order_id, updated_at
), said as (
    insert into payment_fact (payment_id, {_FACTS})
    select stored.payment_id, {", ".join(f"fact.{column.name}" for column in FACT_COLUMNS)}
      from stored, jsonb_populate_recordset(null::payment_fact, %(said)s::jsonb) as fact
    on conflict do nothing
)
select stored.updated_at, {_STANDING} from stored join customer_order o using (order_id)
""")
_ADD_FACT = positional(
    f"insert into payment_fact ({', '.join(_FACT_VALUES)}) values ({', '.join(_FACT_VALUES.values())}) on conflict do nothing"
)


def read(payment_id: UUID) -> Statement:
    """Asks for a payment and how its order stands."""
    return _READ, (str(payment_id),)


def read_live(order_id: UUID) -> Statement:
    """Asks for the payment of an order that is under way or has paid it."""
    return _READ_LIVE, (str(order_id),)


def lock_live(order_id: UUID) -> Statement:
    return f"{_READ_LIVE} for update", (str(order_id),)


def lock(payment_id: UUID) -> Statement:
    return _LOCK, (str(payment_id),)


def read_facts(payment_id: UUID) -> Statement:
    """Asks for all that the provider said."""
    return _READ_FACTS, (str(payment_id),)


def read_standing(payment_id: UUID) -> Statement:
    """Asks for the time, and how the order of a payment stands."""
    return _READ_STANDING, (str(payment_id),)


def count(order_id: UUID) -> Statement:
    """Asks for the time, and how many payments an order has had."""
    return _COUNT, (str(order_id),)


def find(intent: str, payment_id: str) -> Statement:
    """Asks for the id of the payment that the provider calls so; else of the one with this id; null if there is neither."""
    return named(_FIND, {"intent": intent, "payment_id": read_id(payment_id)})


def insert(started: Payment) -> Statement:
    """Stores a new payment. Whoever starts it drives it at once; if they don't come to an end, somebody looks after it soon."""
    return named(_INSERT, payment_values(started) | {"look_after_s": LOOK_SOON.total_seconds()})


def store(changed: Payment) -> Statement:
    """Stores all of a payment.

    Until it has come to its end, its money has gone back if it came too late, and people have decided on it if they have to, somebody
    looks after it.
    """
    return named(_STORE, _stored(changed))


def wait_for(payment_id: UUID, *, durable: bool) -> Statement:
    """Locks a payment: a statement that follows sees what was said of it until then.

    The transaction waits for the disk, as all do, if it is to be `durable`; if not, a crash of PostgreSQL may forget it, as long as nothing
    that was committed here after it has reached the disk.
    """
    return _WAIT, (None if durable else "off", str(payment_id))


def store_if_same(changed: Payment, seen: Payment, facts_seen: int, said: Sequence[Fact]) -> Statement:
    """Stores all of a payment that is locked, and what was said, if it is still the one that was seen, with as many facts.

    Answers with the time of the change, and how its order stands then; with nothing if the payment is another by now.
    """
    # The time of its change, too: a version that a crash of PostgreSQL has forgotten may come again.
    seen_values = {"version_seen": seen.version, "updated_seen": seen.updated_at, "facts_seen": facts_seen}
    facts = json.dumps([{**fact_values(fact), "at": fact.at.isoformat()} for fact in said])
    return named(_STORE_IF_SAME, _stored(changed) | seen_values | {"said": facts})


def add_facts(payment_id: UUID, facts: Sequence[Fact]) -> Sequence[Statement]:
    """Adds what was said, each once."""
    return [named(_ADD_FACT, {"payment_id": payment_id, **fact_values(fact)}) for fact in facts]


def _stored(changed: Payment) -> dict[str, Any]:
    is_done = changed.is_final and not changed.quarantined and not changed.has_late_money
    return payment_values(changed) | {"look_after_s": None if is_done else _look_after(changed).total_seconds()}


def _look_after(changed: Payment) -> timedelta:
    if changed.quarantined or changed.state is PaymentState.AUTHORIZED:
        return LOOK_SELDOM
    is_asked = changed.card_standing is Card.ASKED or changed.points_standing is Points.ASKED
    return LOOK_SOON if is_asked else LOOK_AFTER
