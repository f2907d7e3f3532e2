"""Writes the log of a service where every call has a line: many at a time, because each written by itself is a dear part of its call."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TextIO

LATEST_S = 0.05
LINES_MAX = 1000


def utc_now_text() -> str:
    """Returns the time of a line, in UTC, to the microsecond (RFC 3339)."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


class LineWriter:
    """What structlog gives its lines to.

    What is worth no more than information is kept and written together, `LATEST_S` after the first at the latest if the loop is not
    blocked, and at once where no loop runs that could do it. A warning or worse is written at once, with all that came before it. `flush`
    writes what is kept: a process that ends calls it, and one that is killed loses those lines.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []
        self._waker: asyncio.AbstractEventLoop | None = None  # has a timer that writes

    def info(self, line: str) -> None:
        self._lines.append(line)
        if self._waker is None or self._waker.is_closed():
            self._write_soon()
        elif len(self._lines) > LINES_MAX:
            self.flush()

    debug = info

    def error(self, line: str) -> None:
        self._lines.append(line)
        self.flush()

    # structlog looks its methods up by the names of the levels.
    warning = critical = error

    def flush(self) -> None:
        """Writes what is kept."""
        lines, self._lines = self._lines, []
        if lines:
            self._file.write("\n".join([*lines, ""]))
            self._file.flush()

    def _write_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            self._waker = loop
            loop.call_later(LATEST_S, self._wake)

    def _wake(self) -> None:
        self._waker = None
        self.flush()
