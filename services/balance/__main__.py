"""python -m services.balance serve | migrate"""

from __future__ import annotations

import sys

from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.command import run_command
from shared.grpc.runtime import serve


def _serve(settings: BalanceSettings) -> None:
    serve(service_parts(BalanceContainer(settings=settings)))


def _migrate() -> None:
    from services.balance.migrations.schema import schema  # noqa: PLC0415  Alembic stays out of the memory of `serve`
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


if __name__ == "__main__":
    sys.exit(run_command("balance", BalanceSettings, {"serve": _serve}, migrate=_migrate))
