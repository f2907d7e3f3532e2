"""python -m tests.benchmarks.server empty | orm

Servers to compare the ledger with: the balance service's whole chain (token, policy, validation, limits, metrics, log) in front of
handlers that answer at once, or of the ORM baseline. The settings are the service's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime

from galen.balance.v1 import account_pb2, balance_service_pb2_grpc, operation_pb2
from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.command import stay_where_told
from shared.grpc.interceptor import Context
from shared.grpc.runtime import ServiceParts, serve
from shared.grpc.timestamps import timestamp
from shared.observability.logging import configure_logging
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import check_engine, disposing, make_engine
from shared.settings import load_settings
from tests.benchmarks.orm_baseline import OrmServicer

ORM_WAIT_S = 10.0


class EmptyServicer(balance_service_pb2_grpc.BalanceServiceServicer):
    """Answers at once, with answers of the usual size."""

    def __init__(self) -> None:
        account, now = "programs/main/accounts/bench-0000001", timestamp(datetime.now(UTC))
        self._account = account_pb2.Account(
            name=account, posted=2_999_999_990, available=2_999_999_990, lifetime_earned=3_000_000_000, lifetime_spent=10, version=13,
            etag='"13"', create_time=now, update_time=now,
        )  # fmt: skip
        self._operation = operation_pb2.Operation(
            name=f"{account}/operations/13", kind=operation_pb2.OPERATION_KIND_WITHDRAWAL, state=operation_pb2.OPERATION_STATE_APPLIED,
            amount=1, requested_amount=1, debit_book=operation_pb2.BOOK_CUSTOMER, credit_book=operation_pb2.BOOK_REDEEMED,
            balance_after=2_999_999_990, version=13, reference="1152921504606846973", actor="services/orders", create_time=now,
            lots=[operation_pb2.LotUse(lot=1, amount=1)],
        )  # fmt: skip

    async def WithdrawPoints(self, request: messages.WithdrawPointsRequest, context: Context) -> messages.WithdrawPointsResponse:
        return messages.WithdrawPointsResponse(operation=self._operation)

    async def GetAccount(self, request: messages.GetAccountRequest, context: Context) -> messages.GetAccountResponse:
        return messages.GetAccountResponse(account=self._account)


def empty(parts: ServiceParts, _settings: BalanceSettings) -> ServiceParts:
    async def nothing_to_check() -> None:
        return

    servicer = EmptyServicer()  # type: ignore[abstract]  # so are only its type stubs
    return replace(_serving(parts, servicer), resources=[], check_database=nothing_to_check)


def orm(parts: ServiceParts, settings: BalanceSettings) -> ServiceParts:
    conninfo = service_conninfo(settings.database_uri, schema=SCHEMA, role=settings.database_role)
    # It is slow, not refused: its callers wait.
    engine = make_engine(conninfo, size_max=settings.database_connections_max, wait_limit_s=ORM_WAIT_S)
    servicer = OrmServicer(engine)  # type: ignore[abstract]
    return replace(_serving(parts, servicer), resources=[disposing(engine)], check_database=lambda: check_engine(engine))


def _serving(parts: ServiceParts, servicer: balance_service_pb2_grpc.BalanceServiceServicer) -> ServiceParts:
    add = balance_service_pb2_grpc.add_BalanceServiceServicer_to_server
    return replace(parts, servicers=[lambda server: add(servicer, server)], background=[])


def main(kind: str) -> None:
    settings = load_settings(BalanceSettings)
    stay_where_told(settings)
    configure_logging("balance", output=settings.log_format, level=settings.log_level)
    parts = service_parts(BalanceContainer(settings=settings))
    serve({"empty": empty, "orm": orm}[kind](parts, settings))


if __name__ == "__main__":
    main(sys.argv[1])
