"""The audit that runs by itself: one in the fleet at a time, what it found in metrics and log lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from structlog.testing import capture_logs

from services.balance.application.audit_ledger import AuditLedger
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.chain import chain_of
from services.balance.settings import BalanceSettings
from shared.testing.servers import served
from tests.balance.integration.proof.tampering import Ledger

HOUR = {"audit_every_s": 3600.0}


@pytest_asyncio.fixture
async def broken(loose: Ledger) -> AsyncIterator[Ledger]:
    """One account has a point too many, another lost its last operation after it was linked."""
    rich, poor = loose.new_owner(), loose.new_owner()
    await rich.credit(1)
    await poor.credit(1)
    await loose.link_all()
    await loose.save()
    await loose.sql("truncate audit_run")
    await loose.sql("update account set posted = posted + 1 where account_key = %(key)s", key=rich.name.key)
    await loose.sql("delete from operation where account_key = %(key)s", key=poor.name.key)
    yield loose
    await loose.restore()


@pytest_asyncio.fixture
async def replicas(loose_settings: BalanceSettings) -> AsyncIterator[list[AuditLedger]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            container = BalanceContainer(settings=loose_settings.model_copy(update=HOUR))
            await stack.enter_async_context(container.pool())
            made.append(container.audit_ledger())
        yield made


async def rules(audit: AuditLedger) -> set[str]:
    return {finding.rule async for finding in audit.run()}


async def test_replicas_audit_in_turn_and_no_sooner_than_after_the_interval(broken: Ledger, replicas: list[AuditLedger]) -> None:
    found = await asyncio.gather(*(rules(replica) for replica in [*replicas, *replicas]))

    assert sorted(map(bool, found)) == [False, False, False, True]
    assert {"POSTED_IS_SUM_OF_OPERATIONS", "BOOKS_MATCH_ACCOUNTS", "ACCOUNT_VERSION_IS_LAST", "CHAIN_DELETED"} <= set().union(*found)
    assert await rules(replicas[0]) == set()
    await broken.sql("update audit_run set begun_at = begun_at - interval '1 hour'")
    assert await rules(replicas[1]) != set()
    ((runs, ended),) = await broken.sql("select count(*), count(ended_at) from audit_run")
    assert (runs, ended) == (2, 2)


async def test_an_audit_that_was_killed_is_begun_again_once_it_was_silent(broken: Ledger, replicas: list[AuditLedger]) -> None:
    await broken.sql("insert into audit_run (begun_at, seen_at) values (now(), now() - interval '9 minutes')")
    assert await rules(replicas[0]) == set()

    await broken.sql("update audit_run set seen_at = now() - interval '11 minutes'")

    assert await rules(replicas[0]) != set()


async def metrics(address: str) -> dict[str, float]:
    """Returns the samples by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


async def test_a_server_audits_and_chains_by_itself_and_shows_it(broken: Ledger, loose_settings: BalanceSettings) -> None:
    settings = loose_settings.model_copy(update={"audit_every_s": 0.4, "chain_every_s": 0.1})
    with capture_logs() as lines:
        async with served(service_parts(BalanceContainer(settings=settings))) as server:
            new = Ledger(broken.container, BalanceServiceStub(server.channel), broken.identities, broken.uri).new_owner()
            await new.credit(1)

            for _ in range(400):
                linked = await broken.sql("select from chain_link where account_key = %(key)s", key=new.name.key)
                if linked and any(line["event"] == "audit ended" for line in lines):
                    break
                await asyncio.sleep(0.05)
            seen = await metrics(server.metrics_address)

    assert seen['ledger_audit_findings{invariant="POSTED_IS_SUM_OF_OPERATIONS"}'] == 2
    assert seen['ledger_audit_findings{invariant="LOT_NEVER_OVERDRAWN"}'] == 0
    assert 0 <= seen["ledger_audit_age_seconds"] < 20
    assert 0 <= seen["ledger_chain_lag_seconds"] < 20
    found = [line for line in lines if line["event"] == "audit finding"]
    assert {"POSTED_IS_SUM_OF_OPERATIONS", "CHAIN_DELETED"} <= {line["rule"] for line in found}
    assert {line["log_level"] for line in found} == {"error"}
    exported = [head for line in lines if line["event"] == "chain heads" for head in line["heads"]]
    assert any(head.startswith(f'["galen chain head", {chain_of(new.name.key)}, ') for head in exported)


async def test_a_chain_that_is_damaged_is_said_so_and_its_lag_grows(broken: Ledger, loose_settings: BalanceSettings) -> None:
    owner = broken.new_owner()
    await broken.sql("update chain_head set signature = ''")
    await owner.credit(1)
    container = BalanceContainer(settings=loose_settings)
    with capture_logs() as lines:
        async with container.pool():
            assert await container.chaining()._round() == 0

    damaged = [line["log_level"] for line in lines if line["event"] == "a chain is damaged and is not made longer"]
    assert damaged == ["error"]
    assert await broken.container.chains().lag_s() > 0
