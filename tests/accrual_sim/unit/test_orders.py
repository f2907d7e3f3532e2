"""Stages of an order as time passes, automatic orders, and the answer as exact JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.accrual_sim.orders import Answer, Status, automatic_order, calculated_order, number_text, settled_order
from shared.luhn import with_check_digit

START = datetime(2026, 1, 1, tzinfo=UTC)

numbers = st.text("0123456789", min_size=1, max_size=60).map(with_check_digit)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_an_order_is_registered_then_processing_then_processed() -> None:
    order = calculated_order("18", Decimal("729.98"), now=START, delay_s=2)
    shown = [order.answer_at(after(seconds)) for seconds in (0, 0.999, 1, 1.999, 2, 1000)]
    assert [answer.status for answer in shown] == [*[Status.REGISTERED] * 2, *[Status.PROCESSING] * 2, *[Status.PROCESSED] * 2]
    assert [answer.accrual for answer in shown] == [None] * 4 + [Decimal("729.98")] * 2


def test_without_a_delay_an_order_is_processed_at_once() -> None:
    assert calculated_order("18", None, now=START, delay_s=0).answer_at(START) == Answer("18", Status.PROCESSED, None)


@pytest.mark.parametrize("status", list(Status))
def test_a_settled_order_keeps_its_status(status: Status) -> None:
    order = settled_order("18", status, Decimal(5), now=START)
    accrual = Decimal(5) if status is Status.PROCESSED else None
    assert order.answer_at(START) == order.answer_at(after(10**9)) == Answer("18", status, accrual)


@pytest.mark.parametrize(("ending", "status"), [("6666", Status.INVALID), ("7777", Status.PROCESSED)])
def test_automatic_orders_with_a_special_ending_earn_nothing(ending: str, status: Status) -> None:
    order = automatic_order(f"123{ending}", now=START, delay_s=0)
    assert order is not None
    assert order.answer_at(START) == Answer(f"123{ending}", status, None)


def test_automatic_orders_that_end_in_8888_stay_unknown() -> None:
    assert automatic_order("1238888", now=START, delay_s=0) is None


@given(numbers.filter(lambda number: number[-4:] not in {"6666", "7777", "8888"}))
def test_an_automatic_order_earns_10_to_500_points_and_always_the_same(number: str) -> None:
    first, again = (automatic_order(number, now=now, delay_s=0) for now in (START, after(1000)))
    assert first is not None
    assert again is not None
    assert first.accrual == again.accrual
    assert first.accrual is not None
    assert Decimal(10) <= first.accrual <= Decimal(500)
    assert first.accrual == first.accrual.quantize(Decimal("0.01"))


@given(st.decimals(min_value=0, max_value=10**30, places=2))
def test_an_accrual_survives_json_exactly(accrual: Decimal) -> None:
    document = json.loads(Answer("18", Status.PROCESSED, accrual).as_json(), parse_float=Decimal, parse_int=Decimal)
    assert document == {"order": "18", "status": "PROCESSED", "accrual": accrual}


@pytest.mark.parametrize(("number", "text"), [("729.98", "729.98"), ("500.50", "500.5"), ("500.00", "500"), ("5E+2", "500"), ("0", "0")])
def test_numbers_are_written_short_and_without_an_exponent(number: str, text: str) -> None:
    assert number_text(Decimal(number)) == text


def test_an_answer_without_accrual_has_no_such_field() -> None:
    assert Answer("18", Status.PROCESSED).as_json() == '{"order":"18","status":"PROCESSED"}'
