"""Runs `AuditLedger` whenever an audit is due, and shows what the last one found, whichever replica it ran in."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from datetime import datetime

import structlog

from services.balance.application.audit_ledger import AuditLedger
from services.balance.application.proof_ports import AuditRuns, ProofObserver
from shared.tasks import going_on

log = structlog.get_logger()

LOOK_EVERY_S = 60.0
# A ledger that is broken everywhere must not fill the log; the counts by rule are in the metrics and in the last line.
LINES_MAX = 100


class Auditing:
    """Looks several times an interval whether an audit is due. The first look waits too: a start has better things to do."""

    def __init__(self, audit: AuditLedger, runs: AuditRuns, observer: ProofObserver, interval_s: float) -> None:
        self._audit = audit
        self._runs = runs
        self._observer = observer
        self._last_ended_at: datetime | None = None
        self._look_every_s = min(LOOK_EVERY_S, interval_s / 4)

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of the database."""
        while going_on():
            await asyncio.sleep(self._look_every_s * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  an audit that failed is begun again when it is due
                log.warning("the audit failed", error=repr(error))

    async def _round(self) -> None:
        found = 0
        async with aclosing(self._audit.run()) as findings:
            async for finding in findings:
                found += 1
                if found <= LINES_MAX:
                    at = {"account": str(finding.account or ""), "version": finding.version}
                    log.error("audit finding", rule=finding.rule, description=finding.description, **at)
        last = await self._runs.last()
        self._observer.audited(last)
        if last and last.finished_at != self._last_ended_at:
            self._last_ended_at = last.finished_at
            log.info("audit ended", ended_at=last.finished_at.isoformat(), accounts=last.accounts, findings=dict(last.findings))
