"""How histories are cut and gathered into parts of one size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.balance.application.export_operations import parts
from services.balance.application.history_ports import VersionRange
from services.balance.domain.names import AccountName


@given(versions=st.lists(st.integers(0, 30), max_size=12), size=st.integers(1, 10))
def test_parts_have_every_version_once_in_order_and_are_full_but_the_last(versions: list[int], size: int) -> None:
    accounts = [AccountName("main", str(place)) for place in range(len(versions))]

    cut = list(parts([VersionRange(account, 0, version) for account, version in zip(accounts, versions, strict=True)], size))

    read = [(found.account, version) for part in cut for found in part for version in range(found.low + 1, found.high + 1)]
    assert read == [(account, place) for account, version in zip(accounts, versions, strict=True) for place in range(1, version + 1)]
    lengths = [sum(found.high - found.low for found in part) for part in cut]
    assert all(length == size for length in lengths[:-1])
    assert all(0 < length <= size for length in lengths[-1:])
