"""The status machine: the one table that says by what, by whom and on which condition an order goes from state to state.

Whatever changes an order's state does it by a row of TABLE. A row also says which time it sets, what becomes of the stock, and whether the
payment provider must have agreed before, since only it knows whether the customer has paid meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum

from services.orders.domain.errors import ClaimedByOther, ControlledNotChecked, OrdersError, OwnOrder, PaymentUnderWay, SecondPersonRequired
from services.orders.domain.ordering.model import Action, Actor, EventKind, Fulfilment, Order, State

CUSTOMER, STAFF, PHARMACIST, ADMIN, WORKER = "customer", "staff", "pharmacist", "admin", "system"


class Step(StrEnum):
    """What no caller can ask for: it follows from a payment, or from time."""

    AUTHORIZE = "authorize"
    SETTLE = "settle"
    OUT_OF_STOCK = "out-of-stock"
    LOSE_PAYMENT = "lose-payment"
    EXPIRE = "expire"
    AUTO_COMPLETE = "auto-complete"


Trigger = Action | Step


class StockEffect(Enum):
    """What becomes of the units of an order."""

    NONE = "none"
    COMMIT = "commit"
    RELEASE = "release"
    EXPIRE = "expire"
    RESTOCK = "restock"
    SWAP = "swap"
    DISPATCH = "dispatch"
    TAKE_BACK = "take back"


# Says why an order, or who asks, does not fulfil a condition; None if they do.
Guard = Callable[[Order, Actor], OrdersError | None]


def unclaimed_or_own(order: Order, actor: Actor) -> OrdersError | None:
    return ClaimedByOther() if order.assignee not in ("", actor.name) else None


def not_own(order: Order, actor: Actor) -> OrdersError | None:
    return OwnOrder() if actor.name == order.owner else None


def second_person_if_controlled(order: Order, actor: Actor) -> OrdersError | None:
    return SecondPersonRequired() if order.has_controlled and actor.name == order.preparer else None


def nothing_controlled(order: Order, _: Actor) -> OrdersError | None:
    return ControlledNotChecked() if order.has_controlled else None


def no_payment_under_way(order: Order, _: Actor) -> OrdersError | None:
    """As far as it is known here: starting a payment finds out for itself."""
    return None if order.payment is None else PaymentUnderWay(f"{order.name}/payments/{order.payment.id}")


def any_order(_: Order) -> bool:
    return True


def needs_review(order: Order) -> bool:
    return order.has_rx


def needs_no_review(order: Order) -> bool:
    return not order.has_rx


def is_approved(order: Order) -> bool:
    return order.reviewer != ""


def is_delivered(order: Order) -> bool:
    return order.fulfilment is Fulfilment.DELIVERY


def is_collected(order: Order) -> bool:
    return order.fulfilment is Fulfilment.PICKUP


@dataclass(frozen=True, slots=True)
class Transition:
    """A row. `applies` tells which orders it is for at all; `guards` refuse with a reason of their own. `time` is a field of Times."""

    trigger: Trigger
    source: State
    target: State
    who: frozenset[str]
    time: str | None = None
    stock: StockEffect = StockEffect.NONE
    applies: Callable[[Order], bool] = any_order
    guards: tuple[Guard, ...] = ()
    asks_provider: bool = False
    kind: EventKind = EventKind.STATE_CHANGED


_ANYBODY = frozenset({CUSTOMER, STAFF, ADMIN})
_OFFICE = frozenset({STAFF, ADMIN})
_COUNTER = frozenset({STAFF, PHARMACIST})
_STAFF = frozenset({STAFF})
_PHARMACIST = frozenset({PHARMACIST})
_WORKER = frozenset({WORKER})

_S, _T, _E = State, Transition, StockEffect
TABLE: tuple[Transition, ...] = (
    # By payments.
    _T(Step.AUTHORIZE, _S.PENDING_PAYMENT, _S.UNDER_REVIEW, _WORKER, "authorized", applies=needs_review),
    _T(Step.SETTLE, _S.PENDING_PAYMENT, _S.PAID, _WORKER, "paid", _E.COMMIT, applies=needs_no_review),
    _T(Step.SETTLE, _S.UNDER_REVIEW, _S.PAID, _WORKER, "paid", _E.COMMIT, applies=is_approved),
    # The money is taken and the units are lost: it is given back.
    _T(Step.OUT_OF_STOCK, _S.PENDING_PAYMENT, _S.CANCELLED, _WORKER, "cancelled", _E.RELEASE),
    _T(Step.OUT_OF_STOCK, _S.UNDER_REVIEW, _S.CANCELLED, _WORKER, "cancelled", _E.RELEASE),
    # What was set aside is no longer: the card's authorisation has lapsed, or was withdrawn.
    _T(Step.LOSE_PAYMENT, _S.UNDER_REVIEW, _S.CANCELLED, _WORKER, "cancelled", _E.RELEASE),
    # By time.
    _T(Step.EXPIRE, _S.PENDING_PAYMENT, _S.EXPIRED, _WORKER, "expired", _E.EXPIRE, asks_provider=True),
    _T(Step.EXPIRE, _S.UNDER_REVIEW, _S.EXPIRED, _WORKER, "expired", _E.EXPIRE, asks_provider=True),
    _T(Step.AUTO_COMPLETE, _S.SHIPPED, _S.COMPLETED, _WORKER, "finished"),
    # By people. Whether an order is paid is for the payment to say.
    _T(Action.PAY, _S.PENDING_PAYMENT, _S.PENDING_PAYMENT, _ANYBODY, guards=(no_payment_under_way,), kind=EventKind.PAYMENT),
    _T(Action.UPDATE, _S.PENDING_PAYMENT, _S.PENDING_PAYMENT, _ANYBODY, kind=EventKind.UPDATED),
    _T(Action.UPDATE, _S.UNDER_REVIEW, _S.UNDER_REVIEW, _ANYBODY, kind=EventKind.UPDATED),
    _T(Action.UPDATE, _S.PAID, _S.PAID, _ANYBODY, kind=EventKind.UPDATED),
    # The money is taken next; only then the order goes on.
    _T(Action.APPROVE, _S.UNDER_REVIEW, _S.UNDER_REVIEW, _PHARMACIST, "reviewed", guards=(not_own,), kind=EventKind.REVIEWED),
    _T(Action.REJECT, _S.UNDER_REVIEW, _S.CANCELLED, _PHARMACIST, "cancelled", _E.RELEASE, guards=(not_own,), asks_provider=True),
    _T(Action.START_PREPARING, _S.PAID, _S.PREPARING, _COUNTER, "prepared", guards=(unclaimed_or_own,)),
    _T(Action.FINISH_PREPARING, _S.PREPARING, _S.READY, _PHARMACIST, "ready", _E.SWAP, guards=(second_person_if_controlled,)),
    _T(Action.SHIP, _S.READY, _S.SHIPPED, _STAFF, "sent", _E.DISPATCH, applies=is_delivered),
    _T(Action.SHIP, _S.PREPARING, _S.SHIPPED, _STAFF, "sent", _E.DISPATCH, applies=is_delivered, guards=(nothing_controlled,)),
    _T(Action.DELIVER, _S.SHIPPED, _S.COMPLETED, _STAFF, "finished"),
    _T(Action.HAND_OVER, _S.READY, _S.COMPLETED, _STAFF, "finished", _E.DISPATCH, applies=is_collected),
    _T(Action.CANCEL, _S.PENDING_PAYMENT, _S.CANCELLED, _ANYBODY, "cancelled", _E.RELEASE, asks_provider=True),
    _T(Action.CANCEL, _S.PAID, _S.CANCELLED, _ANYBODY, "cancelled", _E.RESTOCK),
    _T(Action.CANCEL, _S.PREPARING, _S.CANCELLED, _OFFICE, "cancelled", _E.RESTOCK),
    _T(Action.CANCEL, _S.READY, _S.CANCELLED, _OFFICE, "cancelled", _E.RESTOCK),
    # The money goes back with the units: it takes a second person, as every refund does.
    _T(Action.ACCEPT_RETURN, _S.SHIPPED, _S.RETURNED, _COUNTER, "returned", _E.TAKE_BACK, guards=(not_own,)),
    _T(Action.ACCEPT_RETURN, _S.COMPLETED, _S.RETURNED, _COUNTER, "returned", _E.TAKE_BACK, guards=(not_own,)),
)

FINAL = frozenset(State) - {row.source for row in TABLE}
_ROWS = {(row.trigger, row.source): row for row in TABLE}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with all their roles; that of the customer counts for their own orders only."""

    name: str
    roles: frozenset[str]

    def acting(self, order: Order) -> Iterator[Actor]:
        """Yields the caller in each role that they have for the order, as its customer first."""
        if self.name == order.owner and CUSTOMER in self.roles:
            yield Actor(self.name, CUSTOMER)
        for role in (STAFF, PHARMACIST, ADMIN, WORKER):
            if role in self.roles:
                yield Actor(self.name, role)


THE_WORKER = Caller("system", frozenset({WORKER}))


def find_row(trigger: Trigger, order: Order) -> Transition | None:
    """Returns the row by which the trigger changes such an order, whoever asks; None if it can't."""
    row = _ROWS.get((trigger, order.state))
    return row if row is not None and row.applies(order) else None


def acting_in(row: Transition, order: Order, caller: Caller) -> Actor | None:
    """Returns the caller in a role that the row admits; None if they have none of those."""
    return next((actor for actor in caller.acting(order) if actor.role in row.who), None)


def refusal(row: Transition, order: Order, actor: Actor) -> OrdersError | None:
    """Returns what a guard of the row has against it."""
    return next((error for guard in row.guards if (error := guard(order, actor)) is not None), None)


def allowed_actions(order: Order, caller: Caller, *, may_come_back: bool = True) -> tuple[Action, ...]:
    """Returns what the caller may do with the order now; nothing while the payment provider is waited for.

    `may_come_back` says whether there is still time to return it.
    """
    actions = () if order.pending else tuple(action for action in Action if _is_allowed(action, order, caller))
    return tuple(action for action in actions if may_come_back or action is not Action.ACCEPT_RETURN)


def _is_allowed(action: Action, order: Order, caller: Caller) -> bool:
    row = find_row(action, order)
    actor = None if row is None else acting_in(row, order, caller)
    return row is not None and actor is not None and refusal(row, order, actor) is None
