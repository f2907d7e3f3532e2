"""No more than N requests in any minute: a sliding window, because with fixed windows 2 N would pass around each border."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MINUTE_S = 60.0


class SlidingWindowLimiter:
    """Admits at most `limit` requests in any `window_s` seconds; refused requests do not count."""

    def __init__(self, limit: int, *, window_s: float = MINUTE_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._window_s = window_s
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def admit(self) -> float | None:
        """Counts a request and returns None, or returns after how many seconds the next one can be admitted."""
        now = self._monotonic()
        while self._admitted and now - self._admitted[0] >= self._window_s:
            self._admitted.popleft()
        if len(self._admitted) < self.limit:
            self._admitted.append(now)
            return None
        # A limit lowered at run time leaves more in the window than it now allows: all but limit - 1 of them must leave first.
        return self._window_s - (now - self._admitted[len(self._admitted) - self.limit])

    def clear(self) -> None:
        """Forgets all requests."""
        self._admitted.clear()
