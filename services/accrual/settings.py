"""What the accrual service reads from the environment."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.jobs.limits import CONNECTIONS_MAX
from shared.settings import HostPort, ServiceSettings

# The job queue's pool, and the connection that listens for new jobs.
JOB_CONNECTIONS = CONNECTIONS_MAX + 1


def _http_address(value: str) -> str:
    """With or without a scheme, a slash at the end is dropped."""
    address = (value if "://" in value else f"http://{value}").rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be host:port or an http(s) URL")
    return address


HttpAddress = Annotated[str, AfterValidator(_http_address)]


def _fault(value: str | None) -> str | None:
    if value and not value.partition(":")[2].isdigit():
        raise ValueError("must be site:n")
    return value


class AccrualSettings(ServiceSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50053", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9103", description="where /metrics, /livez and /readyz are served")
    database_connections_max: int = Field(default=12, ge=JOB_CONNECTIONS + 3, le=12, description="connections to PostgreSQL, at most")
    accrual_system_address: HttpAddress = Field(
        default="http://127.0.0.1:8090", description="the outside accrual system, host:port or a URL", validate_default=True
    )
    balance_address: HostPort = Field(default="127.0.0.1:50051", description="the balance service, where points are credited")
    customers_address: HostPort | None = Field(
        default=None, description="the customers service, asked for public keys that JWKS_FILE lacks"
    )
    background_work: bool = Field(default=True, description="whether `serve` polls and runs jobs too; `worker` always does")
    pending_claims_max: int = Field(default=1000, ge=1, description="unfinished claims that a customer may have")
    poll_concurrency: int = Field(default=16, ge=1, le=500, description="claims asked about at the accrual system at once, in this process")
    purchase_concurrency: int = Field(default=8, ge=1, le=500, description="purchases sent to it at once, in this process")
    poll_idle_s: float = Field(default=0.25, gt=0, le=60, description="seconds between looks for due claims when there are none")
    poll_back_off_first_s: float = Field(default=1.0, gt=0, description="at most this long until a claim's second poll; then it doubles")
    poll_back_off_max_s: float = Field(default=60.0, gt=0, description="at most this long between polls of a claim")
    lease_s: float = Field(default=30.0, gt=0, le=3600, description="after this long a claim is taken from a poller that fell silent")
    provider_connect_s: float = Field(default=2.0, gt=0, description="seconds to connect to the accrual system")
    provider_total_s: float = Field(default=5.0, gt=0, description="seconds for a whole request to it")
    provider_body_max: int = Field(default=65_536, ge=256, description="bytes of an answer of it, at most")
    breaker_failures_max: int = Field(default=10, ge=1, description="failed requests in a row, in the whole fleet, that open the breaker")
    breaker_cool_down_s: float = Field(default=5.0, gt=0, description="seconds without requests after that; doubles if the probe fails")
    breaker_cool_down_max_s: float = Field(default=60.0, gt=0, description="seconds without requests, at most")
    jobs_dead_after_s: float = Field(default=10.0, gt=0, description="after this long the jobs of a silent worker are taken up by others")
    fault_at: Annotated[str | None, AfterValidator(_fault)] = Field(
        default=None, description="for tests: site:n ends the process when the site is reached for the n-th time"
    )

    @model_validator(mode="after")
    def _lease_outlives_polls(self) -> AccrualSettings:
        if self.lease_s < 2 * self.provider_total_s:
            raise ValueError("LEASE_S must be at least twice PROVIDER_TOTAL_S")
        return self
