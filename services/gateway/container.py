"""Puts the gateway together. Used by __main__ and by tests only, on a running loop: the channels belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import grpc
from aiohttp import web
from dependency_injector import containers, providers
from galen.accrual.v1 import accrual_service_pb2
from galen.accrual.v1 import error_reason_pb2 as accrual_errors
from galen.balance.v1 import balance_service_pb2
from galen.balance.v1 import error_reason_pb2 as balance_errors
from galen.customers.v1 import auth_service_pb2
from galen.customers.v1 import error_reason_pb2 as customers_errors
from galen.gateway.v1 import error_reason_pb2 as own_errors
from galen.orders.v1 import error_reason_pb2 as orders_errors
from galen.orders.v1 import payment_service_pb2
from prometheus_client import CollectorRegistry

from services.gateway.adapters.grpc.calls import Peer
from services.gateway.adapters.grpc.customers import GrpcCustomers
from services.gateway.adapters.grpc.orders import GrpcOrders
from services.gateway.adapters.grpc.payments import GrpcPayments
from services.gateway.adapters.grpc.points import GrpcPoints
from services.gateway.entrypoints.http.application import make_application
from services.gateway.entrypoints.http.bodies import Bodies
from services.gateway.entrypoints.http.budget import Budget
from services.gateway.entrypoints.http.client_address import ClientAddresses
from services.gateway.entrypoints.http.connections import ConnectionLimits, Connections
from services.gateway.entrypoints.http.credentials import Authenticator
from services.gateway.entrypoints.http.gophermart import LoginRoutes, LoyaltyRoutes
from services.gateway.entrypoints.http.metrics import HttpMetrics
from services.gateway.entrypoints.http.middleware import Reception
from services.gateway.entrypoints.http.problems import Problems
from services.gateway.entrypoints.http.server import EdgeParts
from services.gateway.entrypoints.http.webhooks import WebhookRoutes
from services.gateway.settings import GatewaySettings
from shared.grpc.channel import make_channel
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.identity import make_verifier
from shared.grpc.in_flight import InFlight

# By name: a container copies the arguments of its providers, and descriptors can't be copied.
CONTRACTS = {
    "accrual": accrual_service_pb2.DESCRIPTOR,
    "balance": balance_service_pb2.DESCRIPTOR,
    "customers": auth_service_pb2.DESCRIPTOR,
    "orders": payment_service_pb2.DESCRIPTOR,
}
_REASON_FILES = (accrual_errors, balance_errors, customers_errors, orders_errors, own_errors)
REASONS = [file.DESCRIPTOR.enum_types_by_name["ErrorReason"] for file in _REASON_FILES]


def _channel(service: str, address: str) -> grpc.aio.Channel:
    """The gateway has no identity of its own: each call bears its customer's token."""
    return make_channel(address, CONTRACTS[service].services_by_name.values(), credentials=lambda: None)


def _problems() -> Problems:
    return Problems(ErrorCatalogue(REASONS))


def _in_flight(limit: int, metrics: HttpMetrics) -> InFlight:
    return InFlight(limit, metrics.in_flight.set)


def _application(
    routes: Iterable[LoginRoutes | LoyaltyRoutes | WebhookRoutes], reception: Reception, body_bytes_max: int
) -> web.Application:
    return make_application(chain.from_iterable(part.routes() for part in routes), reception, body_bytes_max=body_bytes_max)


class GatewayContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=GatewaySettings)
    given = settings.provided
    registry = providers.Singleton(CollectorRegistry)
    metrics = providers.Singleton(HttpMetrics, registry)
    verifier = providers.Singleton(make_verifier, given.jwks_file, given.customers_address)

    customers_channel = providers.Singleton(_channel, "customers", given.customers_address)
    accrual_channel = providers.Singleton(_channel, "accrual", given.accrual_address)
    balance_channel = providers.Singleton(_channel, "balance", given.balance_address)
    orders_channel = providers.Singleton(_channel, "orders", given.orders_address)
    peer = providers.Singleton(Peer, given.request_limit_s)
    customers = providers.Singleton(GrpcCustomers, customers_channel, peer)
    orders = providers.Singleton(GrpcOrders, accrual_channel, peer, given.history_page_size)
    points = providers.Singleton(GrpcPoints, balance_channel, peer, given.history_page_size)

    budget = providers.Singleton(Budget, given.request_limit_s)
    bodies = providers.Singleton(Bodies, given.body_bytes_max, given.body_limit_s, budget)
    login_routes = providers.Singleton(LoginRoutes, customers, bodies, providers.Singleton(ClientAddresses, given.trusted_proxies))
    loyalty_routes = providers.Singleton(
        LoyaltyRoutes, providers.Singleton(Authenticator, verifier), bodies, orders, points, given.history_items_max
    )

    webhook_routes = providers.Singleton(WebhookRoutes, bodies, providers.Singleton(GrpcPayments, orders_channel, peer))

    limits = providers.Singleton(ConnectionLimits, given.connections_max, given.head_limit_s, given.write_limit_s)
    connections = providers.Singleton(Connections, limits, metrics.provided.connections)
    reception = providers.Singleton(
        Reception,
        providers.Singleton(_problems),
        providers.Singleton(_in_flight, given.requests_max, metrics),
        budget,
        connections,
        metrics,
    )
    application = providers.Singleton(
        _application, providers.List(login_routes, loyalty_routes, webhook_routes), reception, given.body_bytes_max
    )


def edge_parts(container: GatewayContainer) -> EdgeParts:
    """Returns what the run loop runs."""
    settings: GatewaySettings = container.settings()
    return EdgeParts(
        run_address=settings.run_address,
        metrics_address=settings.metrics_address,
        drain_s=settings.drain_s,
        idle_limit_s=settings.idle_limit_s,
        application=container.application(),
        reception=container.reception(),
        connections=container.connections(),
        registry=container.registry(),
        channels=[
            container.customers_channel(),
            container.accrual_channel(),
            container.balance_channel(),
            container.orders_channel(),
        ],
    )
