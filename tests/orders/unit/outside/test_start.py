"""What a start waits for."""

from __future__ import annotations

import subprocess
import sys

# As `migrate` does, up to the point where it connects.
MIGRATE = """
import sys
import services.orders.__main__
import services.orders.migrations.schema
import shared.postgres.migrations
print(*sorted({name.partition(".")[0] for name in sys.modules} | {name for name in sys.modules if name.startswith("services.")}))
"""


def test_migrations_start_without_what_only_serving_needs() -> None:
    ran = subprocess.run([sys.executable, "-c", MIGRATE], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(ran.stdout.split())
    assert "alembic" in loaded
    assert not {"grpc", "google", "aiohttp", "dependency_injector", "procrastinate", "services.orders.container"} & loaded
