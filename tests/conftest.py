"""One PostgreSQL server for the whole run, started by the process that distributes the tests; a database of its own for each worker."""

from __future__ import annotations

import tests.fork_safety  # noqa: F401

# isort: split
import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from deploy.local.postgres import temporary_postgres
from deploy.local.postgres_binaries import find_binaries
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities, make_identities

# The machines are shared and noisy: no example fails for being slow.
settings.register_profile("galen", deadline=None, print_blob=True)
settings.load_profile("galen")

# Plain tracebacks: drawing the pretty ones of a whole server takes seconds.
_CONSOLE = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _CONSOLE])

# Servers that the tests of other services need too.
pytest_plugins = ["tests.balance_fixtures", "tests.accrual_fixtures"]

E2E = "tests/e2e/"
SERVER = pytest.StashKey[str]()
STARTED = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[SERVER] = workerinput["postgres_server_uri"]
    elif not config.option.collectonly:
        config.stash[STARTED] = started = ExitStack()
        binaries = Path(os.environ["PG_BIN"]) if os.environ.get("PG_BIN") else find_binaries()
        config.stash[SERVER] = started.enter_context(temporary_postgres(binaries, max_connections=800)).dsn()


class StacksInTurn(LoadScopeScheduling):  # type: ignore[misc]
    """Each test goes to whichever worker is free, but all that start whole stacks to one: at once they would only wait for each other.

    (The marks of `--dist loadgroup` would say that, but pytest 9.2 does not hear them: pytest-dev/pytest-xdist#1386.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return E2E if nodeid.startswith(E2E) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StacksInTurn:
    return StacksInTurn(config, log)


def pytest_configure_node(node: Any) -> None:
    node.workerinput["postgres_server_uri"] = node.config.stash[SERVER]


def pytest_unconfigure(config: pytest.Config) -> None:
    if STARTED in config.stash:
        config.stash[STARTED].close()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres_server_uri(request: pytest.FixtureRequest) -> str:
    """A login of the run's server that may make databases and roles."""
    return request.config.stash[SERVER]


@pytest.fixture(scope="session")
def database_uri(postgres_server_uri: str) -> Iterator[str]:
    """This worker's database; each service's fixtures make its schema in it once."""
    with fresh_database(postgres_server_uri) as uri:
        yield uri


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return make_identities(tmp_path_factory.mktemp("keys"))
