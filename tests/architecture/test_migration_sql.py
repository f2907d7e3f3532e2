"""`make check` reads the SQL of all migrations: it must be all of it, and what breaks the rules must be found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.state_folder import PROJECT
from deploy.migration_sql import TIMEOUTS, main

SQUAWK = Path(sys.executable).with_name("squawk")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrations")
    main(folder)
    return folder


def complaints(folder: Path) -> tuple[int, str]:
    """Returns the status and what was said, with the project's rules."""
    command = [str(SQUAWK), "--config", str(PROJECT / ".squawk.toml"), "--reporter", "gcc", str(folder / "*" / "*.sql")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def test_each_migration_of_each_service_is_written(folder: Path) -> None:
    written = {(path.parent.name, path.stem) for path in folder.glob("*/*.sql")}
    scripts = (PROJECT / "services").glob("*/migrations/versions/[0-9]*.py")

    assert written == {(script.parts[-4], script.stem.partition("_")[0]) for script in scripts}
    assert "CREATE TABLE balance.request_log" in (folder / "balance" / "0006.sql").read_text()


def test_migrations_obey_the_rules(folder: Path) -> None:
    assert complaints(folder) == (0, "")


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("alter table balance.account drop column debt;", "ban-drop-column"),
        ("create index more on balance.operation (kind);", "require-concurrent-index-creation"),
        ("alter table balance.account add column x bigint not null;", "adding-required-field"),
    ],
)
def test_a_migration_that_breaks_the_version_before_or_blocks_everybody_is_found(tmp_path: Path, statement: str, rule: str) -> None:
    made = tmp_path / "balance" / "9999.sql"
    made.parent.mkdir()
    made.write_text(TIMEOUTS + statement)

    status, said = complaints(tmp_path)

    assert status != 0
    assert rule in said
