"""`galen audit` on a real balance service that a stack's folder tells of."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from rich.console import Console

from deploy.local.audit import audit
from deploy.local.cli import main
from deploy.local.keys import KeyFolder
from deploy.local.state_folder import StateFolder
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.commands import Credit
from services.balance.domain.decide import Group
from services.balance.domain.names import AccountName
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.servers import served


@pytest.fixture
def uri(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        yield uri


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "state")
    folder.open()
    KeyFolder(folder.keys).ensure()
    yield folder
    folder.close()


@pytest_asyncio.fixture
async def ledger(uri: str, folder: StateFolder) -> AsyncIterator[BalanceContainer]:
    """A ledger with one account, all of it chained, that the folder tells of as if a stack ran."""
    keys = KeyFolder(folder.keys)
    container = BalanceContainer(
        settings=BalanceSettings(
            database_uri=uri,
            jwks_file=keys.jwks,
            page_token_key_file=keys.page_token_key,
            chain_key_file=keys.chain_key,
            chain_every_s=3600,
        )
    )
    async with served(service_parts(container)) as server:
        folder.publish({"grpc": {"balance": server.address}})
        name = AccountName("main", "[bold]a")
        command = Credit(account=name, actor="services/accrual", request_id=uuid4(), fingerprint=b"", amount=5, reference="18")
        await container.ledger().post(Group([command]))
        # The server may have chained it by itself meanwhile.
        while not (await container.build_chain().step())[0] and await container.chains().lag_s() > 0:
            pass
        yield container


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["audit", *arguments])


async def test_a_clean_ledger_ends_with_status_0(ledger: BalanceContainer, folder: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("--state", str(folder.path)) == 0
    assert "Nothing was found." in capsys.readouterr().out


async def test_what_is_found_is_shown_and_ends_with_status_1(ledger: BalanceContainer, folder: StateFolder, uri: str) -> None:
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute("update balance.operation set amount = 6")
    output = io.StringIO()

    assert await asyncio.to_thread(audit, folder.path, None, Console(file=output, width=300)) == 1

    shown = output.getvalue()
    assert "USES_ADD_UP" in shown
    assert "programs/main/accounts/[bold]a/operations/1" in shown
    assert "CHAIN_FAULT_EDITED" in shown


async def test_another_programme_has_other_findings(ledger: BalanceContainer, folder: StateFolder, uri: str) -> None:
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute("update balance.account set posted = 6")
        await connection.execute("insert into balance.program values ('other', 'Other', now())")

    assert await run("--state", str(folder.path), "--program", "other") == 0
    assert await run("--state", str(folder.path), "--program", "main") == 1
    assert await run("--state", str(folder.path)) == 1


async def test_without_a_stack_there_is_nothing_to_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("--state", str(tmp_path)) == 2
    assert "no stack runs" in capsys.readouterr().out


async def test_a_ledger_that_does_not_answer_is_not_a_clean_one(folder: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.publish({"grpc": {"balance": "127.0.0.1:1"}})

    assert await run("--state", str(folder.path)) == 2
    assert "could not be audited" in capsys.readouterr().out
