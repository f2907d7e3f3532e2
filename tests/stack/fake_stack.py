"""`galen up` as it is, over two fake services: one with data, and an edge."""

import sys
from dataclasses import replace

from deploy.local.cli import options_of
from deploy.local.stack import up
from deploy.local.topology import Service

MODULE = "tests.stack.fake_service"
SERVICES = (
    Service("balance", metrics_port=9101, grpc_port=50051, gets=("ACCRUAL_SYSTEM_ADDRESS",), module=MODULE),
    Service("gateway", metrics_port=9105, peers=("balance",), gets=("RUN_ADDRESS",), module=MODULE),
)

if __name__ == "__main__":
    sys.exit(up(replace(options_of(sys.argv[1:]), services=SERVICES)))
