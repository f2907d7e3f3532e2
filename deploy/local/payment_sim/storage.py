"""Where records are kept: the port, and the store that forgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deploy.local.payment_sim.models import Record


class Storage(Protocol):
    """Keeps what the books hold in memory."""

    async def load(self) -> Sequence[Record]:
        """Returns all records in the order in which they came."""

    async def write(self, changed: Sequence[Record], removed: Sequence[Record]) -> None:
        """Makes all of it durable, or nothing."""

    async def clear(self) -> None:
        """Forgets everything."""

    async def is_usable(self) -> bool:
        """Tells whether the store answers now."""


class MemoryStorage:
    """The books are all there is; they end with the process."""

    async def load(self) -> Sequence[Record]:
        return ()

    async def write(self, changed: Sequence[Record], removed: Sequence[Record]) -> None:
        """Nothing outlives the process."""

    async def clear(self) -> None:
        """Nothing outlives the process."""

    async def is_usable(self) -> bool:
        return True
