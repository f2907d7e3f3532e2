"""How long a 429 keeps us silent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.accrual.adapters.http.retry_after import silence_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("60", 60),
        (" 2 ", 2),
        ("0", 1),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 400, 86400),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:59:00 GMT", 1),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86400),
        (None, 60),
        ("", 60),
        ("soon", 60),
        ("-5", 60),
        ("1.5", 60),
        ("٣", 60),
        ("Thu, 99 Jan 2026 12:00:30 GMT", 60),
    ],
)
def test_seconds_and_dates_are_honoured_within_bounds(header: str | None, seconds: float) -> None:
    assert silence_s(header, None, NOW) == seconds


def test_a_date_is_compared_with_the_providers_own_clock() -> None:
    assert silence_s("Thu, 01 Jan 2026 08:00:30 GMT", "Thu, 01 Jan 2026 08:00:00 GMT", NOW) == 30
