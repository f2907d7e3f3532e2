"""A caller that goes away in the middle of a write: it is carried out, its answer is kept, and those in the same batch notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import grpc
import pytest
import pytest_asyncio
from dependency_injector import providers
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from prometheus_client import CollectorRegistry

from services.balance.adapters.postgres import coalesced
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.decide import Decision, Group
from services.balance.settings import BalanceSettings
from shared.coalescer import Coalescer
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.balance.world import Owner, outcome
from tests.e2e.stack_process import until

PATIENCE_S = 20.0
METHOD = "/galen.balance.v1.BalanceService/WithdrawPoints"
# Longer than anything takes before it, on a busy machine too.
DEADLINE_S = 3.0


class GatedLedger(PostgresLedger):
    """Once it is shut, each batch waits until it is let through. `batches` are the sizes of those that came."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self.batches: list[int] = []
        self._passes = asyncio.Semaphore(0)
        self._shut = False

    def shut(self) -> None:
        self._shut = True

    def let_through(self, batches: int = 1) -> None:
        for _ in range(batches):
            self._passes.release()

    async def post(self, groups: Sequence[Group]) -> Decision:
        if self._shut:
            self.batches.append(len(groups))
            await self._passes.acquire()
        return await super().post(groups)


class Gate:
    """A server whose batches wait, and what it measures."""

    def __init__(self, container: BalanceContainer, ledger: GatedLedger, server: ServedService, owner: Callable[[], Owner]) -> None:
        self.ledger = ledger
        self.address = server.address
        self.new_owner = owner
        self._registry: CollectorRegistry = container.registry()

    async def waits(self, calls: int) -> None:
        """Returns when so many calls wait for the next batch."""
        await self._until(lambda: self._sample("ledger_post_batch_calls_waiting"), calls)

    async def arrived(self, *batches: int) -> None:
        """Returns when batches of these sizes have come so far."""
        await until(lambda: self.ledger.batches == [*batches], within_s=PATIENCE_S, otherwise=lambda: f"{self.ledger.batches}")

    async def noticed(self, *, gone: int) -> None:
        """Returns when the server knows that so many callers have gone."""
        labels = {"rpc_method": METHOD, "rpc_status_code": "CANCELLED"}
        await self._until(lambda: self._sample("rpc_server_call_duration_seconds_count", labels), gone)

    def _sample(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self._registry.get_sample_value(name, labels or {})

    async def _until(self, value: Callable[[], float | None], wanted: float) -> None:
        await until(lambda: value() == wanted, within_s=PATIENCE_S, otherwise=lambda: f"{value()}")


@pytest_asyncio.fixture
async def gate(balance_settings: BalanceSettings, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    # A batch may wait at the gate for longer than the database would be waited for.
    monkeypatch.setattr(coalesced, "Coalescer", partial(Coalescer, timeout_s=PATIENCE_S))
    container = BalanceContainer(settings=balance_settings.model_copy(update={"sweep_every_s": 3600.0}))
    ledger = GatedLedger(container.batch_pool())
    container.ledger.override(providers.Object(coalesced.CoalescedLedger(ledger, container.registry())))
    async with served(service_parts(container)) as server:
        stub = BalanceServiceStub(server.channel)
        yield Gate(container, ledger, server, lambda: Owner([stub], identities, balance_settings.database_uri))
        ledger.let_through(100)


class Line:
    """A connection between a caller and a server that can be cut."""

    def __init__(self, to: str) -> None:
        self._host, _, self._port = to.rpartition(":")
        self._ends: list[asyncio.StreamWriter] = []
        self._carrying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Yields the caller's end."""
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.cut()
            await asyncio.wait(self._carrying)

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._ends += [writer, back]
        self._carrying = {asyncio.create_task(_carry(reader, back)), asyncio.create_task(_carry(there, writer))}


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


# Sends a request; yields the call, and what makes its caller leave.
Leaving: TypeAlias = "AbstractAsyncContextManager[tuple[Awaitable[Any], Callable[[], object]]]"


@asynccontextmanager
async def by_cancelling(gate: Gate, owner: Owner, request: messages.WithdrawPointsRequest) -> AsyncIterator[Any]:
    call: Any = owner.send(request)
    yield call, call.cancel


@asynccontextmanager
async def by_deadline(gate: Gate, owner: Owner, request: messages.WithdrawPointsRequest) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gate.address) as channel:
        call: Any = BalanceServiceStub(channel).WithdrawPoints(request, metadata=owner.me, timeout=DEADLINE_S)
        yield call, lambda: None


@asynccontextmanager
async def by_a_broken_connection(gate: Gate, owner: Owner, request: messages.WithdrawPointsRequest) -> AsyncIterator[Any]:
    line = Line(gate.address)
    async with line.open() as address, grpc.aio.insecure_channel(address) as channel:
        call: Any = BalanceServiceStub(channel).WithdrawPoints(request, metadata=owner.me, timeout=PATIENCE_S)
        yield call, line.cut


@pytest.mark.parametrize("leaving", [by_cancelling, by_deadline, by_a_broken_connection])
async def test_a_write_whose_caller_leaves_is_carried_out_and_its_answer_kept(gate: Gate, leaving: Callable[..., Leaving]) -> None:
    first, gone, *staying = owners = [gate.new_owner() for _ in range(4)]
    for owner in owners:
        await owner.credit(10)
    gate.ledger.shut()
    before = asyncio.ensure_future(outcome(first.send(first.to_withdraw(1))))
    await gate.arrived(1)
    request = gone.to_withdraw(3)
    async with leaving(gate, gone, request) as (call, leave):
        stay = [asyncio.ensure_future(outcome(owner.send(owner.to_withdraw(4)))) for owner in staying]
        await gate.waits(3)
        gate.ledger.let_through()
        await gate.arrived(1, 3)

        leave()
        await gate.noticed(gone=1)
        gate.ledger.let_through()

        assert [await before, *[await one for one in stay]] == ["applied"] * 3
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
    assert [await owner.available() for owner in owners] == [9, 7, 6, 6]
    gate.ledger.let_through()
    assert await outcome(gone.send(request)) == "replayed"
    operations = (await gone.stored()).operations
    assert [(str(one.request_id), one.amount) for one in operations[1:]] == [(request.request_id, 3)]


async def test_a_write_whose_caller_leaves_before_it_is_sent_is_carried_out_too(gate: Gate) -> None:
    owner, other = gate.new_owner(), gate.new_owner()
    await owner.credit(10)
    await other.credit(10)
    gate.ledger.shut()
    before = asyncio.ensure_future(outcome(other.send(other.to_withdraw(1))))
    await gate.arrived(1)
    request = owner.to_withdraw(3)
    call: Any = owner.send(request)
    await gate.waits(1)

    call.cancel()
    await gate.noticed(gone=1)
    gate.ledger.let_through(3)

    assert await before == "applied"
    assert await outcome(owner.send(request)) == "replayed"
    assert await owner.available() == 7


async def test_a_write_whose_time_is_over_before_it_is_sent_is_not_carried_out_and_may_be_repeated(gate: Gate) -> None:
    owner, other = gate.new_owner(), gate.new_owner()
    await owner.credit(10)
    await other.credit(10)
    gate.ledger.shut()
    before = asyncio.ensure_future(outcome(other.send(other.to_withdraw(1))))
    await gate.arrived(1)
    request = owner.to_withdraw(3)
    async with grpc.aio.insecure_channel(gate.address) as channel:
        call: Any = BalanceServiceStub(channel).WithdrawPoints(request, metadata=owner.me, timeout=0.2)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await call
    await asyncio.sleep(0.05)  # the server counts from when the call came
    gate.ledger.let_through(3)

    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await before == "applied"
    assert await owner.available() == 10
    assert await outcome(owner.send(request)) == "applied"
