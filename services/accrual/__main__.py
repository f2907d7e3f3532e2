"""python -m services.accrual serve | worker | migrate"""

from __future__ import annotations

import sys

from services.accrual.settings import AccrualSettings
from shared.command import run_command


# Each command imports what it needs and no more: `serve` has no Alembic in its memory, `migrate` no gRPC.
def _serve(settings: AccrualSettings) -> None:
    from services.accrual.container import AccrualContainer, service_parts  # noqa: PLC0415
    from shared.grpc.runtime import serve  # noqa: PLC0415

    serve(service_parts(AccrualContainer(settings=settings)))


def _work(settings: AccrualSettings) -> None:
    from services.accrual.container import AccrualContainer, service_parts  # noqa: PLC0415
    from shared.worker import work  # noqa: PLC0415

    work(service_parts(AccrualContainer(settings=settings.model_copy(update={"background_work": True}))))


def _migrate() -> None:
    from services.accrual.migrations.schema import schema  # noqa: PLC0415
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


if __name__ == "__main__":
    sys.exit(run_command("accrual", AccrualSettings, {"serve": _serve, "worker": _work}, migrate=_migrate))
