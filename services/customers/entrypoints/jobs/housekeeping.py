"""What is looked after from time to time: accounts that no job has opened, failed logins of long ago."""

from __future__ import annotations

import asyncio
import random

import structlog

from services.customers.application.open_account import OpenAccount
from services.customers.application.ports import FailedLogins
from shared.tasks import going_on

log = structlog.get_logger()


class Housekeeping:
    """Every replica does it: each step may be done twice."""

    def __init__(self, accounts: OpenAccount, failures: FailedLogins, *, every_s: float, late_after_s: float) -> None:
        self._accounts = accounts
        self._failures = failures
        self._every_s = every_s
        self._late_after_s = late_after_s

    async def run(self) -> None:
        """Goes on until cancelled. Outlives failures of the database."""
        while going_on():
            # Replicas that were started together must not come all at once.
            await asyncio.sleep(self._every_s * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001  the database may be away; the next round tries again
                log.warning("housekeeping failed", error=repr(error))

    async def round(self) -> None:
        """Does everything once."""
        await self._failures.forget_old()
        opened, failed = await self._accounts.open_missing(older_than_s=self._late_after_s)
        if opened or failed:
            log.warning("customers had no points account", opened=opened, failed=failed)
