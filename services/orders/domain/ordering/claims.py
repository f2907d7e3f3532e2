"""Who of the staff works on an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.orders.domain.errors import NotClaimed
from services.orders.domain.ordering.changes import Outcome, happened
from services.orders.domain.ordering.model import Actor, EventKind, Order, State
from services.orders.domain.ordering.transitions import ADMIN, PHARMACIST, STAFF, Caller
from shared.errors import AccessDenied


def check_claimable(states: frozenset[State], caller: Caller) -> None:
    """Raises AccessDenied for states that are not for the caller: reviewing is for pharmacists."""
    if State.UNDER_REVIEW in states and PHARMACIST not in caller.roles:
        raise AccessDenied("only pharmacists review orders")


def claim(order: Order, caller: Caller, now: datetime) -> Outcome:
    """Returns the order with the caller at work on it."""
    role = STAFF if STAFF in caller.roles and order.state is not State.UNDER_REVIEW else PHARMACIST
    now = max(now, order.updated_at)
    claimed = replace(order, assignee=caller.name, times=replace(order.times, assigned=now))
    return happened(order, claimed, EventKind.CLAIMED, Actor(caller.name, role), now)


def release(order: Order, caller: Caller, now: datetime) -> Outcome:
    """Returns the order with nobody at work on it. Raises NotClaimed."""
    own = order.assignee == caller.name
    if not order.assignee or not (own or ADMIN in caller.roles):
        raise NotClaimed
    role = next(role for role in (STAFF, PHARMACIST, ADMIN) if role in caller.roles and (own or role == ADMIN))
    now = max(now, order.updated_at)
    released = replace(order, assignee="", times=replace(order.times, assigned=None))
    return happened(order, released, EventKind.CLAIM_RELEASED, Actor(caller.name, role), now)


def overdue(order: Order, actor: Actor, now: datetime) -> Outcome | None:
    """Returns the order with the alert that nobody collects it; None if it is not so, or the alert was raised."""
    due = order.times.due
    if order.state is not State.READY or order.overdue or due is None or now < due:
        return None
    return happened(order, replace(order, overdue=True), EventKind.OVERDUE, actor, max(now, order.updated_at))
