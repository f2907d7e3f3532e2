from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.application.ports import Balance, Order, OrderStatus, Withdrawal
from services.gateway.domain.errors import InvalidAmount
from services.gateway.entrypoints.http.converters import AMOUNT_MAX, amount_of, balance_json, order_json, time_text, withdrawal_json
from shared.money import decimal_text

hundredths = st.integers(min_value=0, max_value=9 * 10**15)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001  made aware by `timezones`
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def exactly(text: str) -> dict[str, object]:
    members: dict[str, object] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return members


@given(st.integers(min_value=1, max_value=AMOUNT_MAX))
def test_every_amount_that_may_be_withdrawn_is_read_exactly(amount: int) -> None:
    assert amount_of(Decimal(decimal_text(amount))) == amount
    assert amount_of(Decimal(amount).scaleb(-2)) == amount


@given(st.decimals())
def test_whatever_number_comes_it_is_an_amount_or_invalid(number: Decimal) -> None:
    with contextlib.suppress(InvalidAmount):
        assert Decimal(amount_of(number)) == number * 100


@pytest.mark.parametrize(
    "text",
    ["0", "-0", "0.00", "-1", "-0.01", "0.001", "1.005", "1e-3", "10000000000.01", "1e11", "1e1000000", "9" * 5000, "NaN", "Infinity"],
)
def test_amounts_outside_of_the_contract_are_invalid(text: str) -> None:
    with pytest.raises(InvalidAmount):
        amount_of(Decimal(text))


@pytest.mark.parametrize(("text", "amount"), [("751", 75100), ("0.01", 1), ("1e3", 100_000), ("5.10", 510), ("5.100000", 510)])
def test_amounts_may_be_written_in_any_way(text: str, amount: int) -> None:
    assert amount_of(Decimal(text)) == amount


@given(hundredths, hundredths)
def test_balances_are_exact_numbers(available: int, spent: int) -> None:
    members = exactly(balance_json(Balance(available, spent)))
    assert members == {"current": Decimal(available) / 100, "withdrawn": Decimal(spent) / 100}


def test_a_balance_looks_as_in_the_public_contract() -> None:
    assert balance_json(Balance(50050, 4200)) == '{"current":500.5,"withdrawn":42}'


@given(hundredths, moments)
def test_orders_and_withdrawals_are_exact(amount: int, moment: datetime) -> None:
    order = exactly(order_json(Order("18", OrderStatus.PROCESSED, amount, moment)))
    withdrawal = exactly(withdrawal_json(Withdrawal("18", amount, moment)))
    assert order == {"number": "18", "status": "PROCESSED", "accrual": Decimal(amount) / 100, "uploaded_at": time_text(moment)}
    assert withdrawal == {"order": "18", "sum": Decimal(amount) / 100, "processed_at": time_text(moment)}
    assert datetime.fromisoformat(time_text(moment)) == moment


def test_an_order_without_points_has_no_accrual() -> None:
    assert "accrual" not in exactly(order_json(Order("18", OrderStatus.INVALID, None, MOMENT)))


def test_times_are_shown_in_utc() -> None:
    assert time_text(datetime(2020, 12, 10, 15, 15, 45, tzinfo=timezone(timedelta(hours=3)))) == "2020-12-10T12:15:45Z"
