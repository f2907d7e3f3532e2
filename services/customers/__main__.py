"""python -m services.customers serve | migrate"""

from __future__ import annotations

import sys

from services.customers.container import CustomersContainer, service_parts
from services.customers.settings import CustomersSettings
from shared.command import run_command
from shared.grpc.runtime import serve


def _serve(settings: CustomersSettings) -> None:
    serve(service_parts(CustomersContainer(settings=settings)))


def _migrate() -> None:
    from services.customers.migrations.schema import schema  # noqa: PLC0415  Alembic stays out of the memory of `serve`
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


if __name__ == "__main__":
    sys.exit(run_command("customers", CustomersSettings, {"serve": _serve}, migrate=_migrate))
