"""Addresses of the stack: asked ones are kept or refused, the others move to a free port when theirs is taken."""

import errno
import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

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
        self.bind().close()

    def bind(self) -> ExitStack:
        """Bind sockets to it, which do not listen, until the block ends. Raises AddressUnusable as `ensure_usable` does."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise AddressUnusable(f"{self}: {self.host} is unknown: {error.strerror}") from error
        with ExitStack() as bound:
            are_here = [self._bind_one(bound, family, address) for family, _, _, _, address in found]
            if not any(are_here):
                raise AddressUnusable(f"{self} is no address of this machine")
            return bound.pop_all()

    def _bind_one(self, bound: ExitStack, family: int, address: tuple[object, ...]) -> bool:
        try:
            one = bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # Connections that ended lately do not count as a listener; a listener does.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressUnusable(f"{self} is taken by another program; stop that one, or ask for another address") from error
            if error.errno not in NOT_HERE:
                raise AddressUnusable(f"{self} cannot be listened on: {error.strerror}") from error
            return False
        return True


def reserved(address: Address) -> ExitStack:
    """Keep the port from connections that programs of this machine open, until it is closed. Raises AddressUnusable.

    The kernel takes the near end of a connection from the ports above 32768, ours among them, whenever nobody listens on one just
    now: before a program has started, or while it starts again. A bound socket is passed over, and does not stand in the listener's way;
    of that only Linux is sure, so that elsewhere nothing stays bound.
    """
    bound = address.bind()
    if sys.platform != "linux":
        bound.close()
    return bound


def any_free_port(host: str = LOOPBACK) -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class PortLocks:
    """Ports that stacks of this user have chosen, whether they listen yet or not: without them two that start at once choose the same.

    Each is reserved, too. The kernel drops both with the process. Where the folder cannot be trusted nothing is locked, and only open
    ports count.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"galen-ports-{os.geteuid()}"
        self._ports: set[int] = set()
        self._held = ExitStack()

    def hold(self, address: Address) -> bool:
        """Returns whether the port is ours now. Raises AddressUnusable when somebody listens on it."""
        if address.port in self._ports:
            return False
        with ExitStack() as held:
            held.enter_context(reserved(address))
            if self._is_own() and not self._lock(address.port, held):
                return False
            self._ports.add(address.port)
            self._held.push(held.pop_all())
        return True

    def close(self) -> None:
        """Give all ports back."""
        self._held.close()
        self._ports.clear()

    def _lock(self, port: int, held: ExitStack) -> bool:
        lock = held.enter_context((self._folder / str(port)).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

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

    def take_edge(self, edge: Address) -> None:
        """Hold the address that the world knows. Raises AddressUnusable."""
        if not self.locks.hold(edge):
            raise AddressUnusable(f"{edge} is taken by another stack that is starting")

    def take(self, name: str, usual: int) -> Address:
        """The address for `name`. Raises AddressUnusable when a port that was asked for is taken."""
        address = Address(LOOPBACK, self.asked.get(name, usual))
        if self._hold(address):
            return address
        if name in self.asked:
            raise AddressUnusable(f"port {address.port}, asked for {name}, is taken by another program")
        elsewhere = self._elsewhere()
        self.moved[name] = (usual, elsewhere.port)
        return elsewhere

    def _elsewhere(self) -> Address:
        address = Address(LOOPBACK, any_free_port())
        while not self._hold(address):
            address = Address(LOOPBACK, any_free_port())
        return address

    def _hold(self, address: Address) -> bool:
        try:
            return self.locks.hold(address)
        except AddressUnusable:
            return False
