"""The folder that a stack keeps everything in: keys, data, logs, process records. One stack at a time uses it."""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from deploy.local.postgres_binaries import PostgresUnusable, is_searchable, server_account

PROJECT = Path(__file__).resolve().parents[2]
ELSEWHERE = (Path("/var/lib/galen"), Path("/var/tmp/galen"))  # noqa: S108  checked below to be root's own


class StateFolderInUse(Exception):
    """Another stack runs on this folder."""


def default_state() -> Path:
    """`.galen` of the clone, or of the current folder when we are installed elsewhere."""
    return (PROJECT if (PROJECT / "pyproject.toml").exists() else Path.cwd()) / ".galen"


class StateFolder:
    """Paths below the folder. Nothing is made before `open()`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.keys = self.path / "keys"
        self.logs = self.path / "logs"
        self.processes = self.path / "processes"
        self._stack_file = self.path / "stack.json"
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Make the folder and take its lock, which the kernel drops with our process. Raises StateFolderInUse, OSError."""
        if not self.path.exists():
            self.path.mkdir(parents=True)
            self.path.chmod(0o711)  # the account that PostgreSQL runs under passes through to its own folder
        for private in (self.keys, self.logs, self.processes):
            private.mkdir(mode=0o700, exist_ok=True)
        self._lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise StateFolderInUse(
                f"a stack runs on {self.path} already (process {holder}); stop it, or give another folder with --state"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def close(self) -> None:
        """Give the folder back."""
        self._stack_file.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def publish(self, stack: Mapping[str, Any]) -> None:
        """Tell other programs, such as `galen demo`, where the running stack answers."""
        unfinished = self._stack_file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(stack, indent=2) + "\n")
        unfinished.replace(self._stack_file)

    def running_stack(self) -> dict[str, Any] | None:
        """What the stack that runs now has published, or None when none runs or it is not ready yet."""
        if not self._stack_file.exists() or not self._is_locked():
            return None
        stack: dict[str, Any] = json.loads(self._stack_file.read_text())
        return stack

    def _is_locked(self) -> bool:
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def postgres_home(self) -> Path:
        """Where PostgreSQL keeps its data: here, or elsewhere when the account that it runs under cannot get here.

        Raises PostgresUnusable when there is no such place.
        """
        account = server_account()
        if is_searchable(self.path, account):
            return self.path / "postgres"
        name = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]
        for base in ELSEWHERE:
            if _make_own(base) and _make_own(base / name) and is_searchable(base / name, account):
                return base / name / "postgres"
        raise PostgresUnusable(f"{self.path} cannot be reached by {account.name if account else 'this user'}; give a folder with --state")


def _make_own(folder: Path) -> bool:
    """Make the folder, or find one that is root's and not a link: in a public place anybody may have put something under that name."""
    try:
        folder.mkdir()
        folder.chmod(0o711)
    except FileExistsError:
        found = folder.lstat()
        return folder.is_dir() and not folder.is_symlink() and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    except OSError:
        return False
    return True
