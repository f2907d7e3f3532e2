"""Addresses of the stack: asked ones are kept or refused, the others move to a free port when theirs is taken."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"


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
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
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
        """Whether it can be listened on now, on each address that the host stands for."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return all(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections that ended lately do not count as a listener; a listener does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def any_free_port(host: str = LOOPBACK) -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class PortPlan:
    """Gives out the loopback addresses of a stack. `asked` holds ports by name that must be as asked; `moved` tells which were not free."""

    asked: Mapping[str, int] = field(default_factory=dict)
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)
    _given: set[int] = field(default_factory=set)

    def take(self, name: str, usual: int) -> Address:
        """The address for `name`. Raises AddressUnusable when a port that was asked for is taken."""
        wanted = self.asked.get(name, usual)
        address = Address(LOOPBACK, wanted)
        if wanted in self._given or not address.is_free:
            if name in self.asked:
                raise AddressUnusable(f"port {wanted}, asked for {name}, is taken by another program")
            address = self._elsewhere()
            self.moved[name] = (wanted, address.port)
        self._given.add(address.port)
        return address

    def _elsewhere(self) -> Address:
        port = any_free_port()
        while port in self._given:
            port = any_free_port()
        return Address(LOOPBACK, port)
