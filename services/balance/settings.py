"""What the balance service reads from the environment."""

from __future__ import annotations

from pydantic import Field

from shared.settings import HostPort, ServiceSettings


class BalanceSettings(ServiceSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50051", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9101", description="where /metrics, /livez and /readyz are served")
    customers_address: HostPort | None = Field(
        default=None, description="the customers service, asked for public keys that JWKS_FILE lacks"
    )
    sweep_every_s: float = Field(default=1.0, gt=0, description="seconds between looks for holds and lots that have run out")
    refusals_burst: int = Field(default=60, ge=1, description="refused writes that a caller may cause at once; each is written down")
    refusals_per_second: float = Field(default=1.0, gt=0, description="refused writes that a caller may cause in the long run")
