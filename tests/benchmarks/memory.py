"""How much memory the idle stack takes, process by process, and how soon it is ready:  python -m tests.benchmarks.memory

Starts a stack of its own on free ports, in a state folder that is deleted afterwards, and reads the proportional set size (PSS) of each
process: its own pages, and of pages that it shares its share. Once when the stack has come to rest after its start, and once when it has
come to rest after customers went through the whole loop. Prints Markdown tables with the bounds that must hold; ends with status 1 if one
does not. Times to start are those of this machine as it is just now: nothing else should run on it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from tests.e2e.shopper import Shopper, teach_rewards
from tests.e2e.stack_process import POSTGRES, SUPERVISOR, StackProcess

MIB = 1024 * 1024
SERVICES = ("balance", "orders", "accrual", "customers", "gateway")
SERVICE_MIB_MAX = 150.0
STACK_MIB_MAX = 1024.0
READY_S_MAX = 10.0
CUSTOMERS = 30
EVERY_S = 0.5
REST_S = 5.0
IDLE_WITHIN_S = 60.0
# Of one core, over a second: pollers look around a few times a second.
IDLE_CPU_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Line:
    """Measured values of one kind; `most` is None where nothing is asked of them."""

    what: str
    values: Sequence[float]
    unit: str
    most: float | None = None

    @property
    def holds(self) -> bool:
        return self.most is None or max(self.values) < self.most

    def __str__(self) -> str:
        bound = "" if self.most is None else f"< {self.most:g} {self.unit}"
        holds = "" if self.most is None else ("yes" if self.holds else "**no**")
        return "| " + " | ".join([self.what, *(f"{value:.1f} {self.unit}" for value in self.values), bound, holds]) + " |"


async def measure() -> tuple[list[Line], list[Line]]:
    """Starts a stack twice, uses it, and stops it. Returns the lines about memory and those about its start."""
    with reachable_folder() as folder:
        stack = StackProcess(folder)
        try:
            starts = [await _start(stack)]
            await stack.stop()
            starts.append(await _start(stack))
            at_first = await _memory_at_rest(stack)
            await _use(stack)
            return _memory(at_first, await _memory_at_rest(stack)), _readiness(starts)
        finally:
            await stack.clean_up()


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """The account that PostgreSQL runs under must pass through."""
    with tempfile.TemporaryDirectory(prefix="galen-memory-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


async def _start(stack: StackProcess) -> tuple[float, float]:
    """Returns how long it took until all was ready, and the CPU time that was spent on it by processes that still run, in seconds."""
    await stack.start()
    return time.monotonic() - stack.started_at, _cpu_seconds(stack)


async def _use(stack: StackProcess) -> None:
    published = stack.published
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await teach_rewards(session, published["accrual_system"])
        shoppers = [Shopper(session, published["edge"], published["accrual_system"]) for _ in range(CUSTOMERS)]
        await asyncio.gather(*(shopper.walk(after_s=place * EVERY_S) for place, shopper in enumerate(shoppers)))


async def _memory_at_rest(stack: StackProcess) -> Mapping[str, float]:
    """Waits until the stack has used next to no CPU for a second; returns the PSS of its parts, in MiB."""
    await asyncio.sleep(REST_S)
    deadline = time.monotonic() + IDLE_WITHIN_S
    while True:
        before = _cpu_seconds(stack)
        await asyncio.sleep(1.0)
        if _cpu_seconds(stack) - before < IDLE_CPU_SECONDS:
            return _memory_now(stack)
        if time.monotonic() > deadline:
            raise SystemExit("the stack does not come to rest")


def _cpu_seconds(stack: StackProcess) -> float:
    times = [process.cpu_times() for process in stack.family()]
    return sum(spent.user + spent.system for spent in times)


def _memory_now(stack: StackProcess) -> Mapping[str, float]:
    postmaster = psutil.Process(stack.pid(POSTGRES))
    parts = {name: _pss_mib([psutil.Process(stack.pid(name))]) for name in (*SERVICES, "accrual-sim", "payment-sim", SUPERVISOR)}
    postgres = _pss_mib([postmaster, *postmaster.children(recursive=True)])
    return {**parts, POSTGRES: postgres, "whole": _pss_mib(stack.family())}


def _pss_mib(processes: Iterable[psutil.Process]) -> float:
    return sum(float(process.memory_full_info().pss) for process in processes) / MIB


def _memory(*measured: Mapping[str, float]) -> list[Line]:
    def line(what: str, name: str, most: float | None = None) -> Line:
        return Line(what, [at_rest[name] for at_rest in measured], "MiB", most)

    return [
        *(line(service, service, SERVICE_MIB_MAX) for service in SERVICES),
        line("simulated accrual system", "accrual-sim"),
        line("simulated card provider", "payment-sim"),
        line("PostgreSQL, all its processes", POSTGRES),
        line("supervisor (`galen up`)", SUPERVISOR),
        line("whole stack", "whole", STACK_MIB_MAX),
    ]


def _readiness(starts: Sequence[tuple[float, float]]) -> list[Line]:
    return [
        Line("until everything is ready", [ready_s for ready_s, _ in starts], "s", READY_S_MAX),
        Line("CPU time of the processes that stay", [cpu_s for _, cpu_s in starts], "s"),
    ]


def table(columns: Sequence[str], lines: Iterable[Line]) -> str:
    """Returns a Markdown table."""
    titles = ["", *columns, "bound", "holds"]
    return "\n".join(["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 2) + "|---|", *map(str, lines)])


def main() -> int:
    load = os.getloadavg()[0]
    memory, readiness = asyncio.run(measure())
    cores, memory_gib = psutil.cpu_count(), psutil.virtual_memory().total / 1024**3
    print(f"{cores} cores, {memory_gib:.0f} GiB, Python {sys.version.split()[0]}; load average before: {load:.1f}\n")
    print(table(["PSS at rest after the start", f"after {CUSTOMERS} customers"], memory) + "\n")
    print(table(["first start", "second start"], readiness))
    return 0 if all(line.holds for line in [*memory, *readiness]) else 1


if __name__ == "__main__":
    sys.exit(main())
