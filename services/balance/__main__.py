"""python -m services.balance serve | migrate"""

from __future__ import annotations

import sys

from services.balance.settings import BalanceSettings
from shared.command import run_command


# Each command imports what it needs and no more: `serve` has no Alembic in its memory, `migrate` no gRPC.
def _serve(settings: BalanceSettings) -> None:
    from services.balance.container import BalanceContainer, service_parts  # noqa: PLC0415
    from shared.grpc.runtime import serve  # noqa: PLC0415

    serve(service_parts(BalanceContainer(settings=settings)))


def _migrate() -> None:
    from services.balance.migrations.schema import schema  # noqa: PLC0415
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


if __name__ == "__main__":
    sys.exit(run_command("balance", BalanceSettings, {"serve": _serve}, migrate=_migrate))
