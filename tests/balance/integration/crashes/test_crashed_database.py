"""PostgreSQL crashes and comes back, over and over, while callers write: the server outlives it, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from deploy.local.postgres import temporary_postgres
from services.balance.settings import BalanceSettings
from shared.postgres.pool import WAIT_LIMIT_S
from shared.testing.databases import with_database
from tests.balance.integration.crashes.conftest import MakeLoad
from tests.balance.ledger_process import ledger_process

# How long it is away each time: once longer than anybody waits for a connection.
CRASHES_S = (0.0, 2.5, 0.0)
STEPS_BETWEEN = 150


async def test_a_database_that_crashes_over_and_over_loses_nothing_and_the_server_goes_on(
    settings_for: Callable[[str], BalanceSettings], load: MakeLoad, tmp_path: Path
) -> None:
    """Not the run's server: others use that."""
    with temporary_postgres(max_connections=50) as postgres:
        settings = settings_for(with_database(postgres.dsn(), "postgres"))
        async with ledger_process(settings, tmp_path / "log") as process, process.channel() as channel:
            async with load(settings, channel) as running:
                for away_s in CRASHES_S:
                    await running.go_on(STEPS_BETWEEN)
                    unanswered = running.outages.total()
                    await asyncio.to_thread(postgres.stop, "immediate")
                    await asyncio.sleep(away_s)
                    await asyncio.to_thread(postgres.start)
                    await running.go_on(1)
                    # Of a shorter one nobody need know: who comes meanwhile waits for a connection, and no dead one is given.
                    assert running.outages.total() > unanswered or away_s <= WAIT_LIMIT_S, "nobody noticed the crash"
            await running.reckon()
            assert process.process.returncode is None
            assert process.errors() == []
