"""A PostgreSQL server of our own, run as a child process from a folder of binaries.

Everything it keeps lives in one folder (`home`): the cluster, its generated password, the port it had last time and its log. It listens
on 127.0.0.1 only, with scram passwords and without a Unix socket (whose path may be 107 characters at most).

    with EmbeddedPostgres(find_binaries(), Path(".galen/postgres")) as server:
        psycopg.connect(server.dsn("galen"))

Tests take `temporary_postgres()`. It is synchronous; in an event loop call it through `asyncio.to_thread`.
"""

import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, Self

import psutil

from deploy.local.ports import LOOPBACK, Address, AddressUnusable, any_free_port, reserved
from deploy.local.postgres_binaries import (
    Account,
    PostgresUnusable,
    find_binaries,
    is_searchable,
    minimal_environment,
    reachable_binaries,
    run_as,
    server_account,
    version_of,
)

SUPERUSER = "postgres"
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""For tests: acknowledged commits survive a killed server (the kernel has the pages), not a crash of the machine."""

StopMode = Literal["smart", "fast", "immediate", "kill"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}
POLL_S = 0.01
PORT_ATTEMPTS = 5
LOG_BYTES_MAX = 8 * 1024 * 1024


class EmbeddedPostgres:
    """One server on one `home` folder, which is made if it is missing (its parent must be searchable by the server's account).

    `port` 0 takes the port of the last start if it is still free, else any free one. `settings` are server parameters
    (`{"fsync": "off"}`) that hold for this start only. `log_file` is in `home` unless given. Nothing runs before `start()`.
    """

    def __init__(
        self,
        bin_dir: Path,
        home: Path,
        *,
        port: int = 0,
        max_connections: int = 100,
        settings: Mapping[str, str] | None = None,
        log_file: Path | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self.home = home.absolute()
        self.log_file = log_file or self.home / "server.log"
        self._bin_dir = bin_dir
        self._data = self.home / "data"
        self._settings = {"max_connections": str(max_connections), "shared_buffers": "64MB", **(settings or {})}
        self._asked_port = port
        self._start_timeout_s = start_timeout_s
        self._account: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._port = 0
        self._reserved = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the server that `start()` started is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the postmaster. Raises PostgresUnusable when it was not started."""
        if self._process is None:
            raise PostgresUnusable("the server was not started")
        return self._process.pid

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1, kept over restarts of this object."""
        return self._port

    def dsn(self, database: str = "postgres") -> str:
        """`postgresql://` URI of the superuser for a database (which need not exist yet)."""
        return f"postgresql://{SUPERUSER}:{self._password_file.read_text().strip()}@{LOOPBACK}:{self._port}/{database}"

    def start(self) -> None:
        """Make the cluster if there is none, end a server that a killed run left behind, start, wait until it accepts connections.

        Raises PostgresUnusable: no usable account, folder out of the account's reach or in use by another program, cluster of another
        major version, or the server ends during start (the text ends with its log).
        """
        if self.running:
            return
        self._account = server_account()
        self._make_home()
        self._take_lock()
        try:
            self._start()
        except BaseException:
            self.stop("immediate")
            raise

    def _start(self) -> None:
        self._bin_dir = reachable_binaries(self._bin_dir, self._account, self.home)
        self._check_version()
        if not self._data.exists():
            self._initdb()
        self._end_leftover()
        self._start_on_a_free_port()

    def stop(self, mode: StopMode = "fast", timeout_s: float = 30.0) -> None:
        """Stop and wait. After the timeout it is stopped as `immediate`, then killed. Harmless when nothing runs.

        `immediate` and `kill` are crashes: the next start recovers from the log.
        """
        try:
            self._end_process(mode, timeout_s)
        finally:
            if self._lock:
                self._lock.close()
            self._reserved.close()

    def _end_process(self, mode: StopMode, timeout_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for sent in (STOP_SIGNALS[mode], signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sent)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                timeout_s = 5.0
            else:
                break
        self._wait_for_workers()

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start on the same port."""
        self.stop(mode)
        self.start()

    @property
    def _password_file(self) -> Path:
        return self.home / "password"

    def _make_home(self) -> None:
        if not self.home.exists():
            self.home.parent.mkdir(parents=True, exist_ok=True)
            self.home.mkdir(mode=0o700)
            if self._account:
                self._account.owns(self.home)
        if not is_searchable(self.home, self._account):
            name = self._account.name if self._account else "this user"
            raise PostgresUnusable(f"{self.home} cannot be reached by {name}, who runs the server: choose another folder")

    def _take_lock(self) -> None:
        """The kernel drops the lock with the process that holds it, so a killed run leaves none."""
        if self._lock:
            self._lock.close()
        self._lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise PostgresUnusable(f"{self.home} is in use by another program") from None

    def _check_version(self) -> None:
        """A cluster can only be read by the major version that made it."""
        major = version_of(self._bin_dir, self._account).partition(".")[0]
        marker = self._data / "PG_VERSION"
        if marker.exists() and (made_by := marker.read_text().strip()) != major:
            raise PostgresUnusable(
                f"{self._data} was made by PostgreSQL {made_by}, the programs in {self._bin_dir} are {major}: use PostgreSQL {made_by}, "
                f"or move the data with pg_dump, or delete {self.home} if it is not needed"
            )

    def _initdb(self) -> None:
        """Under another name first, so that a run killed half-way leaves nothing that looks like a cluster."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_private(self._password_file, secrets.token_urlsafe(24) + "\n")
        password = self.home / "password.initdb"
        self._write_private(password, self._password_file.read_text())
        if self._account:
            self._account.owns(password)
        command = [str(self._bin_dir / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256"]
        command += ["--encoding=UTF8", *self._locale_options()]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        try:
            run_as(self._account, command, cwd=self.home)
        except subprocess.CalledProcessError as error:
            raise PostgresUnusable(f"initdb failed:\n{error.stdout}") from error
        finally:
            password.unlink()
        unfinished.rename(self._data)

    def _locale_options(self) -> list[str]:
        """UTF-8 character classes, byte order, the same on each machine; built in since 17, before that the C library's."""
        if int(re.split(r"\D", version_of(self._bin_dir, self._account))[0]) >= 17:
            return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--locale=C.UTF-8"]

    @staticmethod
    def _write_private(path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)

    def _end_leftover(self) -> None:
        """End the server of a run that was killed. A pid file whose number is a stranger's by now is removed, the stranger left alone."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if self._works_here(pid):
            os.kill(pid, signal.SIGINT)
            self._wait_until_idle(pid, 20.0)
            if self._works_here(pid):
                os.kill(pid, signal.SIGKILL)
        self._wait_for_workers()
        if psutil.pid_exists(pid):
            pid_file.unlink(missing_ok=True)

    def _wait_until_idle(self, pid: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._works_here(pid) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _works_here(self, pid: int) -> bool:
        """PostgreSQL processes have the cluster's folder as their working directory; one that has ended but is not yet reaped has none."""
        try:
            return Path(psutil.Process(pid).cwd()) == self._data.resolve()
        except (psutil.Error, OSError):
            return False

    def _wait_for_workers(self) -> None:
        """Workers outlive a killed postmaster for a moment, and a new one must not meet them. Raises PostgresUnusable after 20 s."""
        if not (self._data / "postmaster.pid").exists():
            return
        deadline = time.monotonic() + 20.0
        while workers := [pid for pid in psutil.pids() if self._works_here(pid)]:
            if time.monotonic() > deadline:
                raise PostgresUnusable(f"processes of an earlier server still use {self._data}: {workers}")
            time.sleep(POLL_S)

    def _start_on_a_free_port(self) -> None:
        for _ in range(PORT_ATTEMPTS):
            port = self._choose_port()
            self._reserve(port)
            self._launch(port)
            if self._wait_until_ready():
                self._port = port
                (self.home / "port").write_text(f"{port}\n")
                return
            if "Address already in use" not in self._log_tail():
                break
            (self.home / "port").unlink(missing_ok=True)
        raise PostgresUnusable(f"PostgreSQL did not start; the end of {self.log_file}:\n{self._log_tail()}")

    def _choose_port(self) -> int:
        if self._asked_port or (self._port and Address(LOOPBACK, self._port).is_free):
            return self._asked_port or self._port
        kept = self.home / "port"
        if kept.exists() and Address(LOOPBACK, port := int(kept.read_text())).is_free:
            return port
        return any_free_port()

    def _reserve(self, port: int) -> None:
        """For the time between a crash and the new start. Where it is taken, the server's log will tell."""
        self._reserved.close()
        with suppress(AddressUnusable):
            self._reserved = reserved(Address(LOOPBACK, port))

    def _launch(self, port: int) -> None:
        """In a session of its own: Ctrl-C in the terminal must not stop the server before those who use it."""
        settings = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_MAX:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [str(self._bin_dir / "postgres"), "-D", str(self._data), *options],
                cwd=self.home,
                env=minimal_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._account.uid if self._account else None,
                group=self._account.gid if self._account else None,
                extra_groups=[] if self._account else None,
            )

    def _wait_until_ready(self) -> bool:
        """The postmaster writes its state into the eighth line of its pid file."""
        pid_file = self._data / "postmaster.pid"
        deadline = time.monotonic() + self._start_timeout_s
        while self.running:
            lines = pid_file.read_text().split("\n") if pid_file.exists() else []
            if len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].startswith("ready"):
                return True
            if time.monotonic() > deadline:
                self.stop("immediate")
                raise PostgresUnusable(f"PostgreSQL was not ready within {self._start_timeout_s:g} s; see {self.log_file}")
            time.sleep(POLL_S)
        return False

    def _log_tail(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read()[-4000:].decode(errors="replace").strip()


@contextmanager
def temporary_postgres(
    bin_dir: Path | None = None, *, max_connections: int = 200, settings: Mapping[str, str] = NOT_DURABLE
) -> Iterator[EmbeddedPostgres]:
    """A server that lasts as long as the block, in a folder of its own that is deleted afterwards. Not durable unless told otherwise.

    If our process is killed, the folder is deleted all the same, and the server ends itself within a minute of missing it.
    """
    folder = Path(tempfile.mkdtemp(prefix="galen-postgres-"))
    folder.chmod(0o711)  # mkdtemp's 0700 would keep out the account that the server runs under
    with (
        _deleted_at_our_end(folder),
        EmbeddedPostgres(bin_dir or find_binaries(), folder / "server", max_connections=max_connections, settings=settings) as server,
    ):
        yield server


@contextmanager
def _deleted_at_our_end(folder: Path) -> Iterator[None]:
    """Whatever our end is: a shell in a session of its own deletes the folder when the pipe to us breaks."""
    command = ["/bin/sh", "-c", 'read -r _ || rm -rf -- "$1"', "sh", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd="/", env=minimal_environment()) as watcher:
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            watcher.communicate(b"done\n")
