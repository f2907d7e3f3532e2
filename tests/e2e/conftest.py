"""Whole stacks, as processes."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.stack_process import StackProcess


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Not one of pytest's: their parents are closed to the account that PostgreSQL runs under."""
    with tempfile.TemporaryDirectory(prefix="galen-e2e-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session")
async def stack() -> AsyncIterator[StackProcess]:
    """One as `make run` starts it, for the tests that only use it. It logs all it can, so that it can be caught telling secrets."""
    with reachable_folder() as folder:
        stack = StackProcess(folder, "--log-level", "debug")
        try:
            await stack.start()
            yield stack
        finally:
            await stack.clean_up()
