"""kill -9 of the server, over and over, while callers write: each request is done once, whether its answer arrived or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from services.balance.settings import BalanceSettings
from shared.testing.databases import fresh_database
from tests.balance.integration.crashes.conftest import MakeLoad
from tests.balance.ledger_process import ledger_process

KILLS = 3
STEPS_BETWEEN = 150


async def test_a_server_that_is_killed_over_and_over_does_everything_once(
    postgres_server_uri: str, settings_for: Callable[[str], BalanceSettings], load: MakeLoad, tmp_path: Path
) -> None:
    with fresh_database(postgres_server_uri) as uri:
        settings = settings_for(uri)
        async with ledger_process(settings, tmp_path / "log") as process, process.channel() as channel:
            async with load(settings, channel) as running:
                for kills in range(1, KILLS + 1):
                    await running.go_on(STEPS_BETWEEN)
                    unanswered = running.outages.total()
                    await process.kill()
                    await process.start()
                    await running.go_on(1)
                    assert running.outages.total() > unanswered, f"nobody noticed kill {kills}"
            await running.reckon()
            assert process.errors() == []
