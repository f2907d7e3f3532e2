"""What customers might ask of the ledger, in any order, sensible or not: strategies of small commands that get in each other's way.

What depends on the state is drawn as a small number and made real by `resolve`, so that most commands are about holds and operations
that exist: times count from now, holds and operations from the newest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from services.balance.domain.commands import (
    Capture,
    Command,
    Credit,
    Extend,
    HoldCommand,
    Open,
    Release,
    Reserve,
    Reverse,
    SetMinBalance,
    Settle,
    Withdraw,
)
from services.balance.domain.decide import Group
from services.balance.domain.model import Kind, ShortfallPolicy
from services.balance.domain.names import AccountName
from tests.balance.unit.books import Books

BASE = datetime(2026, 1, 1, tzinfo=UTC)
ALICE, BOB, CAROL = (AccountName("main", name) for name in ("alice", "bob", "carol"))
NAMES = [ALICE, BOB, CAROL]
REVERSIBLE = {Kind.CREDIT, Kind.OPENING, Kind.WITHDRAWAL, Kind.CAPTURE}

_amounts = st.integers(1, 6)
_some = st.none() | _amounts
_references = st.sampled_from(["18", "26", "34"]) | st.integers(100, 999).map(str)
_ttls = st.none() | st.integers(0, 6).map(lambda seconds: timedelta(seconds=seconds))
_ranks = st.integers(0, 7)
_policies = st.sampled_from(ShortfallPolicy)


def at(second: int) -> datetime:
    return BASE + timedelta(seconds=second)


def signed(command: Command) -> Command:
    """Gives a command the fingerprint of its content."""
    return replace(command, fingerprint=repr(replace(command, request_id=UUID(int=0), fingerprint=b"")).encode())


def resolve(command: Command, books: Books, second: int) -> Command:
    """Turns the small numbers of a drawn command into times, holds and operations."""
    changes: dict[str, Any] = {}
    operations = books.operations.get(command.account, [])
    if isinstance(command, Credit):
        times = {"available_at": command.available_at, "expires_at": command.expires_at}
        changes = {name: time + timedelta(seconds=second) for name, time in times.items() if time}
    elif isinstance(command, HoldCommand):
        holds = [hold.id for hold in books.holds.get(command.account, {}).values() if hold.remaining]
        changes = {"hold_id": _chosen(command.hold_id, holds, len(operations))}
    elif isinstance(command, Reverse):
        reversible = [made.version for made in operations if made.kind in REVERSIBLE and made.amount]
        changes = {"version": _chosen(command.version, reversible, len(operations))}
    elif isinstance(command, SetMinBalance) and command.expected_version is not None:
        changes = {"expected_version": max(0, len(operations) - command.expected_version)}
    return signed(replace(command, **changes))


def _chosen(rank: int, versions: list[int], last: int) -> int:
    """Returns one of the versions, the newest first; for a rank that is too large one near the end, there or not."""
    return versions[-1 - rank] if rank < min(len(versions), 6) else max(1, last + rank - 4)


def _of(kind: type[Command], **fields: SearchStrategy[Any]) -> SearchStrategy[Command]:
    return st.builds(
        kind,
        account=st.sampled_from(NAMES),
        actor=st.sampled_from(["customers/x", "services/orders"]),
        request_id=st.integers(1, 10_000).map(lambda number: UUID(int=number)),
        fingerprint=st.just(b""),
        **fields,
    )


_lot: dict[str, SearchStrategy[Any]] = {
    "amount": _amounts,
    "reference": _references,
    "expires_at": st.none() | st.integers(-1, 9).map(at) | st.integers(20, 60).map(at),
}
credits_ = _of(Credit, **_lot)
commands: SearchStrategy[Command] = st.one_of(
    credits_,
    _of(Credit, **_lot, available_at=st.integers(-1, 5).map(at)),
    _of(Open, **_lot),
    _of(Withdraw, amount=_amounts, reference=_references),
    _of(Withdraw, amount=st.integers(4, 12), reference=_references),
    _of(Reserve, amount=_amounts, reference=_references, ttl=_ttls),
    _of(Extend, hold_id=_ranks, ttl=_ttls),
    _of(Capture, hold_id=_ranks, amount=_some, keep_remainder=st.booleans()),
    _of(Release, hold_id=_ranks),
    _of(Reverse, version=_ranks, amount=_amounts, policy=_policies),
    _of(Reverse, version=_ranks, amount=st.none(), policy=_policies),
    _of(SetMinBalance, min_balance=st.integers(-4, 4), expected_version=st.none() | st.integers(0, 2)),
    _of(Settle),
)
groups: SearchStrategy[list[Group]] = st.lists(
    st.builds(Group, st.lists(commands, min_size=1, max_size=4), st.booleans()), min_size=1, max_size=3
)  # fmt: skip
