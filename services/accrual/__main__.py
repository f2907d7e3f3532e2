"""python -m services.accrual serve | worker | migrate"""

from __future__ import annotations

import sys

from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.command import run_command
from shared.grpc.runtime import serve
from shared.worker import work


def _serve(settings: AccrualSettings) -> None:
    serve(service_parts(AccrualContainer(settings=settings)))


def _work(settings: AccrualSettings) -> None:
    work(service_parts(AccrualContainer(settings=settings.model_copy(update={"background_work": True}))))


def _migrate() -> None:
    from services.accrual.migrations.schema import schema  # noqa: PLC0415  Alembic stays out of the memory of `serve`
    from shared.postgres.migrations import migrate_from_environment  # noqa: PLC0415

    migrate_from_environment(schema)


if __name__ == "__main__":
    sys.exit(run_command("accrual", AccrualSettings, {"serve": _serve, "worker": _work}, migrate=_migrate))
