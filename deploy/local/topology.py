"""What the stack consists of: one row for each service, and what each is given. A new service is a new row."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.keys import KeyFolder
from deploy.local.ports import Address, PortPlan
from deploy.local.supervisor import Program, StackFailed, Tier

# What children get of our own environment; all else they are given on purpose. A proxy must not come between services on loopback.
PASSED_ON = frozenset({"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONHOME"})
PASSED_ON_PREFIXES = ("LC_",)
ACCRUAL_SIM = "accrual-sim"
ACCRUAL_SIM_PORT = 8090
PAYMENT_SIM = "payment-sim"
PAYMENT_SIM_PORT = 8091
SIMULATORS = (ACCRUAL_SIM, PAYMENT_SIM)
# Where the edge takes the card provider's messages.
WEBHOOKS = "/webhooks/payments"
# Nobody balances calls between replicas here, so there is nobody to notice that a service is about to go.
DRAIN_S = "0.2"


@dataclass(frozen=True, slots=True)
class Service:
    """A row: the ports it likes to have, the services it calls, and which settings it gets besides those of all."""

    name: str
    metrics_port: int
    grpc_port: int | None = None
    peers: tuple[str, ...] = ()
    gets: tuple[str, ...] = ()
    module: str = ""

    def command(self, verb: str) -> tuple[str, ...]:
        """`python -m services.<name> <verb>`."""
        return _python("-m", self.module or f"services.{self.name}", verb)

    @property
    def is_edge(self) -> bool:
        """The edge speaks HTTP to the world, owns no data and has no identity of its own: it passes on the user's."""
        return self.grpc_port is None


SERVICES: tuple[Service, ...] = (
    Service("balance", metrics_port=9101, grpc_port=50051, peers=("customers",), gets=("CHAIN_KEY_FILE",)),
    Service(
        "orders",
        metrics_port=9102,
        grpc_port=50052,
        peers=("balance", "accrual", "customers"),
        gets=("PAYMENT_PROVIDER_ADDRESS", "PAYMENT_PROVIDER_KEY_FILE", "PAYMENT_WEBHOOK_SECRETS_FILE"),
    ),
    Service("accrual", metrics_port=9103, grpc_port=50053, peers=("balance", "customers"), gets=("ACCRUAL_SYSTEM_ADDRESS",)),
    Service("customers", metrics_port=9104, grpc_port=50054, peers=("balance",), gets=("SIGNING_KEY_FILE",)),
    Service("gateway", metrics_port=9105, peers=("balance", "orders", "accrual", "customers"), gets=("RUN_ADDRESS",)),
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers. `accrual_system` and `payment_provider` are URLs, and have a simulator unless they are somebody else's."""

    edge: Address
    grpc: Mapping[str, Address]
    metrics: Mapping[str, Address]
    simulators: Mapping[str, Address]
    accrual_system: str
    payment_provider: str


def plan_addresses(
    edge: Address, accrual_system: str | None, payment_provider: str | None, ports: PortPlan, services: Iterable[Service] = SERVICES
) -> Addresses:
    """Give each its port, and a simulator to whatever outside system is not given. Raises AddressUnusable."""
    services = tuple(services)
    simulators = {} if accrual_system else {ACCRUAL_SIM: ports.take(ACCRUAL_SIM, ACCRUAL_SIM_PORT)}
    simulators |= {} if payment_provider else {PAYMENT_SIM: ports.take(PAYMENT_SIM, PAYMENT_SIM_PORT)}
    return Addresses(
        edge=edge,
        grpc={service.name: ports.take(service.name, service.grpc_port) for service in services if service.grpc_port},
        metrics={service.name: ports.take(f"{service.name}-metrics", service.metrics_port) for service in services},
        simulators=simulators,
        accrual_system=_with_scheme(accrual_system or str(simulators[ACCRUAL_SIM])),
        payment_provider=_with_scheme(payment_provider or str(simulators[PAYMENT_SIM])),
    )


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def port_names(services: Iterable[Service] = SERVICES) -> list[str]:
    """The names that ports can be asked for by."""
    names = [name for service in services for name in ([service.name] if service.grpc_port else []) + [f"{service.name}-metrics"]]
    return [*names, *SIMULATORS, "postgres"]


@dataclass(frozen=True, slots=True)
class Topology:
    """Builds the programs of a stack. `overrides` are settings by service, which win over what the stack gives."""

    addresses: Addresses
    database_uri: str
    roles: Mapping[str, str]
    keys: KeyFolder
    log_format: str
    log_level: str
    overrides: Mapping[str, Mapping[str, str]]
    services: Sequence[Service] = SERVICES

    def serving(self) -> list[Program]:
        """Everything that keeps running."""
        simulators = [self._simulator(name, address) for name, address in self.addresses.simulators.items()]
        return [*simulators, *(self._serving(service) for service in self.services)]

    def migrations(self) -> list[Program]:
        """What brings the schemas up to date, one program for each service that owns data."""
        return [
            Program(service.name, service.command("migrate"), self._environment(service))
            for service in self.services
            if not service.is_edge
        ]

    def _serving(self, service: Service) -> Program:
        return Program(
            service.name,
            service.command("serve"),
            self._environment(service),
            tier=Tier.EDGE if service.is_edge else Tier.SERVICE,
            ready_at=[
                f"http://{self.addresses.metrics[service.name]}/readyz",
                *([f"tcp://{self.addresses.edge.reachable}"] if service.is_edge else []),
            ],
        )

    def _environment(self, service: Service) -> dict[str, str]:
        given = {
            "METRICS_ADDRESS": str(self.addresses.metrics[service.name]),
            "JWKS_FILE": str(self.keys.jwks),
            "DRAIN_S": DRAIN_S,
            **{f"{peer.upper()}_ADDRESS": str(self.addresses.grpc[peer]) for peer in service.peers},
            **{name: self._special(name) for name in service.gets},
        }
        if not service.is_edge:
            given |= {
                "DATABASE_URI": self.database_uri,
                "GRPC_ADDRESS": str(self.addresses.grpc[service.name]),
                "SERVICE_TOKEN_FILE": str(self.keys.service_token(service.name)),
                "PAGE_TOKEN_KEY_FILE": str(self.keys.page_token_key),
            }
        if service.name in self.roles:
            given["DATABASE_ROLE"] = self.roles[service.name]
        return self._base() | given | dict(self.overrides.get(service.name, {}))

    def _special(self, name: str) -> str:
        return {
            "ACCRUAL_SYSTEM_ADDRESS": self.addresses.accrual_system,
            "CHAIN_KEY_FILE": str(self.keys.chain_key),
            "PAYMENT_PROVIDER_ADDRESS": self.addresses.payment_provider,
            "PAYMENT_PROVIDER_KEY_FILE": str(self.keys.payment_key),
            "PAYMENT_WEBHOOK_SECRETS_FILE": str(self.keys.webhook_secrets),
            "SIGNING_KEY_FILE": str(self.keys.customers_key),
            "RUN_ADDRESS": str(self.addresses.edge),
        }[name]

    def _simulator(self, name: str, address: Address) -> Program:
        given = {"RUN_ADDRESS": str(address), "DATABASE_URI": self.database_uri, **self._of_simulator(name)}
        if name in self.roles:
            given["DATABASE_ROLE"] = self.roles[name]
        environment = self._base() | given | dict(self.overrides.get(name, {}))
        command = _python("-m", "deploy.local.cli", name)
        return Program(name, command, environment, tier=Tier.SIMULATOR, ready_at=[f"http://{address}/readyz"])

    def _of_simulator(self, name: str) -> dict[str, str]:
        if name == ACCRUAL_SIM:
            # Whoever uploads an order number shall see points arrive, without registering goods first.
            return {"ACCRUAL_SIM_AUTO": "true"}
        return {
            "PAYMENT_SIM_KEY_FILE": str(self.keys.payment_key),
            "PAYMENT_SIM_WEBHOOK_URL": f"http://{self.addresses.edge.reachable}{WEBHOOKS}",
            "PAYMENT_SIM_WEBHOOK_SECRETS_FILE": str(self.keys.webhook_secrets),
        }

    def _base(self) -> dict[str, str]:
        passed_on = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)}
        return passed_on | {"PYTHONUNBUFFERED": "1", "LOG_FORMAT": self.log_format, "LOG_LEVEL": self.log_level}


def parse_overrides(texts: Iterable[str], services: Iterable[Service] = SERVICES) -> dict[str, dict[str, str]]:
    """Read `service.NAME=value`. Raises StackFailed."""
    known = {*(service.name for service in services), *SIMULATORS}
    overrides: dict[str, dict[str, str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        service, dot, setting = name.partition(".")
        if not separator or not dot or service not in known or not setting:
            raise StackFailed(f"--set {text}: SERVICE.NAME=VALUE is wanted, with a service of {', '.join(sorted(known))}")
        overrides.setdefault(service, {})[setting.upper()] = value
    return overrides


def _python(*arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable)), *arguments)
