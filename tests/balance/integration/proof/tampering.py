"""A ledger of its own, and somebody with every right in its database."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.container import BalanceContainer
from shared.testing.identities import Identities
from tests.balance.world import Owner, new_id

TABLES = ("account", "operation", "lot", "hold", "chain_link", "chain_head", "audit_run")


class Ledger:
    """A served ledger. `container` is the one that serves."""

    def __init__(self, container: BalanceContainer, stub: BalanceServiceStub, identities: Identities, uri: str) -> None:
        self.container = container
        self.stub = stub
        self.calls: Any = stub  # of an asyncio channel, which the generated types know nothing of
        self.identities = identities
        self.uri = uri
        self.staff = identities.customer("auditor", roles=("staff",))

    def new_owner(self) -> Owner:
        return Owner([self.stub], self.identities, self.uri)

    async def set_least(self, owner: Owner, amount: int) -> None:
        """Sets an account's least balance."""
        request = messages.UpdateAccountRequest(name=owner.account, min_balance=amount, request_id=new_id())
        await self.calls.UpdateAccount(request, metadata=self.identities.customer("root", roles=("admin",)), timeout=10)

    async def audit(self, account: str = "-") -> Sequence[messages.AuditAccountsResponse]:
        """Returns everything that an audit said: of all accounts unless one is named."""
        parent = account if "/" in account else f"programs/main/accounts/{account}"
        call = self.calls.AuditAccounts(messages.AuditAccountsRequest(parent=parent), metadata=self.staff, timeout=60)
        return [response async for response in call]

    async def broken_rules(self, account: str = "-") -> Counter[str]:
        """Returns which rules an audit found broken, and how often."""
        return Counter(said.finding.invariant for said in await self.audit(account) if said.HasField("finding"))

    async def verify(self, chain: int) -> Sequence[messages.VerifyChainResponse]:
        """Returns everything that the verification of a chain said."""
        request = messages.VerifyChainRequest(name=f"programs/main/chains/{chain}")
        return [response async for response in self.calls.VerifyChain(request, metadata=self.staff, timeout=60)]

    async def faults(self) -> Sequence[tuple[str, str]]:
        """Returns the fault and the operation of each finding of all chains."""
        said = [response for chain in range(16) for response in await self.verify(chain)]
        found = [response.finding for response in said if response.HasField("finding")]
        return [(messages.ChainFault.Name(finding.fault).removeprefix("CHAIN_FAULT_"), finding.operation) for finding in found]

    async def link_all(self) -> int:
        """Puts into the chains what is not there yet; returns how many."""
        linked, waiting = 0, True
        while waiting:
            linked += (await self.container.build_chain().step())[0]
            ((waiting,),) = await self.sql("select exists (select from operation left join chain_link using (account_key, version)"
                                           " where number is null)")  # fmt: skip
        return linked

    async def sql(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Does what only an owner of the database can; returns the rows if there are any."""
        async with self.superuser() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description is not None else []

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """Yields a connection with a transaction that is committed at the end."""
        async with await psycopg.AsyncConnection.connect(self.uri, options=f"-c search_path={SCHEMA}") as connection:
            yield connection

    async def save(self) -> None:
        """Keeps copies of all rows."""
        await self.sql("drop schema if exists saved cascade")
        await self.sql("create schema saved")
        for table in TABLES:
            await self.sql(f"create table saved.{table} as table {table}")

    async def restore(self) -> None:
        """Puts the copies back."""
        for table in TABLES:
            await self.sql(f"truncate {table}")
            await self.sql(f"insert into {table} overriding system value select * from saved.{table}")

    async def loosen(self) -> None:
        """Takes away what keeps rows in order besides their keys."""
        found = await self.sql(
            "select conrelid::regclass::text, quote_ident(conname) from pg_constraint where contype in ('c', 'u')"
            " and connamespace = %(schema)s::regnamespace", schema=SCHEMA
        )  # fmt: skip
        for table, constraint in found:
            await self.sql(f"alter table {table} drop constraint {constraint}")
        await self.sql("drop index operation_payment_unique")
