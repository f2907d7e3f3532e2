"""What the orders service reads from the environment."""

from __future__ import annotations

from pydantic import Field

from shared.jobs.limits import CONNECTIONS_MAX
from shared.settings import HostPort, ServiceSettings

# The job queue's pool, and the connection that listens for new jobs.
JOB_CONNECTIONS = CONNECTIONS_MAX + 1


class OrdersSettings(ServiceSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50052", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9102", description="where /metrics, /livez and /readyz are served")
    database_connections_max: int = Field(default=12, ge=JOB_CONNECTIONS + 3, le=12, description="connections to PostgreSQL, at most")
    customers_address: HostPort = Field(default="127.0.0.1:50054", description="the customers service: profiles and addresses")
    accrual_address: HostPort = Field(default="127.0.0.1:50053", description="the accrual service: points for purchases")
    background_work: bool = Field(default=True, description="whether `serve` runs jobs, sweeper and feed too; `worker` always does")
    jobs_dead_after_s: float = Field(default=10.0, gt=0, description="silence after which a worker is dead and its jobs are taken up")
    fault_at: str | None = Field(default=None, description="tests only: `site:n` ends the process at the n-th pass of a named place")

    @property
    def engine_connections_max(self) -> int:
        return self.database_connections_max - JOB_CONNECTIONS
