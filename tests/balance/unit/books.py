"""A ledger in memory: it loads for `decide` what the database would be asked for, no more, and stores what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from services.balance.domain.commands import Command, Credit, HoldCommand, Reverse, Withdraw
from services.balance.domain.decide import Decision, Group, State, decide
from services.balance.domain.journal import Loaded, LotsTruncated
from services.balance.domain.model import Account, Hold, Kind, Lot, Operation
from services.balance.domain.names import AccountName
from tests.balance.invariants import Stored

ALL = 10**9
NEVER = datetime.max.replace(tzinfo=UTC)


class Books:
    """Loads `lots_at_first` lots of an account, and the rest only if `decide` asks for them."""

    def __init__(self, lots_at_first: int) -> None:
        self._lots_at_first = lots_at_first
        self.accounts: dict[AccountName, Account] = {}
        self.operations: dict[AccountName, list[Operation]] = {}
        self.lots: dict[AccountName, dict[int, Lot]] = {}
        self.holds: dict[AccountName, dict[int, Hold]] = {}

    def open(self, name: AccountName, now: datetime, *, min_balance: int = 0) -> None:
        self.accounts[name] = _empty(name, now, min_balance)

    def post(self, groups: Sequence[Group], now: datetime) -> Decision:
        commands = [command for group in groups for command in group.commands]
        try:
            decision = decide(groups, self._load(commands, now, self._lots_at_first))
        except LotsTruncated:
            decision = decide(groups, self._load(commands, now, ALL))
        self._store(decision)
        return decision

    def stored(self) -> Iterable[Stored]:
        for name, account in self.accounts.items():
            lots, holds = self.lots.get(name, {}), self.holds.get(name, {})
            yield Stored(account, self.operations.get(name, []), list(lots.values()), list(holds.values()))

    def _load(self, commands: Sequence[Command], now: datetime, lots_max: int) -> State:
        opened = {command.account for command in commands if isinstance(command, Credit)} - self.accounts.keys()
        accounts = {**self.accounts, **{name: _empty(name, now) for name in opened}}
        everything = [operation for operations in self.operations.values() for operation in operations]
        identities = {command.identity for command in commands}
        orders = {(command.account, command.reference) for command in commands if isinstance(command, Withdraw)}
        payments = [operation for operation in everything if operation.kind is Kind.WITHDRAWAL and operation.refusal is None]
        wanted = {(command.account, command.version) for command in commands if isinstance(command, Reverse)}
        originals = [operation for operation in everything if (operation.account, operation.version) in wanted]
        return State(
            now,
            {
                name: self._load_account(accounts[name], commands, originals, now, lots_max)
                for name in {c.account for c in commands} & accounts.keys()
            },
            {operation.identity: operation for operation in everything if operation.identity in identities},
            {(paid.account, paid.reference): paid for paid in payments if (paid.account, paid.reference) in orders},
            {(original.account, original.version): (original, self._reversed(original)) for original in originals},
            opened,
        )

    def _load_account(
        self, account: Account, commands: Sequence[Command], originals: Sequence[Operation], now: datetime, lots_max: int
    ) -> Loaded:
        lots = self.lots.get(account.name, {})
        named = {command.hold_id for command in commands if isinstance(command, HoldCommand) and command.account == account.name}
        due = max(now, account.updated_at)
        holds = [hold for hold in self.holds.get(account.name, {}).values() if hold.id in named or hold.is_due(due)]
        soonest = sorted((lot for lot in lots.values() if lot.remaining), key=lambda lot: (lot.expires_at or NEVER, lot.id))
        loaded = soonest[:lots_max]
        touched = {
            lot_id for original in originals if original.account == account.name for lot_id in (original.version, *dict(original.lots))
        }
        others = [lots[lot_id] for lot_id in sorted(touched) if lot_id in lots and lots[lot_id] not in loaded]
        return Loaded(account, loaded, holds, lots_complete=len(loaded) < lots_max, other_lots=others)

    def _reversed(self, original: Operation) -> int:
        return sum(
            operation.requested_amount
            for operation in self.operations[original.account]
            if operation.kind is Kind.REVERSAL and operation.refusal is None and operation.related_version == original.version
        )

    def _store(self, decision: Decision) -> None:
        for operation in decision.operations:
            self.operations.setdefault(operation.account, []).append(operation)
        self.accounts.update({account.name: account for account in decision.accounts})
        for name, lot in decision.lots:
            before = self.lots.setdefault(name, {}).setdefault(lot.id, lot)
            assert (before.amount, before.available_at, before.expires_at) == (lot.amount, lot.available_at, lot.expires_at)
            self.lots[name][lot.id] = lot
        for name, hold in decision.holds:
            before_hold = self.holds.setdefault(name, {}).setdefault(hold.id, hold)
            assert (before_hold.amount, before_hold.reference) == (hold.amount, hold.reference)
            self.holds[name][hold.id] = hold


def _empty(name: AccountName, now: datetime, min_balance: int = 0) -> Account:
    return Account(name, 0, 0, 0, 0, 0, 0, min_balance, now, now)
