"""`galen up` as it is, over two fake services: one with data, and an edge."""

import os
import sys
from dataclasses import replace

from deploy.local.cli import options_of
from deploy.local.stack import up
from deploy.local.topology import Service

MODULE = "tests.stack.fake_service"


def services(usual_port: int) -> tuple[Service, ...]:
    """Rows whose usual ports are not those of the real services, which somebody may be running."""
    return (
        Service("balance", metrics_port=usual_port + 1, grpc_port=usual_port, gets=("ACCRUAL_SYSTEM_ADDRESS",), module=MODULE),
        Service("gateway", metrics_port=usual_port + 2, peers=("balance",), gets=("RUN_ADDRESS",), module=MODULE),
    )


if __name__ == "__main__":
    sys.exit(up(replace(options_of(sys.argv[1:]), services=services(int(os.environ["USUAL_PORT"])))))
