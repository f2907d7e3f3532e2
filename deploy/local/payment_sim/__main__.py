"""`python -m deploy.local.payment_sim`, also `galen payment-sim`: the simulated card provider as a process of its own.

The API is described in `app`, the payer's pages in `pages`, the control endpoint `/control/...` in `control`, the settings by `--help`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import Sequence

import psycopg
import uvloop

from deploy.local.payment_sim.postgres_storage import opened_storage
from deploy.local.payment_sim.server import listening
from deploy.local.payment_sim.settings import Settings, read_settings
from deploy.local.payment_sim.simulator import Simulator
from deploy.local.simulation.log_lines import configure_logging
from shared.clock import SystemClock

_log = logging.getLogger("payment_sim")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT, which give 0; gives 1 if the database or the port cannot be used, 2 if a setting is wrong."""
    settings = read_settings(argv, os.environ)
    configure_logging(settings.log_format)
    try:
        uvloop.run(_serve(settings))
    except (OSError, psycopg.Error) as error:
        print(f"payment-sim cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    clock, chance = SystemClock(), random.Random()  # noqa: S311 (faults, not secrets)
    async with opened_storage(settings.database_uri, settings.database_role) as storage:
        simulator = Simulator(storage, settings.behaviour, clock=clock, chance=chance)
        async with simulator.running(), listening(simulator, settings.host, settings.port, clock=clock) as port:
            kept = "memory" if settings.database_uri is None else "PostgreSQL"
            _log.info("listening", extra={"fields": {"address": f"{settings.host}:{port}", "kept_in": kept}})
            await stopped.wait()
    _log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
