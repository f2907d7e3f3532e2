"""Keeps a process on one processor.

The interpreter computes on one at a time anyway, but its thread and those of gRPC wake each other several times a call. From one processor
to another that makes calls nearly twice as dear (docs/decisions/0009-cost-of-a-call.md).
"""

from __future__ import annotations

import os


class NoSuchProcessor(Exception):
    """The process may not run there, or the system knows no such thing."""


def stay_on(processor: int) -> None:
    """Has this thread, and all that it and they start, run on that processor only. Raises NoSuchProcessor."""
    try:
        os.sched_setaffinity(0, {processor})
    except (OSError, OverflowError, AttributeError) as error:
        raise NoSuchProcessor(f"cannot stay on processor {processor}: {error}") from error
