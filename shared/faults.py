"""Named places in the code where a test may end the process, as kill -9 would."""

from __future__ import annotations

import os
from typing import NoReturn

KILLED = 137


class Faults:
    """Does nothing unless told otherwise: `site:n` ends the process when `site` is reached for the n-th time."""

    def __init__(self, fault_at: str | None = None) -> None:
        """Raises ValueError."""
        self._site, _, count = (fault_at or "").partition(":")
        self._left = int(count or 1)

    def reach(self, site: str) -> None:
        """Says that the code has come to `site`."""
        if site != self._site:
            return
        self._left -= 1
        if self._left == 0:
            _die()


def _die() -> NoReturn:
    os._exit(KILLED)
