"""A load of callers who know what must come of it, and the reckoning after it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import grpc
import pytest
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.auth.keys import generate_key, private_pem
from shared.postgres.migrations import migrate
from shared.testing.databases import make_role
from shared.testing.identities import Identities
from tests.balance.integration.proof.tampering import Ledger
from tests.balance.patient_callers import PatientCaller
from tests.balance.world import Owner
from tests.e2e.stack_process import until

CALLERS = 12
PATIENCE_S = 60.0


@dataclass
class Load:
    """Callers at work on a ledger."""

    ledger: Ledger
    callers: Sequence[PatientCaller]

    @property
    def answered(self) -> int:
        return sum(len(caller.steps) for caller in self.callers)

    @property
    def outages(self) -> Counter[grpc.StatusCode]:
        return sum((caller.outages for caller in self.callers), Counter())

    async def go_on(self, steps: int) -> None:
        """Waits until so many more requests were answered."""
        wanted = self.answered + steps
        await until(
            lambda: self.answered >= wanted,
            within_s=PATIENCE_S,
            otherwise=lambda: f"{self.answered} of {wanted} were answered, {self.outages}",
        )

    async def reckon(self) -> None:
        """Repeats everything, and compares what is stored with what the callers know."""
        await asyncio.gather(*(caller.repeat_all() for caller in self.callers))
        asked = {(caller.owner.id, request_id): 1 for caller in self.callers for step in caller.steps for request_id in step.ids}
        stored = await self.ledger.sql(
            "select account_id, request_id::text, count(*) from operation join account using (account_key)"
            " where actor <> 'services/balance' group by 1, 2"
        )
        assert {(account, request_id): count for account, request_id, count in stored} == asked
        accounts = await self.ledger.sql("select account_id, posted, held from account")
        assert {(caller.owner.id, caller.purse.posted, caller.purse.held) for caller in self.callers} == set(accounts)
        assert await self.ledger.broken_rules() == {}
        await self._linked()
        assert await self.ledger.faults() == []

    async def _linked(self) -> None:
        """Waits until the server has put everything into the hash chains."""
        unlinked = "select count(*) from operation left join chain_link using (account_key, version) where number is null"
        deadline = time.monotonic() + PATIENCE_S
        while (await self.ledger.sql(unlinked))[0][0]:
            assert time.monotonic() < deadline, "the hash chains do not grow"
            await asyncio.sleep(0.1)


MakeLoad: TypeAlias = "Callable[[BalanceSettings, grpc.aio.Channel], Any]"


@pytest.fixture
def settings_for(identities: Identities, tmp_path: Path) -> Callable[[str], BalanceSettings]:
    """Makes the schema in a database; returns the settings of a ledger there, which builds its hash chains at once."""

    def make(uri: str) -> BalanceSettings:
        key = tmp_path / "chain.pem"
        key.write_bytes(private_pem(generate_key()))
        role = make_role(uri, "balance_app")
        migrate(schema, uri, role=role)
        return BalanceSettings(
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            refusals_burst=1_000_000,
            chain_key_file=key,
            chain_every_s=0.1,
            audit_every_s=0,
        )

    return make


@pytest.fixture
def load(identities: Identities) -> MakeLoad:
    @asynccontextmanager
    async def make(settings: BalanceSettings, channel: grpc.aio.Channel) -> AsyncIterator[Load]:
        """Asks all through the block, and then until everything is answered."""
        stub: Any = BalanceServiceStub(channel)
        owners = [Owner([stub], identities, settings.database_uri) for _ in range(CALLERS)]
        callers = [PatientCaller(owner, stub, Random(seed)) for seed, owner in enumerate(owners)]
        stop = asyncio.Event()
        load = Load(Ledger(BalanceContainer(settings=settings), stub, identities, settings.database_uri), callers)
        async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(caller.live(stop))
            yield load
            stop.set()

    return make
