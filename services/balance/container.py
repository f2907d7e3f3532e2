"""Puts the balance service together. Used by __main__ and by tests only."""

from __future__ import annotations

from dependency_injector import containers, providers
from galen.balance.v1 import balance_service_pb2, balance_service_pb2_grpc, error_reason_pb2
from prometheus_client import CollectorRegistry

from services.balance.adapters.metrics import ProofMetrics
from services.balance.adapters.postgres.accounts import AccountBatches, PostgresAccounts
from services.balance.adapters.postgres.archive import PostgresArchive
from services.balance.adapters.postgres.audit import PostgresAudits
from services.balance.adapters.postgres.audit_runs import PostgresAuditRuns
from services.balance.adapters.postgres.chain import PostgresChains
from services.balance.adapters.postgres.coalesced import CoalescedAccounts, CoalescedLedger
from services.balance.adapters.postgres.due import PostgresDue
from services.balance.adapters.postgres.expiring import PostgresExpiringLots
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.adapters.postgres.past import PostgresPast
from services.balance.adapters.postgres.programs import PostgresPrograms
from services.balance.adapters.postgres.statements import PostgresStatements
from services.balance.adapters.postgres.stream import PostgresStream
from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.adapters.seal import Ed25519Seal
from services.balance.application.apply_batch import ApplyBatch
from services.balance.application.audit_accounts import AuditAccounts
from services.balance.application.audit_ledger import AuditLedger
from services.balance.application.build_chain import BuildChain
from services.balance.application.export_operations import ExportOperations
from services.balance.application.list_expiring_lots import ListExpiringLots
from services.balance.application.open_account import OpenAccount
from services.balance.application.post_points import PostPoints
from services.balance.application.programs import Programs
from services.balance.application.read_past_account import ReadPastAccount
from services.balance.application.read_statement import ReadStatement
from services.balance.application.settle_due import SettleDue
from services.balance.application.verify_chain import VerifyChain
from services.balance.application.watch_operations import WatchOperations
from services.balance.entrypoints.grpc.batches import BatchConverter
from services.balance.entrypoints.grpc.history import HistoryConverter
from services.balance.entrypoints.grpc.proof import Proof
from services.balance.entrypoints.grpc.servicer import BalanceServicer
from services.balance.entrypoints.jobs.auditing import Auditing
from services.balance.entrypoints.jobs.chaining import Chaining
from services.balance.entrypoints.jobs.sweeper import Sweeper
from services.balance.settings import BATCH_CONNECTIONS, BalanceSettings
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.identity import make_verifier
from shared.grpc.in_flight import InFlight
from shared.grpc.page_tokens import PageTokens
from shared.grpc.runtime import Background, ServiceParts
from shared.postgres.conninfo import service_conninfo
from shared.postgres.errors import PostgresConflicts
from shared.postgres.pool import Pool, check_pool, make_pool
from shared.rate_limit import KeyedLimiter

REASONS = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]


class BalanceContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=BalanceSettings)
    registry = providers.Singleton(CollectorRegistry)
    conninfo = providers.Callable(service_conninfo, settings.provided.database_uri, schema=SCHEMA, role=settings.provided.database_role)
    pool = providers.Singleton(make_pool, conninfo, size_max=settings.provided.other_connections_max)
    # Its own, because its statements stay prepared (see RoundTrips) and so that no export or audit can keep a posting waiting.
    batch_pool = providers.Singleton(make_pool, conninfo, size_max=BATCH_CONNECTIONS)
    refusals = providers.Singleton(KeyedLimiter, burst=settings.provided.refusals_burst, per_second=settings.provided.refusals_per_second)
    programs = providers.Singleton(Programs, providers.Singleton(PostgresPrograms, pool))
    ledger = providers.Singleton(CoalescedLedger, providers.Singleton(PostgresLedger, batch_pool), registry)
    account_reads = providers.Singleton(
        CoalescedAccounts, providers.Singleton(PostgresAccounts, pool), providers.Singleton(AccountBatches, batch_pool), registry
    )
    accounts = providers.Singleton(OpenAccount, account_reads, programs)
    points = providers.Singleton(PostPoints, ledger, programs, refusals)
    statement = providers.Singleton(ReadStatement, providers.Singleton(PostgresStatements, pool))
    page_tokens = providers.Singleton(PageTokens.from_file, settings.provided.page_token_key_file)
    catalogue = providers.Singleton(lambda: ErrorCatalogue([REASONS]))
    batch = providers.Singleton(ApplyBatch, ledger, programs)
    converter = providers.Singleton(BatchConverter, catalogue)
    past = providers.Singleton(ReadPastAccount, providers.Singleton(PostgresPast, pool))
    expiring_lots = providers.Singleton(ListExpiringLots, providers.Singleton(PostgresExpiringLots, pool))
    export = providers.Singleton(ExportOperations, providers.Singleton(PostgresArchive, pool))
    watch = providers.Singleton(
        WatchOperations,
        providers.Singleton(PostgresStream, pool),
        poll_every_s=settings.provided.watch_poll_every_s,
        heartbeat_s=settings.provided.watch_heartbeat_s,
    )
    history = providers.Singleton(HistoryConverter, past, expiring_lots, watch, export, page_tokens)
    # Two at once at most: each keeps a connection busy for as long as it runs.
    proofs_running = providers.Singleton(InFlight, 2)
    seal = providers.Singleton(Ed25519Seal.from_file, settings.provided.chain_key_file)
    chains = providers.Singleton(PostgresChains, pool)
    audit_accounts = providers.Singleton(AuditAccounts, providers.Singleton(PostgresAudits, pool), proofs_running)
    verify_chain = providers.Singleton(VerifyChain, chains, seal, proofs_running)
    proof = providers.Singleton(Proof, audit_accounts, verify_chain, programs)
    proof_metrics = providers.Singleton(ProofMetrics, registry)
    audit_runs = providers.Singleton(PostgresAuditRuns, pool)
    audit_ledger = providers.Singleton(AuditLedger, audit_runs, audit_accounts, verify_chain, settings.provided.audit_every_s)
    auditing = providers.Singleton(Auditing, audit_ledger, audit_runs, proof_metrics, settings.provided.audit_every_s)
    build_chain = providers.Singleton(BuildChain, chains, seal, settings.provided.chain_batch)
    chaining = providers.Singleton(
        Chaining, chains, build_chain, proof_metrics, every_s=settings.provided.chain_every_s, batch=settings.provided.chain_batch
    )
    servicer = providers.Singleton(BalanceServicer, accounts, points, statement, page_tokens, batch, converter, programs, history, proof)
    settle_due = providers.Singleton(SettleDue, providers.Singleton(PostgresDue, pool), ledger)
    sweeper = providers.Singleton(Sweeper, settle_due, settings.provided.sweep_every_s, registry)
    verifier = providers.Singleton(make_verifier, settings.provided.jwks_file, settings.provided.customers_address)


def background(container: BalanceContainer) -> list[Background]:
    """Returns what runs beside the calls."""
    settings: BalanceSettings = container.settings()
    work = [container.sweeper().run, container.watch().run]
    if settings.audit_every_s:
        work.append(container.auditing().run)
    if container.seal():
        work.append(container.chaining().run)
    return work


def service_parts(container: BalanceContainer) -> ServiceParts:
    """Returns what the kit runs."""
    settings: BalanceSettings = container.settings()
    pool: Pool = container.pool()
    servicer = container.servicer()
    return ServiceParts(
        name="balance",
        grpc_address=settings.grpc_address,
        metrics_address=settings.metrics_address,
        drain_s=settings.drain_s,
        calls_max=settings.calls_max,
        services=[balance_service_pb2.DESCRIPTOR.services_by_name["BalanceService"]],
        servicers=[lambda server: balance_service_pb2_grpc.add_BalanceServiceServicer_to_server(servicer, server)],
        reasons=[REASONS],
        verifier=container.verifier(),
        translate=PostgresConflicts(container.registry()).translate,
        check_database=lambda: check_pool(pool),
        registry=container.registry(),
        resources=[pool, container.batch_pool(), container.ledger().opened(), container.account_reads().opened()],
        background=background(container),
    )
