"""`galen up`: PostgreSQL, migrations, every service as a process of its own, the simulators, and the edge last."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.banner import banner
from deploy.local.database_keeper import DatabaseKeeper
from deploy.local.keys import KeyFolder
from deploy.local.merged_log import MergedLog
from deploy.local.ports import Address, AddressUnusable, PortLocks, PortPlan
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.postgres_binaries import PostgresUnusable, find_binaries
from deploy.local.process_records import ProcessRecords
from deploy.local.roles import DatabaseUnusable, prepare_database
from deploy.local.state_folder import PROJECT, StateFolder, StateFolderInUse
from deploy.local.supervisor import Program, StackFailed, Supervisor, run_to_end, together
from deploy.local.topology import ACCRUAL_SIM, PAYMENT_SIM, SERVICES, Addresses, Service, Topology, parse_overrides, plan_addresses

DEFAULT_EDGE = "127.0.0.1:8080"
DATABASE = "galen"
# 4 services with at most 12 connections each, the simulators, and some for people who look inside.
POSTGRES_CONNECTIONS = 120
MIGRATION_ATTEMPTS = 4
MIGRATION_RETRY_S = 0.5
READY_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `database_uri`, `accrual_system` and `payment_provider` are None where the stack brings its own."""

    state: Path
    edge: str = DEFAULT_EDGE
    database_uri: str | None = field(default=None, repr=False)
    accrual_system: str | None = None
    payment_provider: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    pg_bin: str | None = None
    log_format: str = "auto"
    log_level: str = "info"
    services: tuple[Service, ...] = SERVICES


def up(options: Options) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit status: 0 when it was stopped, 1 when it could not do its work."""
    state = StateFolder(options.state)
    try:
        state.open()
    except (StateFolderInUse, OSError) as error:
        print(f"galen: {error}", file=sys.stderr)
        return 1
    readable = options.log_format == "console" or (options.log_format == "auto" and sys.stdout.isatty())
    log = MergedLog(state.logs, coloured=readable and sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    try:
        asyncio.run(Stack(options, state, log, log_format="console" if readable else "json").run())
    except (StackFailed, AddressUnusable, PostgresUnusable, DatabaseUnusable, OSError, ValueError) as error:
        log.say(f"failed: {error}")
        return 1
    finally:
        state.close()
        log.close()
    return 0


class Stack:
    """One run of the stack."""

    def __init__(self, options: Options, state: StateFolder, log: MergedLog, *, log_format: str) -> None:
        self._options = options
        self._state = state
        self._log = log
        self._log_format = log_format
        self._records = ProcessRecords(state.processes)
        self._keys = KeyFolder(state.keys)
        self._port_locks = PortLocks()
        self._database: DatabaseKeeper | None = None
        self._supervisor: Supervisor | None = None

    async def run(self) -> None:
        """Start everything, wait for a signal, stop everything. Raises what made the start fail."""
        stopping = asyncio.Event()
        on_signals(self._on_signal(stopping))
        starting = asyncio.create_task(self._start())
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.is_set():
                starting.result()
                await stopped
        finally:
            await _cancel(starting, stopped)
            await self._stop()

    def _on_signal(self, stopping: asyncio.Event) -> Callable[[], None]:
        def stop() -> None:
            if not stopping.is_set():
                self._log.say("stopping; once more to stop at once")
                stopping.set()
            elif self._supervisor:
                self._supervisor.kill()

        return stop

    async def _start(self) -> None:
        for name in await asyncio.to_thread(self._records.end_leftovers):
            self._log.say(f"{name} of an earlier run was still there and has been ended")
        edge = Address.parse(self._options.edge)
        overrides = parse_overrides(self._options.overrides, self._options.services)
        addresses = self._plan(edge)
        self._keys.ensure(self._owners)
        uri, shown = await self._start_database()
        roles = await prepare_database(uri, [*self._owners, *addresses.simulators], self._log.say)
        topology = Topology(addresses, uri, roles, self._keys, self._log_format, self._options.log_level, overrides, self._options.services)
        await self._start_programs(topology)
        self._state.publish(described(topology))
        seconds = time.time() - psutil.Process().create_time()
        self._log.show(banner(addresses, state=self._state.path, database=shown, coloured=self._log.coloured, seconds=seconds))

    @property
    def _owners(self) -> list[str]:
        """The services that own data, and so have a role, a schema and a token."""
        return [service.name for service in self._options.services if not service.is_edge]

    def _plan(self, edge: Address) -> Addresses:
        ports = PortPlan(self._port_locks, self._options.ports)
        ports.take_edge(edge)
        addresses = plan_addresses(edge, self._options.accrual_system, self._options.payment_provider, ports, self._options.services)
        for name, (usual, port) in ports.moved.items():
            self._log.say(f"port {usual} is taken; {name} listens on {port}")
        return addresses

    async def _start_database(self) -> tuple[str, str]:
        """Returns the URI, and how the database is called towards people."""
        if self._options.database_uri:
            return self._options.database_uri, "the one given"
        self._log.say("starting PostgreSQL")
        binaries = find_binaries(self._options.pg_bin)
        home = self._state.postgres_home()
        if not home.is_relative_to(self._state.path):
            self._log.say(f"{self._state.path} is out of reach for PostgreSQL, which does not run as root: its data is in {home}")
        port = self._options.ports.get("postgres", 0)
        log_file = self._state.logs / "postgres.log"
        server = EmbeddedPostgres(binaries, home, port=port, max_connections=POSTGRES_CONNECTIONS, log_file=log_file)
        self._database = DatabaseKeeper(server, self._log)
        await self._database.start()
        return server.dsn(DATABASE), f"127.0.0.1:{server.port}, database {DATABASE}, user postgres, password in {home / 'password'}"

    async def _migrate(self, program: Program) -> None:
        """Several times: a given database may go away for a moment just now. Raises StackFailed."""
        for attempt in range(MIGRATION_ATTEMPTS):
            ended = await run_to_end(program, PROJECT, self._log, self._records)
            if ended is None:
                return
            self._log.say(f"the migration of {program.name} {ended}")
            await asyncio.sleep(MIGRATION_RETRY_S * 2**attempt)
        raise StackFailed(f"the schema of {program.name} cannot be brought up to date; its lines above tell why")

    async def _start_programs(self, topology: Topology) -> None:
        self._log.say("bringing the schemas up to date")
        await together(self._migrate(program) for program in topology.migrations())
        self._log.say("starting the services")
        self._supervisor = Supervisor(topology.serving(), PROJECT, self._log, self._records)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._supervisor.start()
        except TimeoutError:
            late = ", ".join(child.program.name for child in self._supervisor.children.values() if not child.was_ready)
            raise StackFailed(f"not ready within {READY_TIMEOUT_S:g} s: {late}; see {self._state.logs}") from None

    async def _stop(self) -> None:
        if self._supervisor:
            await self._supervisor.stop()
        if self._database:
            await self._database.stop()
        self._port_locks.close()
        self._log.say("stopped")


def described(topology: Topology) -> dict[str, object]:
    """What other programs need to know of a running stack. No secrets: the file may be read by anybody."""
    addresses = topology.addresses
    return {
        "edge": f"http://{addresses.edge.reachable}",
        "accrual_system": addresses.accrual_system,
        "simulated": ACCRUAL_SIM in addresses.simulators,
        "payment_provider": addresses.payment_provider,
        "payments_simulated": PAYMENT_SIM in addresses.simulators,
        "grpc": {name: str(address) for name, address in addresses.grpc.items()},
        "metrics": {name: f"http://{address}" for name, address in addresses.metrics.items()},
    }


def on_signals(react: Callable[[], None]) -> None:
    """Call `react` on everything that a person or a system ends a program with."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to outlive the terminal
        numbers.append(signal.SIGHUP)
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, react)


async def _cancel(*tasks: asyncio.Task[object] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
