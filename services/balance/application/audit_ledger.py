"""The audit that runs by itself: all accounts of all programmes and all chains, in one replica at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.balance.application.audit_accounts import AuditAccounts
from services.balance.application.proof_ports import AuditRuns
from services.balance.application.verify_chain import VerifyChain
from services.balance.domain.invariants import Finding
from services.balance.domain.verification import ChainFinding


class AuditLedger:
    def __init__(self, runs: AuditRuns, accounts: AuditAccounts, chains: VerifyChain, interval_s: float) -> None:
        self._runs = runs
        self._accounts = accounts
        self._chains = chains
        self._interval_s = interval_s

    async def run(self) -> AsyncGenerator[Finding | ChainFinding, None]:
        """Audits if an audit is due and no other replica is at it; keeps what it found. Raises Overloaded."""
        run = await self._runs.begin(self._interval_s)
        if run is None:
            return
        audited, found = 0, Counter[str]()
        async with aclosing(self._accounts.all()) as steps:
            async for step in steps:
                audited = step.audited
                for finding in step.findings:
                    found[finding.rule] += 1
                    yield finding
                await self._runs.go_on(run)
        for chain in self._chains.chains:
            async with aclosing(self._chains.run(chain)) as links:
                async for part in links:
                    for fault in part.findings:
                        found[fault.rule] += 1
                        yield fault
                    await self._runs.go_on(run)
        await self._runs.end(run, audited, found)
