"""The gateway on a free port, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.gateway.container import GatewayContainer, edge_parts
from services.gateway.entrypoints.http.server import EdgeParts, running
from services.gateway.settings import GatewaySettings
from shared.testing.servers import free_port


@dataclass(frozen=True, slots=True)
class ServedGateway:
    """A gateway that serves on 127.0.0.1."""

    parts: EdgeParts
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.parts.metrics_address}"

    def sample(self, name: str, **labels: str) -> float:
        """Returns a metric's value, 0 if it was never set."""
        return self.parts.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def served_gateway(**settings: Any) -> AsyncIterator[ServedGateway]:
    given = {"run_address": "127.0.0.1:0", "metrics_address": f"127.0.0.1:{free_port()}", "drain_s": 0, **settings}
    parts = edge_parts(GatewayContainer(settings=GatewaySettings(**given)))
    async with running(parts) as port:
        yield ServedGateway(parts, port)
