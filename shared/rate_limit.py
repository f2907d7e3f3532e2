"""A token bucket per key, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from shared.errors import RateLimited


class KeyedLimiter:
    """Allows `burst` events at once and `per_second` from then on, for each key; remembers the `keys_max` keys seen last."""

    def __init__(self, *, burst: int, per_second: float, keys_max: int = 100_000, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._keys_max = keys_max
        self._monotonic = monotonic
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def check(self, key: Hashable) -> None:
        """Raises RateLimited if the key's events are used up; counts nothing."""
        if key not in self._buckets:
            return
        missing = 1.0 - self._level(key)
        if missing > 0:
            raise RateLimited(retry_after_s=missing / self._per_second)

    def count(self, key: Hashable) -> None:
        """Counts one event of the key."""
        self._buckets[key] = (self._level(key) - 1.0, self._monotonic())
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)

    def _level(self, key: Hashable) -> float:
        level, since = self._buckets.get(key, (float(self._burst), self._monotonic()))
        return min(float(self._burst), level + (self._monotonic() - since) * self._per_second)
