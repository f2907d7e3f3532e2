"""The commands, as processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.customers.settings import CustomersSettings
from shared.testing.servers import free_port
from tests.customers.client import PASSWORD, Auth, new_login
from tests.customers.servers import customers_served, own_database, query

ROLES = "select roles from customer where login = %s"


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    output: str
    errors: str


async def run(settings: CustomersSettings, *arguments: str, lines: str = "", **environment: str) -> Ended:
    """Runs `python -m services.customers`, with the settings and nothing else in its environment."""
    given = {name.upper(): str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.customers", *arguments,
        env={**given, **environment},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(lines.encode()), timeout=60)
    return Ended(process.returncode or 0, output.decode(), errors.decode())


@pytest.fixture
def settings(customers_settings: CustomersSettings, postgres_server_uri: str) -> Iterator[CustomersSettings]:
    with own_database(customers_settings, postgres_server_uri) as own:
        yield own


async def test_an_administrator_is_made_from_the_environment_and_can_log_in(settings: CustomersSettings) -> None:
    login = new_login()

    ended = await run(settings, "create-admin", ADMIN_LOGIN=login, ADMIN_PASSWORD=PASSWORD)

    assert (ended.status, ended.errors) == (0, "")
    assert query(settings, ROLES, login) == [(["customer", "admin"],)]
    assert PASSWORD not in ended.output
    async with customers_served(settings, background_work=False) as server:
        assert (await Auth(server.channel).log_in(login)).customer in ended.output
    assert query(settings, "select count(*) from procrastinate_jobs") == [(1,)]


async def test_who_has_registered_is_promoted_and_keeps_the_password(settings: CustomersSettings) -> None:
    login = new_login()
    async with customers_served(settings, background_work=False) as server:
        auth = Auth(server.channel)
        await auth.register(login)
        query(settings, "update customer set roles = array['customer', 'staff']")

        ended = await run(settings, "create-admin", lines=f"{login}\nanother password\n")

        assert (ended.status, ended.errors) == (0, "")
        assert query(settings, ROLES, login) == [(["customer", "staff", "admin"],)]
        assert (await auth.log_in(login)).customer in ended.output


@pytest.mark.parametrize("lines", ["\n", "admin\n\n", f"admin\n{'x' * 257}\n"])
async def test_an_administrator_without_a_usable_login_and_password_is_not_made(settings: CustomersSettings, lines: str) -> None:
    ended = await run(settings, "create-admin", lines=lines)

    assert ended.status == 1
    assert "must have" in ended.errors
    assert "Traceback" not in ended.errors
    assert query(settings, "select count(*) from customer") == [(0,)]


async def test_missing_accounts_are_opened_by_a_command_that_tells_how_many(settings: CustomersSettings) -> None:
    async with customers_served(settings, background_work=False) as server:
        await Auth(server.channel).register(new_login())

    away = await run(settings, "backfill-accounts", BALANCE_ADDRESS=f"127.0.0.1:{free_port()}")
    done = await run(settings, "backfill-accounts")

    assert (away.status, away.output.splitlines()[-1]) == (1, "accounts opened: 0, failed: 1")
    assert (done.status, done.output.splitlines()[-1]) == (0, "accounts opened: 1, failed: 0")
    assert query(settings, "select count(*) from customer where account_opened_at is null") == [(0,)]


async def test_help_lists_the_commands_and_the_settings(settings: CustomersSettings) -> None:
    ended = await run(settings, "--help")

    assert ended.status == 0
    for word in ("serve", "worker", "create-admin", "backfill-accounts", "migrate", "SIGNING_KEY_FILE", "TRUSTED_PROXIES"):
        assert word in ended.output


@pytest.mark.parametrize("faults", [{"TRUSTED_PROXIES": "everyone"}, {"TOKEN_LIFETIME_S": "0"}, {"DATABASE_URI": "mysql://x"}])
async def test_faulty_settings_are_told_by_name(settings: CustomersSettings, faults: dict[str, str]) -> None:
    ended = await run(settings, "serve", **faults)

    assert ended.status == 2
    assert ended.errors.startswith(f"{next(iter(faults))}: ")
