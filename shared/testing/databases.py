"""Databases for tests, on the server that the test run started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo


@contextmanager
def fresh_database(server_uri: str) -> Iterator[str]:
    """Makes an empty database for the length of the block; yields its URI."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server_uri, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield with_database(server_uri, name)
        finally:
            _drop(admin, name)


def _drop(admin: psycopg.Connection, name: str) -> None:
    """Where a connect was cancelled halfway the server waits a minute for its end. Then the database goes with the run's server."""
    admin.execute("set statement_timeout = '3s'")
    with contextlib.suppress(errors.QueryCanceled):
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def make_role(uri: str, name: str) -> str:
    """Makes a role that can't log in and that the connecting login may take on; returns its name, which the database's name begins."""
    role = f"{conninfo_to_dict(uri)['dbname']}_{name}"
    with psycopg.connect(uri, autocommit=True) as admin:
        admin.execute(sql.SQL("drop role if exists {0}").format(sql.Identifier(role)))
        admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
    return role


def with_database(uri: str, name: str) -> str:
    """Returns `uri` as a URI of another database of the same server."""
    parts = conninfo_to_dict(make_conninfo(uri, dbname=name))
    return f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"
