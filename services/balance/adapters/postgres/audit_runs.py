"""When the periodic audits ran, and what they found."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from services.balance.application.proof_ports import AuditResult
from shared.postgres.pool import Pool

# A replica that looked at nothing for so long is gone: a step of an audit takes a second, a statement minutes at most.
SILENCE = "interval '10 minutes'"

# Whoever has the lock decides, in a transaction of its own, so that each sees what the one before it has begun.
LOCK = "select pg_advisory_xact_lock(hashtextextended('galen balance audit', 0))"
BEGIN = f"""
    insert into audit_run (begun_at, seen_at)
    select clock_timestamp(), clock_timestamp()
    where not exists (
        select from audit_run
        where begun_at > clock_timestamp() - make_interval(secs => %s) and ended_at is not null
            or ended_at is null and seen_at > clock_timestamp() - {SILENCE}
    )
    returning run_id
"""  # noqa: S608  all of it is ours
GO_ON = "update audit_run set seen_at = clock_timestamp() where run_id = %s"
END = "update audit_run set seen_at = clock_timestamp(), ended_at = clock_timestamp(), accounts = %s, findings = %s where run_id = %s"
LAST = "select ended_at, accounts, findings from audit_run where ended_at is not null order by run_id desc limit 1"


class PostgresAuditRuns:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, interval_s: float) -> int | None:
        async with self._pool.connection() as connection:
            await connection.execute(LOCK)
            row = await (await connection.execute(BEGIN, [interval_s])).fetchone()
        return row[0] if row else None

    async def go_on(self, run: int) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(GO_ON, [run])

    async def end(self, run: int, accounts: int, findings: Mapping[str, int]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(END, [accounts, Jsonb(dict(findings)), run])

    async def last(self) -> AuditResult | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(LAST)).fetchone()
        return AuditResult(*row) if row else None
