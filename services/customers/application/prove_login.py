"""Checks passwords, and no more of them than the limit on failed logins allows.

All of it happens in one hashing turn: look at the count, check, count. So at most as many checks as there are turns (in all replicas) can
have seen a count that others are about to raise: failures of a window exceed the limit by at most `turns * replicas - 1`.
"""

from __future__ import annotations

from services.customers.application.ports import FailedLogins, Hasher
from services.customers.domain.errors import TooManyFailedLogins
from services.customers.domain.login import Attempt


class ProveLogin:
    def __init__(self, failures: FailedLogins) -> None:
        self._failures = failures

    async def admit(self, attempt: Attempt) -> None:
        """Raises TooManyFailedLogins."""
        wait_s = await self._failures.wait_s(attempt)
        if wait_s > 0:
            raise TooManyFailedLogins(retry_after_s=wait_s)

    async def proves(self, hasher: Hasher, attempt: Attempt, password_hash: str | None, password: str) -> bool:
        """Tells whether the password is right; counts it if it is not. Without a hash it takes as long and counts too."""
        right = await hasher.verify(password_hash, password)
        if not right:
            await self._failures.count(attempt)
        return right
