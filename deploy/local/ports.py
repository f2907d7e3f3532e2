"""Addresses of the stack: asked ones are kept or refused, the others move to a free port when theirs is taken."""

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # one of the names of localhost may be an IPv6 address that this machine lacks


class AddressUnusable(Exception):
    """An address cannot be used as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`, `:port` (all interfaces) or either after `http://`. Raises AddressUnusable."""
        host, separator, port = text.strip().removeprefix("http://").rstrip("/").rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
            raise AddressUnusable(f"{text!r} is no address: host:port is wanted, such as 127.0.0.1:8080")
        return cls(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104  an address without a host means all interfaces

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> "Address":
        """The address that a program on this machine connects to."""
        everywhere = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  compared with, not listened on
        return Address(everywhere.get(self.host, self.host), self.port)

    @property
    def is_free(self) -> bool:
        """Whether it can be listened on now."""
        try:
            self.ensure_usable()
        except AddressUnusable:
            return False
        return True

    def ensure_usable(self) -> None:
        """Raises AddressUnusable unless it can be listened on now, on all addresses of this machine that the host stands for."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise AddressUnusable(f"{self}: {self.host} is unknown: {error.strerror}") from error
        failures = [_bind_failure(family, address) for family, _, _, _, address in found]
        for failure in failures:
            if failure is not None and failure.errno == errno.EADDRINUSE:
                raise AddressUnusable(f"{self} is taken by another program; stop that one, or ask for another address")
            if failure is not None and failure.errno not in NOT_HERE:
                raise AddressUnusable(f"{self} cannot be listened on: {failure.strerror}")
        if None not in failures:
            raise AddressUnusable(f"{self} is no address of this machine")


def _bind_failure(family: int, address: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections that ended lately do not count as a listener; a listener does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def any_free_port(host: str = LOOPBACK) -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class PortLocks:
    """Ports that stacks of this user have chosen and perhaps not opened yet: without them two that start at once choose the same.

    The kernel drops the locks with the process. Where the folder cannot be trusted nothing is locked, and only open ports count.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"galen-ports-{os.geteuid()}"
        self._held: dict[int, IO[str]] = {}

    def hold(self, port: int) -> bool:
        """Returns whether the port is ours now."""
        if port in self._held:
            return False
        if not self._is_own():
            return True
        lock = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._held[port] = lock
        return True

    def close(self) -> None:
        """Give all ports back."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()

    def _is_own(self) -> bool:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return not self._folder.is_symlink() and self._folder.stat().st_uid == os.geteuid()
        except OSError:
            return False


@dataclass(slots=True)
class PortPlan:
    """Gives out the loopback addresses of a stack. `asked` holds ports by name that must be as asked; `moved` tells which were not free."""

    locks: PortLocks
    asked: Mapping[str, int] = field(default_factory=dict)
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)
    _given: set[int] = field(default_factory=set)

    def take_edge(self, edge: Address) -> None:
        """Hold the address that the world knows. Raises AddressUnusable."""
        edge.ensure_usable()
        if not self._hold(edge.port):
            raise AddressUnusable(f"{edge} is taken by another stack that is starting")

    def take(self, name: str, usual: int) -> Address:
        """The address for `name`. Raises AddressUnusable when a port that was asked for is taken."""
        wanted = self.asked.get(name, usual)
        address = Address(LOOPBACK, wanted)
        if address.is_free and self._hold(wanted):
            return address
        if name in self.asked:
            raise AddressUnusable(f"port {wanted}, asked for {name}, is taken by another program")
        address = self._elsewhere()
        self.moved[name] = (wanted, address.port)
        return address

    def _elsewhere(self) -> Address:
        port = any_free_port()
        while not self._hold(port):
            port = any_free_port()
        return Address(LOOPBACK, port)

    def _hold(self, port: int) -> bool:
        if port in self._given or not self.locks.hold(port):
            return False
        self._given.add(port)
        return True
