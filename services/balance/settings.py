"""What the balance service reads from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.settings import HostPort, ServiceSettings

# Kept for batches of coalesced calls: one that posts, one that reads, and one for calls that are tried apart after their batch failed.
BATCH_CONNECTIONS = 3


class BalanceSettings(ServiceSettings):
    grpc_address: HostPort = Field(default="127.0.0.1:50051", description="where gRPC is served")
    metrics_address: HostPort = Field(default="127.0.0.1:9101", description="where /metrics, /livez and /readyz are served")
    database_connections_max: int = Field(default=8, ge=BATCH_CONNECTIONS + 2, le=12, description="connections to PostgreSQL, at most")
    customers_address: HostPort | None = Field(
        default=None, description="the customers service, asked for public keys that JWKS_FILE lacks"
    )
    sweep_every_s: float = Field(default=1.0, gt=0, description="seconds between looks for holds and lots that have run out")
    watch_poll_every_s: float = Field(default=0.2, gt=0, description="seconds between looks for operations that watchers wait for")
    watch_heartbeat_s: float = Field(default=5.0, gt=0, description="seconds after which a watcher who heard nothing gets a heartbeat")
    audit_every_s: float = Field(default=3600.0, ge=0, description="seconds between audits of the whole ledger, in one replica; 0 for none")
    chain_key_file: Path | None = Field(
        default=None, description="Ed25519 keys, PEM, the first signs the ends of the hash chains; without it no chains are built"
    )
    chain_every_s: float = Field(default=5.0, gt=0, description="seconds between looks for operations that are in no hash chain yet")
    chain_batch: int = Field(default=500, ge=1, le=5000, description="operations that one step puts into the hash chains")
    refusals_burst: int = Field(
        default=60, ge=1, description="refused writes on an account that a caller may cause at once; each is written down"
    )
    refusals_per_second: float = Field(
        default=1.0, gt=0, description="refused writes on an account that a caller may cause in the long run"
    )

    @property
    def other_connections_max(self) -> int:
        """Connections for all but batches."""
        return self.database_connections_max - BATCH_CONNECTIONS
