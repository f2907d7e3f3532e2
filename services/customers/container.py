"""Puts the customers service together. Used by __main__ and by tests only."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from dependency_injector import containers, providers
from galen.customers.v1 import auth_service_pb2, auth_service_pb2_grpc, customer_service_pb2, customer_service_pb2_grpc, error_reason_pb2
from prometheus_client import CollectorRegistry

from services.customers.adapters.grpc.balance import BalanceAccounts
from services.customers.adapters.passwords import Argon2Turns
from services.customers.adapters.postgres.addresses import PostgresAddresses
from services.customers.adapters.postgres.customers import PostgresCustomers
from services.customers.adapters.postgres.login_failures import PostgresFailedLogins
from services.customers.adapters.postgres.registrations import PostgresRegistrations
from services.customers.adapters.postgres.tables import OPEN_ACCOUNT, SCHEMA
from services.customers.adapters.postgres.writes import PostgresWrites
from services.customers.adapters.tokens import PublishedKeys, SignedTokens
from services.customers.application.create_admin import CreateAdmin
from services.customers.application.keep_addresses import KeepAddresses
from services.customers.application.log_in import LogIn
from services.customers.application.open_account import OpenAccount
from services.customers.application.prove_login import ProveLogin
from services.customers.application.read_addresses import ReadAddresses
from services.customers.application.read_customer import ReadCustomer
from services.customers.application.register import Register
from services.customers.application.resolve_recipients import ResolveRecipients
from services.customers.application.set_roles import SetRoles
from services.customers.application.update_customer import UpdateCustomer
from services.customers.entrypoints.grpc.caller_address import CallerAddress
from services.customers.entrypoints.grpc.servicers.auth import AuthServicer
from services.customers.entrypoints.grpc.servicers.customers import CustomerServicer
from services.customers.entrypoints.jobs.accounts import AccountJobs
from services.customers.entrypoints.jobs.housekeeping import Housekeeping
from services.customers.settings import READ_CONNECTIONS, CustomersSettings
from shared.auth.keyring import FileKeys, Keyring
from shared.auth.keys import load_signing_key
from shared.auth.tokens import TokenVerifier
from shared.clock import SystemClock
from shared.grpc.channel import token_file
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.page_tokens import PageTokens
from shared.grpc.runtime import ServiceParts
from shared.jobs.queue import JobQueue
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import check_engine, disposing, make_engine
from shared.postgres.errors import PostgresConflicts
from shared.postgres.pool import make_pool

REASONS = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]


def make_verifier(published: PublishedKeys, jwks_file: Path | None) -> TokenVerifier:
    """Checks people's tokens with the keys that we publish, services' with those of the file."""
    return TokenVerifier(Keyring([published, *([FileKeys(jwks_file)] if jwks_file else [])]))


class CustomersContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=CustomersSettings)
    registry = providers.Singleton(CollectorRegistry)
    clock = providers.Singleton(SystemClock)
    conninfo = providers.Callable(service_conninfo, settings.provided.database_uri, schema=SCHEMA, role=settings.provided.database_role)
    engine = providers.Singleton(make_engine, conninfo, size_max=settings.provided.engine_connections_max)
    # Their statements stay prepared, and neither begin nor end a transaction.
    reads = providers.Singleton(make_pool, conninfo, size_max=READ_CONNECTIONS, autocommit=True)
    conflicts = providers.Singleton(PostgresConflicts, registry)
    jobs = providers.Singleton(JobQueue, SCHEMA, conninfo, registry, on_failure=conflicts.provided.seen)
    balance = providers.Singleton(
        BalanceAccounts, settings.provided.balance_address, providers.Callable(token_file, settings.provided.service_token_file)
    )

    signing_key = providers.Singleton(load_signing_key, settings.provided.signing_key_file)
    published_keys = providers.Singleton(PublishedKeys, signing_key, settings.provided.previous_jwks_file)
    tokens = providers.Singleton(SignedTokens, signing_key, settings.provided.token_lifetime, clock)
    verifier = providers.Singleton(make_verifier, published_keys, settings.provided.jwks_file)

    hasher = providers.Singleton(
        PasswordHasher,
        time_cost=settings.provided.argon2_iterations,
        memory_cost=settings.provided.argon2_memory_kib,
        parallelism=settings.provided.argon2_lanes,
    )
    turns = providers.Singleton(
        Argon2Turns, hasher, registry, turns_max=settings.provided.hashes_max, waiting_max=settings.provided.hashes_waiting_max
    )
    failed_logins = providers.Singleton(
        PostgresFailedLogins,
        engine,
        window=providers.Callable(lambda seconds: timedelta(seconds=seconds), settings.provided.failed_logins_window_s),
        per_account_max=settings.provided.failed_logins_per_account_max,
        per_address_max=settings.provided.failed_logins_per_address_max,
    )
    proof = providers.Singleton(ProveLogin, failed_logins)
    registrations = providers.Singleton(PostgresRegistrations, engine, jobs)
    register = providers.Singleton(Register, registrations, turns, proof, tokens, clock)
    log_in = providers.Singleton(LogIn, registrations, turns, proof, tokens)
    customers = providers.Singleton(PostgresCustomers, engine, reads)
    accounts = providers.Singleton(OpenAccount, customers, balance)

    account_jobs = providers.Singleton(AccountJobs, accounts)
    housekeeping = providers.Singleton(
        Housekeeping,
        accounts,
        failed_logins,
        every_s=settings.provided.housekeeping_s,
        late_after_s=settings.provided.account_late_after_s,
    )
    auth_servicer = providers.Singleton(
        AuthServicer,
        register,
        log_in,
        published_keys.provided.jwks.call(),
        providers.Singleton(CallerAddress, settings.provided.trusted_proxies),
    )
    writes = providers.Singleton(PostgresWrites, engine)
    create_admin = providers.Singleton(CreateAdmin, registrations, turns, writes, clock)
    customer_servicer = providers.Singleton(
        CustomerServicer,
        providers.Singleton(ReadCustomer, customers),
        providers.Singleton(UpdateCustomer, writes, clock),
        providers.Singleton(SetRoles, writes, clock),
        providers.Singleton(ReadAddresses, providers.Singleton(PostgresAddresses, engine, reads)),
        providers.Singleton(KeepAddresses, writes, clock),
        providers.Singleton(ResolveRecipients, customers),
        providers.Singleton(PageTokens.from_file, settings.provided.page_token_key_file),
        providers.Singleton(lambda: ErrorCatalogue([REASONS])),
    )


def job_queue(container: CustomersContainer) -> JobQueue:
    """Returns the queue with its steps named. Nobody's account is ever given up on."""
    jobs: JobQueue = container.jobs()
    jobs.register(OPEN_ACCOUNT, container.account_jobs().open_account, attempts_max=None)
    return jobs


def resources(container: CustomersContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before anything is used, in this order."""
    connections: list[AbstractAsyncContextManager[Any]] = [disposing(container.engine()), container.reads()]
    return [*connections, container.jobs().opened(), container.balance().opened(), container.turns().opened()]


def service_parts(container: CustomersContainer) -> ServiceParts:
    """Returns what the kit runs."""
    settings: CustomersSettings = container.settings()
    engine, jobs = container.engine(), job_queue(container)
    auth, customers = container.auth_servicer(), container.customer_servicer()
    return ServiceParts(
        name="customers",
        grpc_address=settings.grpc_address,
        metrics_address=settings.metrics_address,
        drain_s=settings.drain_s,
        calls_max=settings.calls_max,
        services=[
            auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"],
            customer_service_pb2.DESCRIPTOR.services_by_name["CustomerService"],
        ],
        servicers=[
            lambda server: auth_service_pb2_grpc.add_AuthServiceServicer_to_server(auth, server),
            lambda server: customer_service_pb2_grpc.add_CustomerServiceServicer_to_server(customers, server),
        ],
        reasons=[REASONS],
        verifier=container.verifier(),
        translate=container.conflicts().translate,
        check_database=lambda: check_engine(engine),
        registry=container.registry(),
        resources=resources(container),
        background=[jobs.work, container.housekeeping().run] if settings.background_work else [],
    )
