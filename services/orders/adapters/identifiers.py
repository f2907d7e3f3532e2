"""Where the ids and codes of orders come from: the system's randomness."""

from __future__ import annotations

import secrets
from uuid import UUID

from shared.clock import Clock
from shared.luhn import with_check_digit


class RandomIdentifiers:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def order_id(self) -> UUID:
        """Returns a UUID of version 7 (RFC 9562): new orders lie together in every index."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        bits = (milliseconds << 80) | secrets.randbits(80)
        return UUID(int=bits & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62)

    def order_number(self) -> str:
        return with_check_digit(f"{secrets.randbelow(10**15):015}")

    def pickup_code(self) -> str:
        return f"{secrets.randbelow(10**6):06}"
