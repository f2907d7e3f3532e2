"""How orders change: a command, judged by the status machine, gives the order after it and the event that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from services.orders.domain.errors import OperationPending, OrderStateRefused
from services.orders.domain.etags import check_etag
from services.orders.domain.ordering.model import Actor, EventKind, Order, OrderEvent, PaymentState, Pending, PointsState, State
from services.orders.domain.ordering.transitions import (
    Caller,
    Step,
    StockEffect,
    Transition,
    Trigger,
    acting_in,
    allowed_actions,
    find_row,
    refusal,
)

# The detail of CANCEL_REQUESTED that says what the order becomes once the provider has agreed.
THEN = "then"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long an order may stay in its states, and how long after its end it may come back."""

    payment: timedelta
    review: timedelta
    preparation: timedelta
    collection: timedelta
    arrival: timedelta
    returning: timedelta


@dataclass(frozen=True, slots=True)
class Situation:
    """An order as it was before, who acts, when, and what the terms are."""

    order: Order
    actor: Actor
    now: datetime
    terms: Terms


@dataclass(frozen=True, slots=True)
class Change:
    """What a command changes besides what its row of the table does. `details` go into the event."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that somebody wants of an order. They are made by the functions of commands.py.

    `change` says what it changes, or raises what is against it. `packed` are units by SKU and lot number, `returned` units by SKU;
    `pickup_code` is what the customer says it is.
    """

    trigger: Trigger
    caller: Caller
    etag: str = ""
    reason: str = ""
    change: Callable[[Situation], Change] = lambda _: Change()
    packed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    returned: Mapping[str, int] = field(default_factory=dict)
    pickup_code: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An order after a change, the event, what is still to be done to its stock, and whether the provider must have agreed before."""

    order: Order
    event: OrderEvent
    effect: StockEffect = StockEffect.NONE
    asks_provider: bool = False

    @property
    def gives_back_prescriptions(self) -> bool:
        return self.order.state in (State.CANCELLED, State.EXPIRED)


def judge(order: Order, command: Command, *, may_come_back: bool = True) -> tuple[Transition, Actor]:
    """Returns the row of the table that the command goes by, and who acts in which role.

    Whether there is still time to return the order is for the refusal, which says what is allowed.

    Raises EtagMismatch, OrderStateRefused, OperationPending, and what the guards of the row say.
    """
    check_etag(command.etag, order.version)
    row = find_row(command.trigger, order)
    actor = None if row is None else acting_in(row, order, command.caller)
    if row is None or actor is None:
        raise state_refused(order, command.caller, may_come_back=may_come_back)
    if _must_wait(row, order):
        raise OperationPending(order.pending.name)
    error = refusal(row, order, actor)
    if error is not None:
        raise error
    return row, actor


def state_refused(order: Order, caller: Caller, *, may_come_back: bool = True) -> OrderStateRefused:
    allowed = allowed_actions(order, caller, may_come_back=may_come_back)
    return OrderStateRefused(order.state.name, [action.name for action in allowed])


def return_window_end(order: Order, terms: Terms) -> datetime | None:
    """Returns until when the order may come back; None for one that has not arrived, which always may."""
    return None if order.times.finished is None else order.times.finished + terms.returning


def may_come_back(order: Order, now: datetime, terms: Terms) -> bool:
    """Tells whether there is still time to return the order."""
    end = return_window_end(order, terms)
    return end is None or now <= end


def _must_wait(row: Transition, order: Order) -> bool:
    """Tells whether what the provider is being asked keeps the order from this. What it has answered never waits.

    Nor does the end of the order's time: money that could not be taken by then is not waited for.
    """
    if order.pending is Pending.NONE or row.trigger in (Step.AUTHORIZE, Step.SETTLE, Step.OUT_OF_STOCK, Step.LOSE_PAYMENT, Step.EXPIRE):
        return False
    return not (row.asks_provider and order.pending is Pending.CANCELLING)


def decide(order: Order, command: Command, now: datetime, terms: Terms) -> Outcome:
    """Returns what the command makes of the order. Raises what `judge` does, and what the command itself has against it."""
    now = max(now, order.updated_at)
    row, actor = judge(order, command, may_come_back=may_come_back(order, now, terms))
    change = command.change(Situation(order, actor, now, terms))
    moved = _moved(order, row, now, terms)
    after = replace(moved, **change.fields)
    outcome = happened(order, after, row.kind, actor, now, reason=command.reason, details=change.details)
    return replace(outcome, effect=row.stock, asks_provider=row.asks_provider)


def request_cancellation(order: Order, command: Command, now: datetime) -> Outcome:
    """Returns the order as it waits for the provider's word on what the command wants. Raises what `judge` does."""
    row, actor = judge(order, command)
    now = max(now, order.updated_at)
    after = replace(order, pending=Pending.CANCELLING, pending_since=now)
    details = {THEN: row.target.name}
    return happened(order, after, EventKind.CANCEL_REQUESTED, actor, now, reason=command.reason, details=details)


def happened(
    before: Order,
    after: Order,
    kind: EventKind,
    actor: Actor,
    now: datetime,
    *,
    reason: str = "",
    details: Mapping[str, str] | None = None,
) -> Outcome:
    """Returns the order with one more event and a new version."""
    number = before.events + 1
    event = OrderEvent(before.id, number, kind, before.state, after.state, actor, reason, dict(details or {}), now)
    return Outcome(replace(after, events=number, version=before.version + 1, updated_at=now), event)


def _moved(order: Order, row: Transition, now: datetime, terms: Terms) -> Order:
    """Returns the order in its new state, with its times. Nobody works on it any more, and nothing is waited for."""
    times = replace(order.times, **({} if row.time is None else {row.time: now}))
    if row.target is row.source:
        return replace(order, times=times)
    times = replace(times, due=_due(row.target, order, now, terms), assigned=None)
    settled = replace(order, state=row.target, times=times, assignee="", pending=Pending.NONE, pending_since=None, overdue=False)
    if row.target is State.COMPLETED:
        return replace(settled, points_state=PointsState.PENDING)
    # What was set aside for an order that ends unpaid is free again.
    ends_unpaid = row.target in (State.CANCELLED, State.EXPIRED) and order.payment_state is PaymentState.AUTHORIZED
    return replace(settled, payment_state=PaymentState.UNPAID) if ends_unpaid else settled


def _due(target: State, order: Order, now: datetime, terms: Terms) -> datetime | None:
    """Returns when the state should be left. Preparation began by being paid; final states wait for nothing."""
    match target:
        case State.UNDER_REVIEW:
            return now + terms.review
        case State.PAID:
            return now + terms.preparation
        case State.PREPARING:
            return order.times.due
        case State.READY:
            return now + terms.collection
        case State.SHIPPED:
            return now + terms.arrival
        case _:
            return None
