"""Puts the accrual service together. Used by __main__ and by tests only."""

from __future__ import annotations

import asyncio
import random

from dependency_injector import containers, providers
from galen.accrual.v1 import accrual_service_pb2, accrual_service_pb2_grpc, error_reason_pb2
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.accrual.adapters.grpc.points import BalancePoints
from services.accrual.adapters.http.accrual_system import HttpAccrualSystem, HttpLimits
from services.accrual.adapters.metrics import AccrualMetrics
from services.accrual.adapters.postgres.claims import PostgresClaims
from services.accrual.adapters.postgres.poll_queue import SETTLE_JOB, PostgresPollQueue
from services.accrual.adapters.postgres.provider import PostgresProviderRecord
from services.accrual.adapters.postgres.settlements import PostgresSettlements
from services.accrual.adapters.postgres.submissions import PostgresSubmissions
from services.accrual.adapters.postgres.tables import SCHEMA
from services.accrual.application.gate import Gate
from services.accrual.application.poll_claim import PollClaim, PollParts
from services.accrual.application.read_claims import ReadClaims
from services.accrual.application.register_purchase import RegisterPurchase
from services.accrual.application.settle_claim import SettleClaim
from services.accrual.application.submit_claim import SubmitClaim
from services.accrual.domain.backoff import BackOff
from services.accrual.domain.provider import BreakerRules
from services.accrual.entrypoints.grpc.servicer import AccrualServicer
from services.accrual.entrypoints.jobs.measuring import Measuring
from services.accrual.entrypoints.jobs.poller import Poller, PollerRules
from services.accrual.settings import JOB_CONNECTIONS, AccrualSettings
from shared.clock import SystemClock
from shared.faults import Faults
from shared.grpc.channel import token_file
from shared.grpc.identity import make_verifier
from shared.grpc.page_tokens import PageTokens
from shared.grpc.runtime import ServiceParts
from shared.jobs.queue import JobQueue
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import check_engine, disposing, make_engine
from shared.postgres.errors import PostgresConflicts

# A caller is better served by an early refusal; a poll that has its answer had better wait to record it.
WORK_WAIT_S = 10.0


def _call_engine(conninfo: str, connections_max: int) -> AsyncEngine:
    return make_engine(conninfo, size_max=connections_max - JOB_CONNECTIONS - _work_connections(connections_max))


def _work_engine(conninfo: str, connections_max: int) -> AsyncEngine:
    return make_engine(conninfo, size_max=_work_connections(connections_max), wait_limit_s=WORK_WAIT_S)


def _work_connections(connections_max: int) -> int:
    return (connections_max - JOB_CONNECTIONS + 1) // 3


def _jobs(
    conninfo: str, registry: CollectorRegistry, conflicts: PostgresConflicts, settings: AccrualSettings, settle: SettleClaim
) -> JobQueue:
    jobs = JobQueue(SCHEMA, conninfo, registry, dead_after_s=settings.jobs_dead_after_s, on_failure=conflicts.seen)
    jobs.register(SETTLE_JOB, settle.__call__, attempts_max=None)
    return jobs


class AccrualContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=AccrualSettings)
    registry = providers.Singleton(CollectorRegistry)
    conflicts = providers.Singleton(PostgresConflicts, registry)
    metrics = providers.Singleton(AccrualMetrics, registry)
    faults = providers.Singleton(Faults, settings.provided.fault_at)
    new_claims = providers.Singleton(asyncio.Event)
    conninfo = providers.Callable(service_conninfo, settings.provided.database_uri, schema=SCHEMA, role=settings.provided.database_role)
    # Callers can use up their connections only, never those of the poller, the settling jobs and the gate.
    engine = providers.Singleton(_call_engine, conninfo, settings.provided.database_connections_max)
    work_engine = providers.Singleton(_work_engine, conninfo, settings.provided.database_connections_max)

    token = providers.Callable(token_file, settings.provided.service_token_file)
    points = providers.Singleton(BalancePoints, settings.provided.balance_address, token)
    settle = providers.Singleton(SettleClaim, providers.Singleton(PostgresSettlements, work_engine), points, metrics, faults)
    jobs = providers.Singleton(_jobs, conninfo, registry, conflicts, settings, settle)

    breaker = providers.Singleton(
        BreakerRules,
        failures_max=settings.provided.breaker_failures_max,
        cool_down_s=settings.provided.breaker_cool_down_s,
        cool_down_max_s=settings.provided.breaker_cool_down_max_s,
        # A probe is sent right after it was given away: by then it has ended, or its sender has.
        probe_s=settings.provided.lease_s,
    )
    record = providers.Singleton(PostgresProviderRecord, work_engine, breaker)
    # Purchases and polls have slots of their own, so that neither can keep the other waiting.
    poll_gate = providers.Singleton(Gate, record, breaker, metrics, slots=settings.provided.poll_concurrency)
    purchase_gate = providers.Singleton(Gate, record, breaker, metrics, slots=settings.provided.purchase_concurrency)
    limits = providers.Singleton(
        HttpLimits,
        connect_s=settings.provided.provider_connect_s,
        total_s=settings.provided.provider_total_s,
        body_max=settings.provided.provider_body_max,
    )
    system = providers.Singleton(HttpAccrualSystem, settings.provided.accrual_system_address, limits, providers.Singleton(SystemClock))
    queue = providers.Singleton(PostgresPollQueue, work_engine, jobs, faults, lease_s=settings.provided.lease_s)
    back_off = providers.Singleton(
        BackOff, first_s=settings.provided.poll_back_off_first_s, longest_s=settings.provided.poll_back_off_max_s
    )
    poll = providers.Singleton(
        PollClaim,
        providers.Singleton(
            PollParts, queue=queue, system=system, gate=poll_gate, back_off=back_off, chance=providers.Object(random.random), faults=faults
        ),
    )
    poller_rules = providers.Singleton(PollerRules, concurrency=settings.provided.poll_concurrency, idle_s=settings.provided.poll_idle_s)
    poller = providers.Singleton(Poller, queue, record, poll, metrics, poller_rules, new_claims)
    measuring = providers.Singleton(Measuring, queue, record, metrics)

    submissions = providers.Singleton(PostgresSubmissions, engine)
    submit = providers.Singleton(SubmitClaim, submissions, pending_max=settings.provided.pending_claims_max, on_new=new_claims.provided.set)
    register = providers.Singleton(RegisterPurchase, submissions, system, purchase_gate, on_new=new_claims.provided.set)
    claims = providers.Singleton(ReadClaims, providers.Singleton(PostgresClaims, engine), record, queue)
    page_tokens = providers.Singleton(PageTokens.from_file, settings.provided.page_token_key_file)
    servicer = providers.Singleton(AccrualServicer, submit, register, claims, page_tokens)
    verifier = providers.Singleton(make_verifier, settings.provided.jwks_file, settings.provided.customers_address)


def service_parts(container: AccrualContainer) -> ServiceParts:
    """Returns what the kit runs."""
    settings: AccrualSettings = container.settings()
    engine: AsyncEngine = container.engine()
    servicer = container.servicer()
    background = [container.measuring().run]
    if settings.background_work:
        background += [container.poller().run, container.jobs().work]
    return ServiceParts(
        name="accrual",
        grpc_address=settings.grpc_address,
        metrics_address=settings.metrics_address,
        drain_s=settings.drain_s,
        calls_max=settings.calls_max,
        services=[accrual_service_pb2.DESCRIPTOR.services_by_name["AccrualService"]],
        servicers=[lambda server: accrual_service_pb2_grpc.add_AccrualServiceServicer_to_server(servicer, server)],
        reasons=[error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]],
        verifier=container.verifier(),
        translate=container.conflicts().translate,
        check_database=lambda: check_engine(engine),
        registry=container.registry(),
        resources=[
            disposing(engine),
            disposing(container.work_engine()),
            container.jobs().opened(),
            container.system().opened(),
            container.points().opened(),
        ],
        background=background,
    )
