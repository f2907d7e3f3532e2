"""What the customers service reads from the environment."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.jobs.limits import CONNECTIONS_MAX
from shared.settings import HostPort, ServiceSettings

# The job queue's pool, and the connection that listens for new jobs.
JOB_CONNECTIONS = CONNECTIONS_MAX + 1
# For looks at customers and addresses.
READ_CONNECTIONS = 3


def _networks(value: str) -> str:
    for network in value.split(","):
        ip_network(network.strip())
    return value


class CustomersSettings(ServiceSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50054", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9104", description="where /metrics, /livez and /readyz are served")
    database_connections_max: int = Field(
        default=12, ge=JOB_CONNECTIONS + READ_CONNECTIONS + 3, le=12, description="connections to PostgreSQL, at most"
    )
    balance_address: HostPort = Field(default="127.0.0.1:50051", description="the balance service, which opens accounts")
    background_work: bool = Field(default=True, description="whether `serve` runs jobs and housekeeping too; `worker` always does")

    signing_key_file: Path = Field(description="the Ed25519 key, PEM, that tokens are signed with; only this service reads it")
    previous_jwks_file: Path | None = Field(
        default=None, description="public keys, a JWKS, that were used before and whose tokens may still be valid"
    )
    token_lifetime_s: int = Field(default=86_400, ge=60, le=30 * 86_400, description="seconds that a token is valid")

    argon2_memory_kib: int = Field(default=65_536, ge=8, le=4_194_304, description="memory of a password hash; RFC 9106, low-memory")
    argon2_iterations: int = Field(default=3, ge=1, le=100, description="passes of a password hash")
    argon2_lanes: int = Field(default=4, ge=1, le=64, description="lanes of a password hash")
    hashes_max: int = Field(default=2, ge=1, le=64, description="passwords hashed at once; each takes ARGON2_MEMORY_KIB while it lasts")
    hashes_waiting_max: int = Field(default=64, ge=0, description="passwords that wait for their turn; more are refused as OVERLOADED")

    failed_logins_window_s: int = Field(default=900, ge=1, description="seconds in which failed logins are counted, from the first on")
    failed_logins_per_account_max: int = Field(default=30, ge=1, description="failed logins to one account from one address in a window")
    failed_logins_per_address_max: int = Field(default=300, ge=1, description="failed logins from one address in a window")
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        default="127.0.0.0/8,::1/128", description="networks whose x-forwarded-for is believed, separated by commas"
    )
    housekeeping_s: float = Field(default=60.0, gt=0, description="seconds between looks for missing accounts and old failed logins")
    account_late_after_s: float = Field(default=300.0, ge=0, description="age at which a customer without account is looked after again")

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.token_lifetime_s)

    @property
    def engine_connections_max(self) -> int:
        return self.database_connections_max - JOB_CONNECTIONS - READ_CONNECTIONS
