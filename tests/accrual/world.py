"""What the tests do again and again: customers who claim numbers, and waiting for what must come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from aiohttp import web
from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import claim_pb2
from galen.balance.v1 import balance_service_pb2, operation_pb2

from deploy.local.accrual_sim.testing import SimulatorHandle
from services.accrual.settings import AccrualSettings
from shared.luhn import with_check_digit
from shared.testing.identities import Identities, Metadata
from shared.testing.servers import ServedService

CALL_LIMIT_S = 5.0


class Customer:
    """A customer and what they ask of the accrual and balance services. `accrual` and `balance` are stubs."""

    def __init__(self, accrual: Any, balance: Any, identities: Identities) -> None:
        self.id = str(uuid4())
        self.parent = f"customers/{self.id}"
        self.metadata: Metadata = identities.customer(self.id)
        self._accrual = accrual
        self._balance = balance

    async def submit(self, number: str, *, request_id: str | None = None, by: Any = None) -> messages.SubmitClaimResponse:
        """Claims a number; `by` is another replica's stub."""
        request = messages.SubmitClaimRequest(parent=self.parent, number=number, request_id=request_id or str(uuid4()))
        stub = by or self._accrual
        response: messages.SubmitClaimResponse = await stub.SubmitClaim(request, metadata=self.metadata, timeout=CALL_LIMIT_S)
        return response

    async def claim(self, number: str) -> claim_pb2.Claim:
        request = messages.GetClaimRequest(name=f"{self.parent}/claims/{number}")
        response: messages.GetClaimResponse = await self._accrual.GetClaim(request, metadata=self.metadata, timeout=CALL_LIMIT_S)
        return response.claim

    async def claims(self, **fields: Any) -> messages.ListClaimsResponse:
        request = messages.ListClaimsRequest(parent=self.parent, **fields)
        response: messages.ListClaimsResponse = await self._accrual.ListClaims(request, metadata=self.metadata, timeout=CALL_LIMIT_S)
        return response

    async def finished(self, number: str, *, within_s: float = 15) -> claim_pb2.Claim:
        """Waits until the claim is final; returns it."""

        async def final() -> claim_pb2.Claim | None:
            claim = await self.claim(number)
            return claim if claim.state in (claim_pb2.CLAIM_STATE_PROCESSED, claim_pb2.CLAIM_STATE_INVALID) else None

        finished: claim_pb2.Claim = await eventually(final, within_s=within_s)
        return finished

    async def credits(self) -> list[operation_pb2.Operation]:
        """Returns the operations of the customer's account, newest first."""
        request = balance_service_pb2.ListOperationsRequest(parent=f"programs/main/accounts/{self.id}", include_refused=True)
        response = await self._balance.ListOperations(request, metadata=self.metadata, timeout=CALL_LIMIT_S)
        return list(response.operations)


@dataclass(frozen=True, slots=True)
class World:
    """A running accrual service and everything around it."""

    accrual: Any
    balance: Any
    simulator: SimulatorHandle
    identities: Identities
    settings: AccrualSettings
    server: ServedService

    def new_customer(self) -> Customer:
        return Customer(self.accrual, self.balance, self.identities)

    async def provider(self) -> Any:
        metadata = self.identities.customer("boss", roles=("staff",))
        response = await self.accrual.GetProviderStatus(messages.GetProviderStatusRequest(), metadata=metadata, timeout=CALL_LIMIT_S)
        return response.status

    async def register(self, customer: Customer, number: str, *goods: tuple[str, int], **options: Any) -> claim_pb2.Claim:
        """Registers a purchase as the orders service does."""
        request = messages.RegisterPurchaseRequest(
            parent=customer.parent,
            number=number,
            goods=[messages.PurchasedGood(description=description, price_minor=price) for description, price in goods],
            request_id=options.get("request_id") or str(uuid4()),
        )
        metadata = options.get("metadata", self.identities.service("orders"))
        response: messages.RegisterPurchaseResponse = await self.accrual.RegisterPurchase(request, metadata=metadata, timeout=CALL_LIMIT_S)
        return response.claim


class Owner:
    """The owner of the schema, who may look at everything and break anything."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def reset(self) -> None:
        """As if nothing had ever happened."""
        await self.execute(
            "truncate claim, request_log, procrastinate_jobs, procrastinate_workers, procrastinate_events, procrastinate_periodic_defers"
        )
        await self.execute(
            "update provider set breaker = 1, blocked_until = null, retry_at = null, probe_id = null, generation = 0,"
            " consecutive_failures = 0, openings = 0, last_success_at = null, last_failure = ''"
        )

    async def add_claims(self, customer_id: str, numbers: Sequence[str]) -> None:
        """Makes claims that are due."""
        await self.execute(
            "insert into claim (number, customer, state, actor, request_id, fingerprint, created_at, updated_at, due_at)"
            " select number, %s, 1, 'customers/x', gen_random_uuid(), '', now(), now(), now() from unnest(%s::text[]) as number",
            customer_id,
            list(numbers),
        )

    async def execute(self, statement: str, *parameters: Any) -> list[Any]:
        cursor = await self._connection.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


def fresh_number() -> str:
    return with_check_digit(str(uuid4().int)[:15])


async def eventually(look: Callable[[], Awaitable[Any]], *, within_s: float = 10) -> Any:
    """Repeats `look` until it returns something true; returns that. Raises AssertionError when the time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def provider_that_answers(response: web.Response) -> AsyncIterator[str]:
    """A provider of our own, for what the simulator can't say."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=response.status, body=response.body, headers=response.headers)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}"
    finally:
        await runner.cleanup()
