"""Between the public contract's JSON and the application. Amounts are written as exact JSON numbers: no float comes near them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from services.gateway.application.ports import Balance, Order, Withdrawal
from services.gateway.domain.errors import InvalidAmount
from shared.money import decimal_text, hundredths_of

# The largest amount that the balance service takes in one call.
AMOUNT_MAX = 1_000_000_000_000


def amount_of(number: Decimal) -> int:
    """Returns the hundredths of a sum to withdraw. Raises InvalidAmount."""
    try:
        amount = hundredths_of(number)
    except ValueError as error:
        raise InvalidAmount("sum must have at most two decimals") from error
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidAmount(f"sum must be above zero and at most {decimal_text(AMOUNT_MAX)}")
    return amount


def balance_json(balance: Balance) -> str:
    return f'{{"current":{decimal_text(balance.available)},"withdrawn":{decimal_text(balance.spent)}}}'


def order_json(order: Order) -> str:
    accrual = "" if order.accrual is None else f'"accrual":{decimal_text(order.accrual)},'
    return (
        f'{{"number":{json.dumps(order.number)},"status":"{order.status.value}",{accrual}"uploaded_at":"{time_text(order.uploaded_at)}"}}'
    )


def withdrawal_json(withdrawal: Withdrawal) -> str:
    return (
        f'{{"order":{json.dumps(withdrawal.order_number)},"sum":{decimal_text(withdrawal.amount)},'
        f'"processed_at":"{time_text(withdrawal.made_at)}"}}'
    )


def time_text(moment: datetime) -> str:
    """Returns RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
