"""What is measured of the orders service, set up: PostgreSQL, databases, the service with real customers beside it, the generator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import psycopg
from galen.orders.v1 import order_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.order_service_pb2_grpc import OrderServiceStub

from deploy.local.postgres import EmbeddedPostgres, temporary_postgres
from deploy.local.postgres_binaries import find_binaries
from services.customers.migrations.schema import schema as customers_schema
from services.orders.migrations.schema import schema as orders_schema
from shared.grpc.page_tokens import PageTokens
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities, make_identities
from tests.benchmarks.http2_load import Load, LoadResult, load_process
from tests.benchmarks.orders import data
from tests.benchmarks.pgbench import Pgbench
from tests.benchmarks.servers import POSTGRES, Server, postgres_cpu_s, postgres_settings, served

ORDERS = ("-m", "services.orders", "serve")
CUSTOMERS = ("-m", "services.customers", "serve")
CONNECTIONS = 4
# Faster than anything here: so many requests are made for each second of a measurement.
REQUESTS_PER_S = 2_500
CALLER = "bench"
# All buyers of a sale are there at once, and each of them is answered.
CALLS_MAX = 512


@dataclass(frozen=True, slots=True)
class OrdersBench:
    """The parts. `uri` is the database of `orders`, which leaves jobs and feed to others; pgbench has one of its own."""

    uri: str
    server_uri: str
    postgres: psutil.Process
    postgres_settings: Mapping[str, str]
    token: str
    page_tokens: PageTokens
    settings: Mapping[str, str]
    folder: Path
    pgbench: Pgbench
    load: Load
    orders: Server
    customers: Server
    requests_per_s: int = REQUESTS_PER_S

    def call(
        self,
        method: str,
        server: Server,
        bodies: Sequence[bytes],
        *,
        in_flight: int,
        connections: int = CONNECTIONS,
        duration_s: float = math.inf,
    ) -> LoadResult:
        """Makes the calls, as staff."""
        return self.load(
            server.address,
            data.SERVICE + method,
            self.token,
            bodies,
            connections=min(connections, in_flight),
            in_flight=in_flight,
            duration_s=duration_s,
        )

    def cpu_s(self, server: Server) -> dict[str, float]:
        """Returns the seconds of CPU that were used, by who used them."""
        return {"server": server.cpu_s, "customers": self.customers.cpu_s, "postgres": postgres_cpu_s(self.postgres)}

    def make_order(self, lines: int) -> Order:
        """Makes an order over a channel of its own."""
        request = messages.CreateOrderRequest.FromString(data.carts(lambda: data.spread(lines), 1)[0])
        with grpc.insecure_channel(self.orders.address) as channel:
            metadata = (("authorization", f"Bearer {self.token}"),)
            return OrderServiceStub(channel).CreateOrder(request, metadata=metadata, timeout=10).order

    @contextmanager
    def serving(self, uri: str, **settings: str) -> Iterator[Server]:
        """Runs another orders service on another database until the block ends."""
        with served(ORDERS, self.folder, {**self.settings, "DATABASE_URI": uri, **settings}) as server:
            yield server

    @contextmanager
    def database(self) -> Iterator[str]:
        """Makes another database with the schema of orders until the block ends; yields its URI."""
        with fresh_database(self.server_uri) as uri:
            migrate(orders_schema, uri)
            yield uri


@contextmanager
def orders_workbench(folder: Path) -> Iterator[OrdersBench]:
    """Sets everything up, in `folder` what is not PostgreSQL's; takes it down at the end of the block."""
    with ExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres(settings=POSTGRES))
        uri, pgbench_uri = (stack.enter_context(_shop(postgres)) for _ in range(2))
        customers_uri = stack.enter_context(fresh_database(postgres.dsn()))
        migrate(customers_schema, customers_uri)
        data.seed_customers(customers_uri)
        identities = make_identities(folder)
        common = _common(folder, identities)
        customers_settings = common | {"DATABASE_URI": customers_uri, "SIGNING_KEY_FILE": str(identities.signing_key_file)}
        customers = stack.enter_context(served(CUSTOMERS, folder, customers_settings))
        settings = common | {"CUSTOMERS_ADDRESS": customers.address, "BACKGROUND_WORK": "false", "CALLS_MAX": str(CALLS_MAX)}
        orders = stack.enter_context(served(ORDERS, folder, settings | {"DATABASE_URI": uri}))
        yield OrdersBench(
            uri=uri,
            server_uri=postgres.dsn(),
            postgres=psutil.Process(postgres.pid),
            postgres_settings=postgres_settings(uri),
            token=_token(identities),
            page_tokens=PageTokens.from_file(identities.page_token_key_file),
            settings=settings,
            folder=folder,
            pgbench=Pgbench(find_binaries() / "pgbench", pgbench_uri, {"search_path": "orders"}),
            load=stack.enter_context(load_process()),
            orders=orders,
            customers=customers,
        )


@contextmanager
def _shop(postgres: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres.dsn()) as uri:
        migrate(orders_schema, uri)
        data.seed_shop(uri)
        yield uri


def _common(folder: Path, identities: Identities) -> dict[str, str]:
    token_file = folder / "orders.jwt"
    token_file.write_text(identities.service_token("orders"))
    return {
        "JWKS_FILE": str(identities.jwks_file),
        "PAGE_TOKEN_KEY_FILE": str(identities.page_token_key_file),
        "SERVICE_TOKEN_FILE": str(token_file),
    }


def _token(identities: Identities) -> str:
    """Returns the token of somebody at the counter, who may order for everybody."""
    return identities.customer(CALLER, roles=("customer", "staff"))[0][1].removeprefix("Bearer ")


def remembered(uri: str) -> dict[str, str]:
    """Returns what is stored of the latest order besides its columns: the remembered answer, the address, the words it is found by."""
    query = """
        select l.reply::text as reply, o.delivery_address::text as address, array_to_string(tsvector_to_array(o.search), ' ') as words
        from orders.customer_order o join orders.request_log l on l.reply -> 'answer' ->> 'id' = o.order_id::text
        order by o.created_at desc limit 1
    """
    with psycopg.connect(uri) as connection:
        row = connection.execute(query).fetchone()
    return dict(zip(("reply", "address", "words"), row or (), strict=True))
