"""Lists points that will expire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.balance.application.history_ports import ExpiringFilter, ExpiringLot, ExpiringLots, LotPosition
from services.balance.domain.names import AccountName

# Lots are not sorted by programme: so often a page is read on if other programmes' lots stand between. A page that is then still not
# full is given as it is, with the place where the search got to.
READS_MAX = 10


class ListExpiringLots:
    def __init__(self, lots: ExpiringLots) -> None:
        self._lots = lots

    async def page(
        self, scope: AccountName, before: datetime, after: LotPosition | None, limit: int
    ) -> tuple[Sequence[ExpiringLot], LotPosition | None]:
        """Returns lots that expire from now on and before `before`, soonest first, and the place of the next page, None after the last."""
        found: list[ExpiringLot] = []
        for _ in range(READS_MAX):
            lots = await self._lots.read(ExpiringFilter(scope, after, before, limit + 1))
            found += [lot for lot in lots if lot.account.program == scope.program]
            if len(found) > limit:
                return found[:limit], found[limit - 1].position
            if len(lots) <= limit:
                return found, None
            after = lots[-1].position
        return found, after
