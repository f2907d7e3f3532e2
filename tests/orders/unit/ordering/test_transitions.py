"""The status machine, pair by pair: what the contract says of each method, written down a second time and compared with the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from services.orders.domain.errors import (
    ClaimedByOther,
    ControlledNotChecked,
    OperationPending,
    OrderStateRefused,
    OwnOrder,
    PaymentUnderWay,
)
from services.orders.domain.errors import SecondPersonRequired as SecondPerson
from services.orders.domain.ordering.changes import Command, decide, judge, may_come_back
from services.orders.domain.ordering.model import Action, Fulfilment, Order, PaymentNote, Pending, State, Times
from services.orders.domain.ordering.transitions import (
    FINAL,
    TABLE,
    THE_WORKER,
    Caller,
    Step,
    StockEffect,
    Transition,
    allowed_actions,
    find_row,
)
from shared.errors import GalenError
from tests.orders.unit.ordering.orders import OWNER, TERMS, a_line, an_order, caller
from tests.orders.world import NOW

ROLES = ("customer", "staff", "pharmacist", "admin")

# Who may do what with an order for delivery that has nothing controlled, and what becomes of it.
BY_PEOPLE = {
    (State.PENDING_PAYMENT, Action.PAY): ("customer staff admin", State.PENDING_PAYMENT),
    (State.PENDING_PAYMENT, Action.UPDATE): ("customer staff admin", State.PENDING_PAYMENT),
    (State.UNDER_REVIEW, Action.UPDATE): ("customer staff admin", State.UNDER_REVIEW),
    (State.PAID, Action.UPDATE): ("customer staff admin", State.PAID),
    (State.PENDING_PAYMENT, Action.CANCEL): ("customer staff admin", State.CANCELLED),
    (State.PAID, Action.CANCEL): ("customer staff admin", State.CANCELLED),
    (State.PREPARING, Action.CANCEL): ("staff admin", State.CANCELLED),
    (State.READY, Action.CANCEL): ("staff admin", State.CANCELLED),
    (State.UNDER_REVIEW, Action.APPROVE): ("pharmacist", State.UNDER_REVIEW),
    (State.UNDER_REVIEW, Action.REJECT): ("pharmacist", State.CANCELLED),
    (State.PAID, Action.START_PREPARING): ("staff pharmacist", State.PREPARING),
    (State.PREPARING, Action.FINISH_PREPARING): ("pharmacist", State.READY),
    (State.PREPARING, Action.SHIP): ("staff", State.SHIPPED),
    (State.READY, Action.SHIP): ("staff", State.SHIPPED),
    (State.SHIPPED, Action.DELIVER): ("staff", State.COMPLETED),
    (State.SHIPPED, Action.ACCEPT_RETURN): ("staff pharmacist", State.RETURNED),
    (State.COMPLETED, Action.ACCEPT_RETURN): ("staff pharmacist", State.RETURNED),
}
# What differs for an order that is collected.
COLLECTED_ONLY = {(State.READY, Action.HAND_OVER): ("staff", State.COMPLETED)}
DELIVERED_ONLY = {(State.PREPARING, Action.SHIP), (State.READY, Action.SHIP)}

BY_WORKER = {
    (State.PENDING_PAYMENT, Step.SETTLE): State.PAID,
    (State.PENDING_PAYMENT, Step.OUT_OF_STOCK): State.CANCELLED,
    (State.UNDER_REVIEW, Step.OUT_OF_STOCK): State.CANCELLED,
    (State.UNDER_REVIEW, Step.LOSE_PAYMENT): State.CANCELLED,
    (State.PENDING_PAYMENT, Step.EXPIRE): State.EXPIRED,
    (State.UNDER_REVIEW, Step.EXPIRE): State.EXPIRED,
    (State.SHIPPED, Step.AUTO_COMPLETE): State.COMPLETED,
}

STOCK = {
    State.PENDING_PAYMENT: {State.PAID: StockEffect.COMMIT, State.CANCELLED: StockEffect.RELEASE, State.EXPIRED: StockEffect.EXPIRE},
    State.UNDER_REVIEW: {State.PAID: StockEffect.COMMIT, State.CANCELLED: StockEffect.RELEASE, State.EXPIRED: StockEffect.EXPIRE},
    State.PAID: {State.CANCELLED: StockEffect.RESTOCK},
    State.PREPARING: {State.CANCELLED: StockEffect.RESTOCK, State.READY: StockEffect.SWAP, State.SHIPPED: StockEffect.DISPATCH},
    State.READY: {State.CANCELLED: StockEffect.RESTOCK, State.SHIPPED: StockEffect.DISPATCH, State.COMPLETED: StockEffect.DISPATCH},
    State.SHIPPED: {State.RETURNED: StockEffect.TAKE_BACK},
    State.COMPLETED: {State.RETURNED: StockEffect.TAKE_BACK},
}


def refused(order: Order, command: Command) -> GalenError:
    with pytest.raises(GalenError) as raised:
        judge(order, command)
    return raised.value


def expected(order: Order, action: Action, role: str) -> State | None:
    """Returns the state after it; None if the role may not."""
    pair = (order.state, action)
    if pair in (DELIVERED_ONLY if order.fulfilment is Fulfilment.PICKUP else COLLECTED_ONLY):
        return None
    who, target = (BY_PEOPLE | COLLECTED_ONLY).get(pair, ("", order.state))
    return target if role in who.split() else None


@pytest.mark.parametrize("fulfilment", Fulfilment)
@pytest.mark.parametrize("action", Action)
def test_each_role_may_do_in_each_state_what_the_contract_says(action: Action, fulfilment: Fulfilment) -> None:
    for state, role in product(State, ROLES):
        order = an_order(state, fulfilment=fulfilment)
        asking = caller(role, name=OWNER if role == "customer" else "customers/stan")
        target = expected(order, action, role)
        if target is None:
            check_refused(order, action, asking)
        else:
            row, actor = judge(order, Command(action, asking))
            assert (row.target, actor.name, actor.role) == (target, asking.name, role), (state, role)
            assert action in allowed_actions(order, asking), (state, role)


def check_refused(order: Order, action: Action, asking: Caller) -> None:
    """The refusal says in which state the order is, and what the caller may do instead."""
    error, allowed = refused(order, Command(action, asking)), allowed_actions(order, asking)
    assert isinstance(error, OrderStateRefused), (order.state, asking)
    assert error.metadata == {"state": order.state.name, "allowed": ",".join(sorted(one.name for one in allowed))}
    assert action not in allowed


@pytest.mark.parametrize("step", Step)
def test_time_and_payments_move_an_order_only_as_declared(step: Step) -> None:
    for state in State:
        order = an_order(state)
        if (state, step) in BY_WORKER:
            assert judge(order, Command(step, THE_WORKER))[0].target is BY_WORKER[state, step]
        else:
            assert isinstance(refused(order, Command(step, THE_WORKER)), OrderStateRefused), state


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("step", Step)
def test_nobody_can_ask_for_what_only_payments_and_time_do(step: Step, role: str) -> None:
    for state in State:
        assert isinstance(refused(an_order(state), Command(step, caller(role, name=OWNER))), OrderStateRefused)


def test_what_is_on_prescription_is_reviewed_before_it_is_paid() -> None:
    prescribed = an_order(lines=(a_line(rx_required=True),))

    assert isinstance(refused(prescribed, Command(Step.SETTLE, THE_WORKER)), OrderStateRefused)
    assert judge(prescribed, Command(Step.AUTHORIZE, THE_WORKER))[0].target is State.UNDER_REVIEW

    in_review = replace(prescribed, state=State.UNDER_REVIEW)
    assert isinstance(refused(in_review, Command(Step.SETTLE, THE_WORKER)), OrderStateRefused)
    approved = replace(in_review, reviewer="customers/pia", pending=Pending.CAPTURING)
    assert judge(approved, Command(Step.SETTLE, THE_WORKER))[0].target is State.PAID


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.trigger.name} {row.source.name}")
def test_every_row_does_to_the_stock_what_the_two_states_demand(row: Transition) -> None:
    assert row.stock is STOCK.get(row.source, {}).get(row.target, StockEffect.NONE)
    ends_unpaid = row.target in (State.CANCELLED, State.EXPIRED) and row.source in (State.PENDING_PAYMENT, State.UNDER_REVIEW)
    assert row.asks_provider == (ends_unpaid and row.trigger not in (Step.OUT_OF_STOCK, Step.LOSE_PAYMENT))


def test_a_row_is_found_by_what_sets_it_off_and_the_state_alone() -> None:
    assert len({(row.trigger, row.source) for row in TABLE}) == len(TABLE)


def test_what_is_final_is_final() -> None:
    assert {State.CANCELLED, State.EXPIRED, State.RETURNED} == FINAL
    assert all(find_row(trigger, an_order(state)) is None for state in FINAL for trigger in (*Action, *Step))


def test_somebody_elses_order_is_nothing_to_a_customer() -> None:
    assert all(allowed_actions(an_order(state), caller("customer", name="customers/eve")) == () for state in State)


def test_staff_act_on_their_own_order_as_its_customer_where_a_customer_may() -> None:
    _, actor = judge(an_order(State.PAID), Command(Action.CANCEL, caller("customer", "staff", name=OWNER)))
    assert actor.role == "customer"
    _, actor = judge(an_order(State.READY), Command(Action.CANCEL, caller("customer", "staff", name=OWNER)))
    assert actor.role == "staff"


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REJECT])
def test_no_pharmacist_reviews_an_order_of_their_own(action: Action) -> None:
    order, own = an_order(State.UNDER_REVIEW), caller("customer", "pharmacist", name=OWNER)

    assert isinstance(refused(order, Command(action, own)), OwnOrder)
    assert action not in allowed_actions(order, own)


@pytest.mark.parametrize("state", [State.SHIPPED, State.COMPLETED])
@pytest.mark.parametrize("role", ["staff", "pharmacist"])
def test_nobody_takes_back_an_order_of_their_own(role: str, state: State) -> None:
    order, own = an_order(state), caller("customer", role, "admin", name=OWNER)

    assert isinstance(refused(order, Command(Action.ACCEPT_RETURN, own)), OwnOrder)
    assert Action.ACCEPT_RETURN not in allowed_actions(order, own)
    judge(order, Command(Action.ACCEPT_RETURN, caller(role)))


def test_who_prepared_something_controlled_does_not_check_it() -> None:
    order = an_order(State.PREPARING, lines=(a_line(schedule=1),), preparer="customers/pia")

    assert isinstance(refused(order, Command(Action.FINISH_PREPARING, caller("pharmacist", name="customers/pia"))), SecondPerson)
    judge(order, Command(Action.FINISH_PREPARING, caller("pharmacist", name="customers/pip")))
    judge(replace(order, lines=(a_line(),)), Command(Action.FINISH_PREPARING, caller("pharmacist", name="customers/pia")))


def test_something_controlled_is_shipped_only_after_it_was_checked() -> None:
    order = an_order(State.PREPARING, lines=(a_line(schedule=3),))

    assert isinstance(refused(order, Command(Action.SHIP, caller("staff"))), ControlledNotChecked)
    judge(replace(order, state=State.READY), Command(Action.SHIP, caller("staff")))


def test_an_order_is_taken_back_only_as_long_as_it_may_come_back() -> None:
    completed = an_order(State.COMPLETED, times=Times(finished=NOW))
    shipped, staff = an_order(State.SHIPPED), caller("staff")
    end = NOW + TERMS.returning

    assert [may_come_back(completed, now, TERMS) for now in (NOW, end, end + timedelta(seconds=1))] == [True, True, False]
    assert may_come_back(shipped, NOW + timedelta(days=1000), TERMS)
    assert Action.ACCEPT_RETURN in allowed_actions(completed, staff, may_come_back=True)
    assert allowed_actions(completed, staff, may_come_back=False) == ()
    with pytest.raises(OrderStateRefused) as refused:
        decide(completed, Command(Action.SHIP, staff), end + timedelta(seconds=1), TERMS)
    assert refused.value.metadata["allowed"] == ""


def test_an_order_is_not_paid_while_another_payment_is_under_way() -> None:
    order, payer = an_order(payment=PaymentNote(UUID(int=7), 0, 0)), caller("customer", name=OWNER)

    assert Action.PAY not in allowed_actions(order, payer)
    assert isinstance(refused(order, Command(Action.PAY, payer)), PaymentUnderWay)
    assert Action.PAY in allowed_actions(replace(order, payment=None), payer)


def test_what_somebody_else_has_claimed_is_prepared_by_them() -> None:
    order = an_order(State.PAID, assignee="customers/sue")

    assert isinstance(refused(order, Command(Action.START_PREPARING, caller("staff"))), ClaimedByOther)
    judge(order, Command(Action.START_PREPARING, caller("staff", name="customers/sue")))


@pytest.mark.parametrize("pending", [Pending.CANCELLING, Pending.CAPTURING, Pending.REFUNDING])
def test_an_order_that_waits_for_the_provider_allows_nothing_but_its_answer(pending: Pending) -> None:
    order = an_order(State.UNDER_REVIEW, pending=pending, reviewer="customers/pia")
    pharmacist = caller("pharmacist", "staff")

    assert allowed_actions(order, pharmacist) == ()
    assert isinstance(refused(order, Command(Action.APPROVE, pharmacist)), OperationPending)
    assert isinstance(refused(order, Command(Action.UPDATE, pharmacist)), OperationPending)
    judge(order, Command(Step.SETTLE, THE_WORKER))
    if pending is Pending.CANCELLING:
        judge(order, Command(Action.REJECT, pharmacist))
    else:
        assert refused(order, Command(Action.REJECT, pharmacist)).metadata == {"pending": pending.name}


@pytest.mark.parametrize("pending", Pending)
def test_no_order_waits_for_the_provider_longer_than_its_own_time(pending: Pending) -> None:
    order = an_order(State.UNDER_REVIEW, pending=pending, reviewer="customers/pia")

    assert judge(order, Command(Step.EXPIRE, THE_WORKER))[0].asks_provider
