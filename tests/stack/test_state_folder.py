"""The state folder: one stack at a time, and data elsewhere when PostgreSQL's account cannot get in."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import state_folder
from deploy.local.postgres_binaries import PostgresUnusable
from deploy.local.state_folder import StateFolder, StateFolderInUse

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="galen-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def closed(folder: Path) -> Path:
    """A clone where nobody but its owner may look."""
    clone = folder / "clone"
    clone.mkdir(mode=0o700)
    return clone


def test_one_stack_at_a_time_and_the_next_when_it_has_ended(folder: Path) -> None:
    first, second = StateFolder(folder / "state"), StateFolder(folder / "state")
    first.open()
    with pytest.raises(StateFolderInUse, match=f"process {os.getpid()}"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_stack_that_was_killed_is_not_taken_for_a_running_one(folder: Path) -> None:
    stack = StateFolder(folder / "state")
    assert stack.running_stack() is None
    stack.open()
    stack.publish({"edge": "http://127.0.0.1:8080"})
    assert StateFolder(folder / "state").running_stack() == {"edge": "http://127.0.0.1:8080"}
    left_behind = (stack.path / "stack.json").read_text()
    stack.close()
    (stack.path / "stack.json").write_text(left_behind)
    assert StateFolder(folder / "state").running_stack() is None


def test_secrets_and_logs_are_closed_and_data_is_inside(folder: Path) -> None:
    state = StateFolder(folder / "state")
    state.open()
    assert [path.stat().st_mode & 0o077 for path in (state.keys, state.logs, state.processes)] == [0, 0, 0]
    assert state.postgres_home() == folder / "state" / "postgres"
    state.close()


@pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL under another account")
def test_data_goes_elsewhere_and_always_to_the_same_place_when_the_clone_is_closed(
    folder: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_folder, "ELSEWHERE", (folder / "elsewhere",))
    state = StateFolder(closed / "state")
    state.open()
    home = state.postgres_home()
    assert home.is_relative_to(folder / "elsewhere")
    assert StateFolder(closed / "state").postgres_home() == home
    assert StateFolder(closed / "other").postgres_home() != home
    assert closed.stat().st_mode & 0o777 == 0o700
    state.close()


@pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL under another account")
def test_a_place_that_others_may_write_to_is_not_trusted(folder: Path, closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all, linked = folder / "open", folder / "linked"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    linked.symlink_to(folder)
    monkeypatch.setattr(state_folder, "ELSEWHERE", (open_to_all, linked))
    with pytest.raises(PostgresUnusable, match="cannot be reached"):
        StateFolder(closed / "state").postgres_home()
