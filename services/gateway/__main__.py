"""python -m services.gateway serve"""

from __future__ import annotations

import sys

from services.gateway.container import GatewayContainer, edge_parts
from services.gateway.entrypoints.http.server import serve
from services.gateway.settings import GatewaySettings
from shared.command import run_command


def _serve(settings: GatewaySettings) -> None:
    serve(lambda: edge_parts(GatewayContainer(settings=settings)))


if __name__ == "__main__":
    sys.exit(run_command("gateway", GatewaySettings, {"serve": _serve}))
