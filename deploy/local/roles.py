"""The database and the roles in it, made ready before the first migration.

Each service gets a role of its own that cannot log in; the login takes it on after connecting, and then has that service's privileges
only. Which those are stands in the service's migrations. A login without the right to make roles runs everything as itself.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence

import psycopg
from psycopg import Connection, errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

NAME_BYTES_MAX = 63
CONNECT_TIMEOUT_S = 5
RETRY_FIRST_S = 0.1
RETRY_LONGEST_S = 2.0
SET_OPTION_SINCE = 160000

Say = Callable[[str], None]


class DatabaseUnusable(Exception):
    """The database that was given cannot be used; the text says why, without the password."""


def role_name(database: str, service: str) -> str:
    """`<database>_<service>_app`; a name that PostgreSQL would cut keeps its end and a hash of its beginning."""
    name = f"{database}_{service}_app"
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    return f"galen_{hashlib.sha256(database.encode()).hexdigest()[:16]}_{service}_app"


async def prepare_database(uri: str, services: Iterable[str], say: Say, *, timeout_s: float = 60.0) -> dict[str, str]:
    """Wait until the server answers, make the database if it is missing, make the roles and let the login take them on.

    Returns the role of each service, nothing when the login may not make roles. Raises DatabaseUnusable.
    """
    wanted = tuple(services)
    deadline = time.monotonic() + timeout_s
    delay, told = RETRY_FIRST_S, ""
    while True:
        try:
            return await asyncio.to_thread(_prepare, uri, wanted, say)
        except psycopg.Error as error:
            reason = _first_line(error)
            if time.monotonic() > deadline or not _may_pass(error):
                raise DatabaseUnusable(f"the database cannot be used: {reason}") from error
        if reason != told:
            say(f"waiting for the database: {reason}")
            told = reason
        await asyncio.sleep(delay)
        delay = min(delay * 2, RETRY_LONGEST_S)


def _may_pass(error: psycopg.Error) -> bool:
    """Waiting helps against a server that is away, not against a wrong password (class 28, where the text is all that is left of it)."""
    away = isinstance(error, psycopg.OperationalError) and not isinstance(error, errors.InsufficientPrivilege)
    return away and not (error.sqlstate or "").startswith("28") and "authentication failed" not in str(error)


def _prepare(uri: str, services: Sequence[str], say: Say) -> dict[str, str]:
    with _connect_or_create(uri) as connection:
        # Two stacks that start at once take turns; the lock goes with the connection.
        connection.execute("select pg_advisory_lock(hashtextextended('galen roles', 0))")
        roles = {service: role_name(connection.info.dbname, service) for service in services}
        try:
            for role in roles.values():
                _ensure_role(connection, role)
        except errors.InsufficientPrivilege as error:
            say(f"all services run as {connection.info.user}, which may not make a role for each: {_first_line(error)}")
            return {}
    return roles


def _connect_or_create(uri: str) -> Connection:
    try:
        return psycopg.connect(uri, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError:
        if not _create_if_missing(uri):
            raise
        return psycopg.connect(uri, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)


def _create_if_missing(uri: str) -> bool:
    """Asked of the server itself, since the text of its refusal may be in any language. Returns whether the database was missing."""
    given = conninfo_to_dict(uri)
    database = str(given.get("dbname") or given.get("user") or "")
    try:
        connection = psycopg.connect(make_conninfo(uri, dbname="postgres"), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError:
        return False
    with connection:
        if connection.execute("select 1 from pg_database where datname = %s", [database]).fetchone():
            return False
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            return True  # another stack was faster
        return True


def _ensure_role(connection: Connection, role: str) -> None:
    name = sql.Identifier(role)
    # Looked up first: a login that may not make roles is refused even when the role is there and granted to it.
    if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("create role {} nologin").format(name))
    if not _may_take_on(connection, role):
        options = " with set true, inherit false" if connection.info.server_version >= SET_OPTION_SINCE else ""
        connection.execute(sql.SQL("grant {} to {}" + options).format(name, sql.Identifier(connection.info.user)))


def _may_take_on(connection: Connection, role: str) -> bool:
    privilege = "SET" if connection.info.server_version >= SET_OPTION_SINCE else "MEMBER"
    row = connection.execute("select pg_has_role(current_user, %s, %s)", [role, privilege]).fetchone()
    return row == (True,)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n", 1)[0]
