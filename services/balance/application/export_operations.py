"""Everything that was recorded, read part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

from services.balance.application.history_ports import OperationArchive, VersionRange
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName

OPERATIONS_AT_ONCE = 500


class ExportOperations:
    def __init__(self, archive: OperationArchive) -> None:
        self._archive = archive

    async def export(self, scope: AccountName) -> AsyncGenerator[Sequence[Operation], None]:
        """Yields the operations of an account, or of every account of a programme, account by account, oldest first.

        Whatever was recorded before the call is there; what is recorded meanwhile may be.
        """
        histories = await self._archive.histories(scope, None)
        while histories:
            for ranges in parts(histories, OPERATIONS_AT_ONCE):
                yield await self._archive.operations(ranges)
            histories = await self._archive.histories(scope, histories[-1].account.key)


def parts(histories: Iterable[VersionRange], size: int) -> Iterator[Sequence[VersionRange]]:
    """Cuts and gathers histories into parts of `size` operations, the last of what is left: versions have no gaps."""
    part: list[VersionRange] = []
    room = size
    for history in histories:
        low = history.low
        while low < history.high:
            high = min(history.high, low + room)
            part.append(VersionRange(history.account, low, high))
            low, room = high, room - (high - low)
            if not room:
                yield part
                part, room = [], size
    if part:
        yield part
