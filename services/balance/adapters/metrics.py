"""What is measured of the ledger's proof. The figures are the fleet's, read from the database: the same in every replica."""

from __future__ import annotations

import math
import time

from prometheus_client import CollectorRegistry, Gauge

from services.balance.application.proof_ports import AuditResult
from services.balance.domain.invariants import Invariant
from services.balance.domain.verification import Fault


class ProofMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended_s = math.nan
        self._findings = Gauge("ledger_audit_findings", "What the last audit found, by rule.", ["invariant"], registry=registry)
        self._accounts = Gauge("ledger_audit_accounts", "How many accounts the last audit looked at.", registry=registry)
        age = Gauge("ledger_audit_age_seconds", "Since the last audit ended; NaN before the first one.", registry=registry)
        age.set_function(lambda: time.time() - self._ended_s)
        self._lag = Gauge("ledger_chain_lag_seconds", "Age of the oldest operation that is in no hash chain yet.", registry=registry)

    def audited(self, result: AuditResult | None) -> None:
        if result is None:
            return
        self._ended_s = result.finished_at.timestamp()
        self._accounts.set(result.accounts)
        for name in (*Invariant.__members__, *(fault.rule for fault in Fault)):
            self._findings.labels(name).set(result.findings.get(name, 0))

    def chained(self, lag_s: float) -> None:
        self._lag.set(lag_s)
