"""Recomputes what must hold: account after account, in one snapshot, so that writes that go on meanwhile can't disturb it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.balance.application.proof_ports import AuditedAccount, AuditedTables, Audits, KeyRange
from services.balance.domain.books import Totals
from services.balance.domain.invariants import Finding, Invariant
from services.balance.domain.names import AccountName
from shared.grpc.in_flight import InFlight

# A step looks at so many accounts, or fewer if they have a long history: it shall take about a second at most.
ACCOUNTS_PER_STEP = 1000
OPERATIONS_PER_STEP = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit has come, and what its last step found."""

    audited: int
    total: int
    findings: Sequence[Finding]


class AuditAccounts:
    """`running` limits the audits that run at once: each keeps a connection busy."""

    def __init__(self, audits: Audits, running: InFlight) -> None:
        self._audits = audits
        self._running = running

    async def one(self, account: AccountName) -> AsyncGenerator[Progress, None]:
        """Audits an account; one that was never opened must have no operations. Raises Overloaded."""
        with self._running:
            async with self._audits.snapshot(account.program) as tables:
                keys = KeyRange(account.key, account.key)
                found = await tables.accounts(keys, 1)
                named = found or [AuditedAccount(account.key, account, 0)]
                yield Progress(len(found), len(found), await _audit(tables, keys, named))

    async def all(self, program: str | None = None) -> AsyncGenerator[Progress, None]:
        """Audits all accounts of a programme, or of all programmes, and the sums of its books. Raises Overloaded."""
        with self._running:
            async with self._audits.snapshot(program) as tables:
                everything = KeyRange()
                total, audited, totals = await tables.count(everything), 0, Totals()
                yield Progress(0, total, ())
                low: UUID | None = everything.low
                while low is not None:
                    step = _step(await tables.accounts(KeyRange(low), ACCOUNTS_PER_STEP))
                    keys = KeyRange(low, step[-1].key if step else everything.high)
                    audited += len(step)
                    yield Progress(audited, total, await _audit(tables, keys, step))
                    totals.add(await tables.totals(keys))
                    low = UUID(int=keys.high.int + 1) if keys.high != everything.high else None
                yield Progress(audited, total, list(totals.findings()))


def _step(accounts: Sequence[AuditedAccount]) -> Sequence[AuditedAccount]:
    """Returns the first accounts, as many as have a history that a step can take."""
    operations = 0
    for place, account in enumerate(accounts):
        operations += account.version
        if operations > OPERATIONS_PER_STEP:
            return accounts[: max(place, 1)]
    return accounts


async def _audit(tables: AuditedTables, keys: KeyRange, accounts: Sequence[AuditedAccount]) -> Sequence[Finding]:
    misnamed = [
        Finding(Invariant.ACCOUNT_KEY_IS_OF_ITS_NAME, account.name, None, f"key: expected {account.name.key}, found {account.key}")
        for account in accounts
        if account.key != account.name.key
    ]
    return [*misnamed, *await tables.findings(keys, accounts)]
