"""Keeps programs running: starts them in sessions of their own, restarts what crashes, stops them in order."""

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from deploy.local.merged_log import LineReader, MergedLog
from deploy.local.process_records import ProcessRecords

READY_POLL_S = 0.05
READY_ANSWER_S = 2.0


class StackFailed(Exception):
    """The stack cannot do what was asked; the text is for the person who asked."""


class Tier(IntEnum):
    """Programs of a lower tier serve those above: the highest tier is stopped first."""

    SIMULATOR = 1
    SERVICE = 2
    EDGE = 3


@dataclass(frozen=True, slots=True)
class Program:
    """A program and all that it is given. `environment` is the whole one: nothing of ours is added."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    tier: Tier = Tier.SERVICE
    # Ready when all of these are: `http://host:port/path` answers 200, `tcp://host:port` accepts.
    ready_at: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds."""

    first_restart_s: float = 0.25
    longest_restart_s: float = 15.0
    calm_s: float = 10.0  # a program that ran this long is restarted at once when it crashes
    stop_s: float = 10.0
    start_attempts: int = 6  # a program that ended this often and was never ready fails the start of the stack


@asynccontextmanager
async def running(program: Program, folder: Path, log: MergedLog, records: ProcessRecords) -> AsyncIterator[Process]:
    """Start a program; at the end of the block it is killed with its whole group if it still runs.

    Its output goes through a pipe of ours: asyncio's own would hold up `wait()` for as long as a grandchild keeps the pipe open.
    """
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader = LineReader(reading, program.name, log)
    loop.add_reader(reading, lambda: reader.read_available() or loop.remove_reader(reading))
    try:
        process = await _spawn(program, folder, writing)
        records.add(program.name, process.pid, program.command)
        try:
            yield process
        finally:
            await _kill(process)
            records.remove(program.name)
    finally:
        loop.remove_reader(reading)
        reader.read_available()
        os.close(reading)


async def _spawn(program: Program, folder: Path, output: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *program.command,
            env=dict(program.environment),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise StackFailed(f"{program.name} cannot be started: {error}") from error
    finally:
        os.close(output)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class Child:
    """One program that is kept running until `stop()`."""

    def __init__(self, program: Program, folder: Path, log: MergedLog, records: ProcessRecords, patience: Patience) -> None:
        self.program = program
        self.was_ready = False
        self._ends = 0
        self._folder = folder
        self._log = log
        self._records = records
        self._patience = patience
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """Start it in the background."""
        self._keeper = asyncio.create_task(self._keep_running(), name=self.program.name)

    async def wait_ready(self) -> None:
        """Wait until it answers itself, not another at its port. Raises StackFailed when it cannot be started."""
        while not await self._is_ready():
            if self._ends >= self._patience.start_attempts:
                raise StackFailed(f"{self.program.name} ended {self._ends} times before it was ready; its lines above tell why")
            if self._keeper is not None and self._keeper.done():
                self._keeper.result()
                raise StackFailed(f"{self.program.name} was stopped before it was ready")
            await asyncio.sleep(READY_POLL_S)
        self.was_ready = True

    async def _is_ready(self) -> bool:
        addresses = self.program.ready_at
        return self.pid is not None and await is_ready(addresses) and listens_on(self.pid, {urlsplit(url).port for url in addresses})

    async def stop(self) -> None:
        """SIGTERM, wait, then SIGKILL to the whole group."""
        self._stopping.set()
        if self._keeper is None:
            return
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        _, late = await asyncio.wait({self._keeper}, timeout=self._patience.stop_s)
        if late:
            self._log.say(f"{self.program.name} did not stop within {self._patience.stop_s:g} s and is killed")
            self.kill()
            await asyncio.wait({self._keeper})

    def kill(self) -> None:
        """SIGKILL to the whole group; it is not started again."""
        self._stopping.set()
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _keep_running(self) -> None:
        delay = self._patience.first_restart_s
        while not self._stopping.is_set():
            began = time.monotonic()
            ended = await self._run()
            self._ends += 1
            if self._stopping.is_set():
                return
            if time.monotonic() - began > self._patience.calm_s:
                delay = self._patience.first_restart_s
            self._log.say(f"{self.program.name} {ended}; it is started again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, self._patience.longest_restart_s)

    async def _run(self) -> str:
        async with running(self.program, self._folder, self._log, self._records) as process:
            self._process = process
            if self._stopping.is_set():  # stop() came while the process was being made, and found nothing to stop
                process.terminate()
            return describe_end(await process.wait())


class Supervisor:
    """The programs of a stack. `folder` is their working directory."""

    def __init__(
        self, programs: Iterable[Program], folder: Path, log: MergedLog, records: ProcessRecords, patience: Patience | None = None
    ) -> None:
        self.children = {
            program.name: Child(program, folder, log, records, patience or Patience())
            for program in sorted(programs, key=lambda program: program.tier)
        }
        self._log = log

    async def start(self) -> None:
        """Start everything but the edge at once; the edge, which opens the port that people know, when the others are ready.

        Returns when all are ready. Raises StackFailed when a program cannot be started.
        """
        edge = [child for child in self.children.values() if child.program.tier is Tier.EDGE]
        for group in ([child for child in self.children.values() if child not in edge], edge):
            for child in group:
                child.start()
            await together(child.wait_ready() for child in group)

    async def stop(self) -> None:
        """Stop the highest tier first; within a tier all at once."""
        for tier in sorted(Tier, reverse=True):
            await asyncio.gather(*(child.stop() for child in self.children.values() if child.program.tier is tier))

    def kill(self) -> None:
        """For the impatient: everything ends now."""
        for child in self.children.values():
            child.kill()


async def together(waits: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Wait for all; the first that fails ends the others, and its error is raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_to_end(program: Program, folder: Path, log: MergedLog, records: ProcessRecords) -> str | None:
    """Run a program that ends by itself. Returns None when it ended well, else how it ended."""
    async with running(program, folder, log, records) as process:
        status = await process.wait()
    return describe_end(status) if status else None


def describe_end(status: int) -> str:
    """The exit status of a process, in words."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


async def is_ready(ready_at: Iterable[str]) -> bool:
    """Whether each `http://host:port/path` answers 200 and each `tcp://host:port` accepts."""
    try:
        async with asyncio.timeout(READY_ANSWER_S):
            return all([await _ask(url) for url in ready_at])
    except (OSError, TimeoutError):
        return False


def listens_on(pid: int | None, ports: Set[int | None]) -> bool:
    """Whether the process or one that it started listens on all these TCP ports."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        connections = [connection for member in family for connection in member.net_connections("tcp")]
    except psutil.Error:
        return False
    return ports <= {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


async def _ask(address: str) -> bool:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        if url.scheme == "tcp":
            return True
        writer.write(f"GET {url.path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
        status_line = await reader.readline()
        return status_line.split()[1:2] == [b"200"]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
