"""Reads claims and how the provider is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.accrual.application.ports import Backlog, ClaimFilter, Claims, PollQueue, ProviderRecord
from services.accrual.domain.claims import Claim
from services.accrual.domain.errors import ClaimNotFound
from services.accrual.domain.provider import Provider


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """The provider as of `now`, and the work that waits."""

    provider: Provider
    now: datetime
    backlog: Backlog


class ReadClaims:
    def __init__(self, claims: Claims, record: ProviderRecord, queue: PollQueue) -> None:
        self._claims = claims
        self._record = record
        self._queue = queue

    async def get(self, customer: str, number: str) -> Claim:
        """Raises ClaimNotFound, also for another customer's claim."""
        claim = await self._claims.find(customer, number)
        if claim is None:
            raise ClaimNotFound
        return claim

    async def page(self, wanted: ClaimFilter) -> tuple[Sequence[Claim], Claim | None]:
        """Returns a page, newest first, and the claim after which the next one begins, None after the last."""
        rows = await self._claims.list(replace(wanted, limit=wanted.limit + 1))
        page = rows[: wanted.limit]
        return page, page[-1] if len(rows) > wanted.limit else None

    async def provider(self) -> ProviderReport:
        provider, now = await self._record.read()
        return ProviderReport(provider, now, await self._queue.backlog())
