"""python -m services.customers serve | worker | create-admin | backfill-accounts | migrate"""

from __future__ import annotations

import sys
from functools import partial

from services.customers.settings import CustomersSettings
from shared.command import run_command


# `migrate` imports no gRPC, and everything else no Alembic: a newcomer's first start waits for both.
def _migrate() -> None:
    from services.customers.migrations.schema import schema  # noqa: PLC0415
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


def _command(name: str, settings: CustomersSettings) -> None:
    from services.customers.commands import COMMANDS  # noqa: PLC0415

    COMMANDS[name](settings)


NAMES = ("serve", "worker", "create-admin", "backfill-accounts")

if __name__ == "__main__":
    sys.exit(run_command("customers", CustomersSettings, {name: partial(_command, name) for name in NAMES}, migrate=_migrate))
