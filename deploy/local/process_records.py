"""Which processes are ours, written down so that the next run can end what a killed run left behind, and nothing else."""

import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

START_TIME_TOLERANCE_S = 2.0  # the kernel counts from boot, and the clock that boot is measured with may be set


class ProcessRecords:
    """A folder with a file for each running program: its process id, when it began and its command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, pid: int, command: Sequence[str]) -> None:
        """Write down a process that has just been started. One that has ended already is left out."""
        with contextlib.suppress(psutil.Error):
            record = {"pid": pid, "started_at": psutil.Process(pid).create_time(), "command": list(command)}
            unfinished = self._file(name).with_suffix(".unfinished")
            unfinished.write_text(json.dumps(record))
            unfinished.replace(self._file(name))

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        self._file(name).unlink(missing_ok=True)

    def end_leftovers(self, timeout_s: float = 5.0) -> list[str]:
        """End the recorded processes that still run, politely first. Returns their names."""
        found = {file.stem: process for file in sorted(self._folder.glob("*.json")) if (process := _find(file))}
        for process in found.values():
            _send(process, signal.SIGTERM)
        _, alive = psutil.wait_procs(list(found.values()), timeout=timeout_s)
        for process in alive:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=timeout_s)
        for file in self._folder.glob("*.json"):
            file.unlink()
        return list(found)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _find(file: Path) -> psutil.Process | None:
    """The recorded process if it is still the same one: a number alone proves nothing, it may have been given to a stranger."""
    try:
        record = json.loads(file.read_text())
        process = psutil.Process(record["pid"])
        same_start = abs(process.create_time() - record["started_at"]) < START_TIME_TOLERANCE_S
        same = same_start and process.cmdline()[1:] == record["command"][1:] and os.getpgid(process.pid) == process.pid
    except (psutil.Error, OSError, ValueError, KeyError, TypeError):
        return None
    return process if same else None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    """To its whole group (each program leads one), if it still is the process that was found."""
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        if process.is_running():
            os.killpg(process.pid, number)
