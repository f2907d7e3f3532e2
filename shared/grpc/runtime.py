"""Runs a gRPC service from its parts: opens things in order, serves, and on SIGTERM or SIGINT closes them in the order that loses nothing.

Drain: not ready -> wait, so that callers notice -> stop accepting, let calls end -> wait for writes that go on -> stop background work
-> close the database.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
import uvloop
from google.protobuf.descriptor import EnumDescriptor, ServiceDescriptor
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry

from shared.auth.tokens import TokenVerifier
from shared.grpc.contract import read_contracts
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.health import CheckDatabase, Health
from shared.grpc.in_flight import InFlight, OpenStreams
from shared.grpc.interceptor import ContractInterceptor, Translate
from shared.grpc.server import AddServicer, make_server
from shared.observability.call_log import call_log
from shared.observability.metrics import RpcMetrics
from shared.observability.probes import ProbeServer
from shared.tasks import end_tasks

log = structlog.get_logger()

STOP_GRACE_S = 20.0
NEW_OBJECTS_BEFORE_GC = 10_000
# Work beside the calls: a poller, a job worker. It runs until it is cancelled, and cleans up then.
Background = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What makes a service: its contracts and servicers, what they need opened, and what runs beside them."""

    name: str
    grpc_address: str
    metrics_address: str
    drain_s: float
    calls_max: int
    services: Sequence[ServiceDescriptor]
    servicers: Sequence[AddServicer]
    reasons: Sequence[EnumDescriptor]
    verifier: TokenVerifier
    translate: Translate
    check_database: CheckDatabase
    registry: CollectorRegistry
    # Opened in this order before serving, closed in reverse after everything has ended.
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()
    background: Sequence[Background] = ()


@dataclass(slots=True)
class RunningService:
    """A service that serves. `port` is the one that was bound."""

    server: grpc.aio.Server
    interceptor: ContractInterceptor
    health: Health
    in_flight: InFlight
    port: int
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


def serve(parts: ServiceParts) -> None:
    """Runs the service until SIGTERM or SIGINT, on one uvloop loop. Blocks."""
    uvloop.run(_serve_until_signal(parts))


async def _serve_until_signal(parts: ServiceParts) -> None:
    stop = stop_on_signals()
    async with running(parts) as service:
        _tame_garbage_collector()
        ended = asyncio.create_task(_first_end(service.tasks))
        await asyncio.wait([asyncio.create_task(stop.wait()), ended], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise SystemExit(f"{parts.name}: background work ended: {ended.result()!r}")


def _tame_garbage_collector() -> None:
    """Has it look less often, and not at modules, messages and rules, which stay until the end.

    Each look goes over all calls in flight: one after every 700 new objects, as it is by default, took a twentieth of the ledger's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BEFORE_GC)


def stop_on_signals() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _first_end(tasks: Iterable[asyncio.Task[None]]) -> BaseException | None:
    """Waits until one of the tasks ends, which none should; returns what it died of."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return next(iter(done)).exception()


@asynccontextmanager
async def running(parts: ServiceParts) -> AsyncIterator[RunningService]:
    """Serves inside the block; drains at its end."""
    async with AsyncExitStack() as stack:
        for resource in parts.resources:
            await stack.enter_async_context(resource)
        service = await _start(parts, stack)
        log.info("serving", grpc=f"{parts.grpc_address.rpartition(':')[0]}:{service.port}", metrics=parts.metrics_address)
        try:
            yield service
        finally:
            await _drain(parts, service)


async def _start(parts: ServiceParts, stack: AsyncExitStack) -> RunningService:
    metrics = RpcMetrics(parts.registry)
    in_flight = InFlight(parts.calls_max)
    metrics.in_flight.set_function(lambda: in_flight.count)
    interceptor = ContractInterceptor(
        contracts=read_contracts(parts.services),
        verifier=parts.verifier,
        catalogue=ErrorCatalogue(parts.reasons),
        in_flight=in_flight,
        streams=OpenStreams(parts.calls_max, metrics.streams.set),
        metrics=metrics,
        log_call=call_log(parts.name),
        translate=parts.translate,
    )
    servicer = health.aio.HealthServicer()
    state = Health(servicer, [service.full_name for service in parts.services], parts.check_database)
    server = make_server(parts.services, parts.servicers, interceptor, servicer)
    port = server.add_insecure_port(parts.grpc_address)
    probes = ProbeServer(parts.metrics_address, parts.registry, lambda: state.ready)
    await state.begin()
    await server.start()
    await probes.start()
    stack.push_async_callback(probes.stop)
    tasks = [asyncio.create_task(work()) for work in (state.watch, *parts.background)]
    return RunningService(server, interceptor, state, in_flight, port, tasks)


async def _drain(parts: ServiceParts, service: RunningService) -> None:
    await service.health.drain()
    await asyncio.sleep(parts.drain_s)
    service.interceptor.end_streams()
    await service.server.stop(STOP_GRACE_S)
    idle = await service.in_flight.wait_idle(STOP_GRACE_S)
    await end_tasks(service.tasks, patience_s=STOP_GRACE_S)
    log.info("drained", all_calls_ended=idle, in_flight=service.in_flight.count)
