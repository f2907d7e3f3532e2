"""All books compared: payments with the provider and the ledger, stock with its lots and movements, accounts with their operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galen.balance.v1 import balance_service_pb2
from galen.inventory.v1 import inventory_service_pb2
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import payment_service_pb2

from tests.orders.till import Till

if TYPE_CHECKING:
    from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub

# All accounts and all locations of a soak take a while.
LIMIT_S = 120


async def payment_differences(till: Till) -> list[Any]:
    """Returns what ReconcilePayments finds in the payments of the last hours."""
    request = payment_service_pb2.ReconcilePaymentsRequest()
    request.start_time.GetCurrentTime()
    request.start_time.seconds -= 6 * 3600
    answers = till.payments.ReconcilePayments(request, metadata=till.identities.service("orders"), timeout=LIMIT_S)
    return [answer.difference async for answer in answers if answer.HasField("difference")]


async def stock_differences(till: Till) -> list[Any]:
    """Returns what ReconcileStock finds at the counter's location."""
    stub: InventoryServiceAsyncStub = InventoryServiceStub(till.server.channel)
    request = inventory_service_pb2.ReconcileStockRequest(parent=till.counter.location)
    staff = till.identities.customer("books", roles=("staff",))
    answers = stub.ReconcileStock(request, metadata=staff, timeout=LIMIT_S)
    return [answer.difference async for answer in answers if answer.HasField("difference")]


async def account_findings(till: Till, account: str = "-") -> list[Any]:
    """Returns what AuditAccounts finds in one account, or in all."""
    request = balance_service_pb2.AuditAccountsRequest(parent=f"programs/main/accounts/{account}")
    staff = till.identities.customer("books", roles=("admin",))
    answers = till.balance.AuditAccounts(request, metadata=staff, timeout=LIMIT_S)
    return [answer.finding async for answer in answers if answer.HasField("finding")]


async def money_of_books(till: Till) -> tuple[int, int]:
    """Returns what all payments took from cards and gave back to them, as we have it."""
    query = "select coalesce(sum(captured_minor), 0)::bigint as taken, coalesce(sum(refunded_minor), 0)::bigint as given from payment"
    (row,) = await till.counter.rows(query)
    return row.taken, row.given


def money_of_provider(till: Till) -> tuple[int, int]:
    """The same, as the provider has it."""
    lines = till.simulator.money()["payment_intents"]
    return sum(line["captured"] for line in lines), sum(line["refunded"] for line in lines)
