"""When a claim is asked about again."""

from __future__ import annotations

from dataclasses import dataclass

# Far beyond any ceiling, and far below what would overflow.
_DOUBLINGS_MAX = 30
# Even the luckiest draw leaves the provider this much of the ceiling.
_LEAST = 0.1


@dataclass(frozen=True, slots=True)
class BackOff:
    """Exponential with full jitter: quick at first, rare later, never given up. In seconds."""

    first_s: float
    longest_s: float

    def delay_s(self, attempts: int, chance: float) -> float:
        """Returns how long to wait after `attempts` polls (1 or more) in the same state; `chance` is drawn from [0, 1)."""
        ceiling_s = min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, _DOUBLINGS_MAX))
        return ceiling_s * max(_LEAST, chance)
