"""What the stack makes in a database before the first migration, and what it does when it may not."""

import asyncio
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.local.postgres import temporary_postgres
from deploy.local.roles import DatabaseUnusable, prepare_database, role_name
from shared.testing.databases import fresh_database

SERVICES = ("balance", "accrual")


class Login:
    """A login that is no superuser, with a database of its own."""

    def __init__(self, server_uri: str, attributes: str) -> None:
        self.name = f"login_{secrets.token_hex(4)}"
        self._server_uri = server_uri
        with psycopg.connect(server_uri, autocommit=True) as connection:
            options = sql.SQL(attributes)
            connection.execute(sql.SQL("create role {} login password 'pw' {}").format(sql.Identifier(self.name), options))

    def uri(self, database: str) -> str:
        given = conninfo_to_dict(self._server_uri)
        return f"postgresql://{self.name}:pw@{given['host']}:{given['port']}/{database}"


@pytest.fixture
def database(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        yield str(conninfo_to_dict(uri)["dbname"])


@pytest.fixture
def said() -> list[str]:
    return []


def drop_database(server_uri: str, database: str) -> None:
    with psycopg.connect(server_uri, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {}").format(sql.Identifier(database)))


async def test_a_missing_database_is_made_with_a_role_for_each_service(postgres_server_uri: str, said: list[str]) -> None:
    database = f'made "{secrets.token_hex(4)}"'
    uri = make_conninfo(postgres_server_uri, dbname=database)
    roles = await prepare_database(uri, SERVICES, said.append)
    assert roles == {"balance": f"{database}_balance_app", "accrual": f"{database}_accrual_app"}
    with psycopg.connect(uri, options="-c role=" + roles["balance"].replace(" ", "\\ ")) as connection:
        assert connection.execute("select current_user").fetchone() == (roles["balance"],)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create schema mine")
    drop_database(postgres_server_uri, database)
    assert said == []


async def test_a_second_start_and_two_at_once_find_the_same_roles(postgres_server_uri: str, database: str, said: list[str]) -> None:
    uri = make_conninfo(postgres_server_uri, dbname=database)
    both = await asyncio.gather(prepare_database(uri, SERVICES, said.append), prepare_database(uri, SERVICES, said.append))
    assert both[0] == both[1] == await prepare_database(uri, SERVICES, said.append)
    assert said == []


async def test_a_login_that_may_make_roles_takes_them_on_without_inheriting(
    postgres_server_uri: str, database: str, said: list[str]
) -> None:
    login = Login(postgres_server_uri, "createrole")
    roles = await prepare_database(login.uri(database), SERVICES, said.append)
    with psycopg.connect(login.uri(database), options=f"-c role={roles['accrual']}") as connection:
        assert connection.execute("select current_user, session_user").fetchone() == (roles["accrual"], login.name)
    with psycopg.connect(login.uri(database)) as connection:
        is_16_or_newer = connection.info.server_version >= 160000
        inherits = connection.execute("select pg_has_role(%s, 'USAGE')", [roles["accrual"]]).fetchone()
        assert inherits == (not is_16_or_newer,)
    assert said == []


async def test_a_login_that_may_not_runs_everything_as_itself_and_is_told(postgres_server_uri: str, database: str, said: list[str]) -> None:
    login = Login(postgres_server_uri, "")
    assert await prepare_database(login.uri(database), SERVICES, said.append) == {}
    assert len(said) == 1
    assert f"all services run as {login.name}" in said[0]


async def test_roles_made_by_another_login_are_used_when_they_were_granted(
    postgres_server_uri: str, database: str, said: list[str]
) -> None:
    made = await prepare_database(make_conninfo(postgres_server_uri, dbname=database), SERVICES, said.append)
    login = Login(postgres_server_uri, "")
    with psycopg.connect(postgres_server_uri, autocommit=True) as connection:
        for role in made.values():
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(login.name)))
    assert await prepare_database(login.uri(database), SERVICES, said.append) == made


async def test_a_wrong_password_fails_at_once_and_is_not_shown(postgres_server_uri: str, said: list[str]) -> None:
    uri = make_conninfo(postgres_server_uri, password="wrong-one")
    with pytest.raises(DatabaseUnusable, match="authentication failed") as failure:
        await prepare_database(uri, SERVICES, said.append, timeout_s=3600)
    assert "wrong-one" not in str(failure.value)


async def test_a_login_that_may_not_make_the_missing_database_is_told(postgres_server_uri: str, said: list[str]) -> None:
    login = Login(postgres_server_uri, "")
    with pytest.raises(DatabaseUnusable, match="permission denied to create database"):
        await prepare_database(login.uri("nowhere"), SERVICES, said.append, timeout_s=3600)


async def test_a_server_that_is_away_is_waited_for(said: list[str]) -> None:
    with temporary_postgres() as server:
        uri = server.dsn("late")
        server.stop()
        waiting = asyncio.create_task(prepare_database(uri, SERVICES, said.append))
        async with asyncio.timeout(30):
            while not said:  # noqa: ASYNC110  the server is another process
                await asyncio.sleep(0.01)
        server.start()
        assert set(await waiting) == set(SERVICES)
    assert "waiting for the database" in said[0]


async def test_a_server_that_stays_away_is_given_up(said: list[str]) -> None:
    with pytest.raises(DatabaseUnusable, match="refused"):
        await prepare_database("postgresql://nobody@127.0.0.1:1/none", SERVICES, said.append, timeout_s=0)


def test_a_name_too_long_for_postgresql_stays_different_for_each_service_and_database() -> None:
    names = {role_name("d" * length, service) for length in (60, 61) for service in SERVICES}
    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)
    assert role_name("galen", "balance") == "galen_balance_app"
