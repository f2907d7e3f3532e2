"""What is refused before the ledger is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.balance.application.post_points import check
from services.balance.domain.commands import Credit
from services.balance.domain.errors import LotTimesInvalid
from services.balance.domain.names import AccountName

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def credit(available_at: datetime | None, expires_at: datetime | None) -> Credit:
    return Credit(
        account=AccountName("main", "ann"), actor="services/accrual", request_id=UUID(int=1), fingerprint=b"", amount=1, reference="18",
        available_at=available_at, expires_at=expires_at,
    )  # fmt: skip


@pytest.mark.parametrize("before", [timedelta(), timedelta(seconds=1)])
def test_points_that_expire_before_they_are_there_are_refused_at_once(before: timedelta) -> None:
    with pytest.raises(LotTimesInvalid):
        check(credit(NOON, NOON - before))


def test_whether_points_have_expired_by_now_is_for_the_ledger_to_say_which_knows_repeats() -> None:
    for available_at, expires_at in ((None, NOON), (NOON, None), (NOON, NOON + timedelta(seconds=1))):
        check(credit(available_at, expires_at))
