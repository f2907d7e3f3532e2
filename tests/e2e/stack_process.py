"""`galen up` as a process of its own, the way a person starts it, with its own state folder and ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import make_conninfo

from deploy.local.ports import LOOPBACK, Address, any_free_port, reserved
from deploy.local.stack import DATABASE
from deploy.local.state_folder import PROJECT, StateFolder

# The machines are shared and noisy; a start that takes this long is no start.
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
POLL_S = 0.05
POSTGRES = "postgres"
SUPERVISOR = "supervisor"
GALEN = (sys.executable, "-m", "deploy.local.cli")
# Of the caller's environment only what programs need to run: a DATABASE_URI of the caller must not reach the stack.
PASSED_ON = ("PATH", "HOME", "PG_BIN", "PYTHONPATH", "TMPDIR")


def environment(**settings: str) -> dict[str, str]:
    """Returns the environment of a person who has set nothing but `settings`."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | settings


async def until(condition: Callable[[], Any], *, within_s: float, otherwise: Callable[[], str] | str) -> None:
    """Waits until the condition holds. Raises AssertionError with `otherwise`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        await asyncio.sleep(POLL_S)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended. Nobody may have fetched its exit status yet: the parent of an orphan is not ours to wait for."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class StackProcess:
    """One stack, which may be started several times on its state folder. `folder` must let PostgreSQL's account pass through.

    `settings` are environment variables; `arguments` may be changed between two starts.
    """

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.state = StateFolder(folder / "state")
        self.edge_port = any_free_port()
        self._edge = reserved(Address(LOOPBACK, self.edge_port))
        self.output_file = folder / "output.log"
        self.started_at = 0.0
        self.arguments = arguments
        self._settings = {"GALEN_STATE": str(self.state.path), "RUN_ADDRESS": f"127.0.0.1:{self.edge_port}", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the stack was not started"
        return self._process

    @property
    def output(self) -> str:
        """What it has printed so far, over all its starts."""
        return self.output_file.read_text(errors="replace")

    @property
    def published(self) -> dict[str, Any]:
        """Where everything answers, while it is ready."""
        published = self.state.running_stack()
        assert published is not None, self.tail()
        return published

    @property
    def database_uri(self) -> str:
        """The stack's own database, as its superuser."""
        home = self.state.postgres_home()
        password = (home / "password").read_text().strip()
        return make_conninfo(
            host="127.0.0.1", port=(home / "port").read_text().strip(), user="postgres", password=password, dbname=DATABASE
        )

    def tail(self) -> str:
        """The end of what it has printed, for whoever has to find out why a test failed."""
        return self.output[-6000:]

    def launch(self) -> None:
        """Starts it without waiting."""
        with self.output_file.open("ab") as output:
            self.started_at = time.monotonic()
            self._process = subprocess.Popen(
                [*GALEN, "up", *self.arguments],
                cwd=PROJECT,
                env=environment(**self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watcher = ended_with_us(self._process.pid, self.output_file.parent)

    async def start(self) -> None:
        """Starts it and waits until it is ready."""
        self.launch()
        await until(lambda: self._ended() or self._is_ready(), within_s=START_LIMIT_S, otherwise=self.tail)
        assert not self._ended(), self.tail()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Asks it to stop; returns its exit status."""
        self.process.send_signal(number)
        return await self.end()

    async def end(self) -> int:
        """Waits for its end; returns its exit status."""
        await until(self._ended, within_s=STOP_LIMIT_S, otherwise=lambda: f"it did not stop:\n{self.tail()}")
        if self._watcher is not None:
            self._watcher.communicate(b"done\n")
        return self.process.wait()

    async def clean_up(self) -> None:
        """Stops what a test left running."""
        if self._process is not None and not self._ended():
            await self.stop(signal.SIGTERM)
        self._edge.close()

    def pid(self, name: str) -> int | None:
        """The process of a program, of PostgreSQL or of the supervisor itself; None while it does not run."""
        if name == SUPERVISOR:
            return self.process.pid
        if name == POSTGRES:
            return _first_line(self.state.postgres_home() / "data" / "postmaster.pid")
        return _recorded(self.state.processes / f"{name}.json")

    def kill(self, name: str) -> int:
        """Ends it as `kill -9` does; returns the process id that it had."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def family(self) -> list[psutil.Process]:
        """The supervisor and all that it has started."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def _is_ready(self) -> bool:
        return self.state.path.exists() and self.state.running_stack() is not None


def ended_with_us(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a shell that stops the process and deletes the folder when the pipe to us breaks: a killed test run leaves nothing behind."""
    script = 'read -r _ || { kill -TERM "$1"; while kill -0 "$1"; do sleep 0.2; done; rm -rf -- "$2"; }'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _first_line(file: Path) -> int | None:
    return int(file.read_text().split("\n", 1)[0]) if file.exists() else None


def _recorded(file: Path) -> int | None:
    try:
        return int(json.loads(file.read_text())["pid"])
    except FileNotFoundError:
        return None
