"""python -m services.orders serve | worker | migrate"""

from __future__ import annotations

import sys
from functools import partial

from services.orders.settings import OrdersSettings
from shared.command import run_command


# `migrate` imports no gRPC, and everything else no Alembic: a newcomer's first start waits for both.
def _migrate() -> None:
    from services.orders.migrations.schema import schema  # noqa: PLC0415
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


def _command(name: str, settings: OrdersSettings) -> None:
    from services.orders.commands import COMMANDS  # noqa: PLC0415

    COMMANDS[name](settings)


if __name__ == "__main__":
    sys.exit(run_command("orders", OrdersSettings, {name: partial(_command, name) for name in ("serve", "worker")}, migrate=_migrate))
