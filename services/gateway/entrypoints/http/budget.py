"""The time that the services have for a request."""

from __future__ import annotations

import time

from shared.grpc.call import current_deadline


class Budget:
    """Sets the deadline that every outgoing call of the request keeps."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    def start(self) -> None:
        """Begins, or begins anew: the time that a client takes to send its body is not the services'."""
        current_deadline.set(time.monotonic() + self._limit_s)
