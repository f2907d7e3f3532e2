"""Orders in the accrual system: their outcome is known at once and shown stage by stage as time passes.

Nothing runs in the background: the status is a function of the order and the time, so a killed simulator has lost nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

NUMBER_LENGTH_MAX = 1000

INVALID_ENDING = "6666"
NOTHING_EARNED_ENDING = "7777"
NEVER_REGISTERED_ENDING = "8888"


class Status(StrEnum):
    """The statuses of the contract."""

    REGISTERED = "REGISTERED"
    PROCESSING = "PROCESSING"
    INVALID = "INVALID"
    PROCESSED = "PROCESSED"


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was taken; a time that is None never comes. `final_status` and `accrual` (points) are shown from `done_at` on."""

    number: str
    final_status: Status
    accrual: Decimal | None
    processing_at: datetime | None
    done_at: datetime | None

    def answer_at(self, now: datetime) -> Answer:
        """Returns what the accrual system says about the order at that time."""
        if self.done_at is not None and now >= self.done_at:
            return Answer(self.number, self.final_status, self.accrual if self.final_status is Status.PROCESSED else None)
        if self.processing_at is not None and now >= self.processing_at:
            return Answer(self.number, Status.PROCESSING)
        return Answer(self.number, Status.REGISTERED)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to `GET /api/orders/{number}`; `accrual` is None when nothing is earned, or not yet."""

    order: str
    status: Status
    accrual: Decimal | None = None

    def as_json(self) -> str:
        """Returns the JSON text, the accrual as an exact number. All three parts are plain ASCII without quotes."""
        accrual = "" if self.accrual is None else f',"accrual":{number_text(self.accrual)}'
        return f'{{"order":"{self.order}","status":"{self.status}"{accrual}}}'


def number_text(number: Decimal) -> str:
    """Returns the shortest exact JSON number without an exponent: 500.50 gives `500.5`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def calculated_order(number: str, accrual: Decimal | None, *, now: datetime, delay_s: float) -> Order:
    """Returns an order taken `now` that is REGISTERED for half of `delay_s`, PROCESSING for the other half and PROCESSED then."""
    return _delayed(number, Status.PROCESSED, accrual, now=now, delay_s=delay_s)


def automatic_order(number: str, *, now: datetime, delay_s: float) -> Order | None:
    """Returns the order that auto-register makes of a number nobody registered: 10.00 to 500.00 points, always the same for a number.

    Numbers that end in 6666 become INVALID, in 7777 earn nothing, and in 8888 stay unknown (None).
    """
    if number.endswith(NEVER_REGISTERED_ENDING):
        return None
    if number.endswith(INVALID_ENDING):
        return _delayed(number, Status.INVALID, None, now=now, delay_s=delay_s)
    earned = not number.endswith(NOTHING_EARNED_ENDING)
    return _delayed(number, Status.PROCESSED, automatic_accrual(number) if earned else None, now=now, delay_s=delay_s)


def automatic_accrual(number: str) -> Decimal:
    """Returns 10.00 to 500.00 points, chosen by the number."""
    chosen = int.from_bytes(hashlib.sha256(number.encode("ascii")).digest()[:8], "big")
    return Decimal(1000 + chosen % 49_001).scaleb(-2)


def settled_order(number: str, status: Status, accrual: Decimal | None, *, now: datetime) -> Order:
    """Returns an order that has `status` from `now` on and keeps it; REGISTERED and PROCESSING never end."""
    final = status in (Status.INVALID, Status.PROCESSED)
    return Order(
        number,
        final_status=status if final else Status.PROCESSED,
        accrual=accrual or None,
        processing_at=None if status is Status.REGISTERED else now,
        done_at=now if final else None,
    )


def _delayed(number: str, final_status: Status, accrual: Decimal | None, *, now: datetime, delay_s: float) -> Order:
    return Order(
        number, final_status, accrual, processing_at=now + timedelta(seconds=delay_s / 2), done_at=now + timedelta(seconds=delay_s)
    )
