"""Server processes to measure, and what CPU they use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from shared.testing.servers import free_port

# Durable: `fsync` and `synchronous_commit` stay on, which they are by default. Room for the tables, and no checkpoint all the time.
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", *POSTGRES)
READY_WITHIN_S = 30.0


class BenchmarkFailed(Exception):
    """What was measured went wrong, so there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that answers at `address`."""

    address: str
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that it has used."""
        return _cpu_s(self.process)


def postgres_cpu_s(postgres: psutil.Process) -> float:
    """Returns the seconds of CPU that all processes of PostgreSQL have used, those that ended included."""
    ended = postgres.cpu_times()
    running = sum(_cpu_s(process) for process in postgres.children(recursive=True))
    return ended.user + ended.system + ended.children_user + ended.children_system + running


def postgres_settings(uri: str) -> dict[str, str]:
    """Returns the settings of PostgreSQL that matter to figures."""
    with psycopg.connect(uri) as connection:
        return {name: connection.execute(f"show {name}").fetchone()[0] for name in SHOWN}  # type: ignore[index]


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return used.user + used.system


@contextmanager
def served(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Runs a server program until the block ends; its log goes to a file, a line for each call like in production."""
    address, metrics_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    addresses = {"GRPC_ADDRESS": address, "METRICS_ADDRESS": metrics_address}
    environment = {**os.environ, "LOG_FORMAT": "json", "DRAIN_S": "0"} | addresses | dict(settings)
    if "PROCESSOR" not in settings:
        environment.pop("PROCESSOR", None)
    log_file = folder / f"{address.rpartition(':')[2]}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, f"http://{metrics_address}/readyz", log_file)
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


@contextmanager
def provider_served(folder: Path, *, latency_s: float, settings: Mapping[str, str]) -> Iterator[Server]:
    """Runs the simulated card provider until the block ends; each answer takes that long at least."""
    address = f"127.0.0.1:{free_port()}"
    own = {"RUN_ADDRESS": address, "PAYMENT_SIM_LATENCY_S": str(latency_s), "LOG_FORMAT": "json"}
    environment = os.environ | own | dict(settings)
    log_file = folder / "payment-sim.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "deploy.local.payment_sim"], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, f"http://{address}/control/money", log_file)
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_file: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > until:
            raise BenchmarkFailed(f"a server did not start:\n{log_file.read_text()[-2000:]}")
        time.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
