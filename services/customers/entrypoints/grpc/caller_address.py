"""Where a call comes from: the address that failed logins are counted for."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from shared.grpc.interceptor import Context

FORWARDED_FOR = "x-forwarded-for"
# One household or server rents a whole /64; counted one by one its addresses would never run out.
IPV6_PREFIX = 64


class CallerAddress:
    """Reads addresses of callers; believes `x-forwarded-for` only as far as trusted proxies wrote it."""

    def __init__(self, trusted_proxies: str) -> None:
        self._trusted = [ip_network(network.strip()) for network in trusted_proxies.split(",")]

    def of(self, context: Context) -> str:
        """Returns the caller's address: IPv4 as it is, IPv6 as its /64."""
        metadata = context.invocation_metadata() or ()
        return self.read(context.peer(), [str(value) for key, value in metadata if key == FORWARDED_FOR])

    def read(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """Walks back from the peer over the proxies that we trust, to the first address that none of them vouches for."""
        address = _peer_address(peer)
        if address is None:
            return peer.partition(":")[0]
        hops = [hop for line in forwarded_for for hop in line.split(",")]
        while hops and self._is_trusted(address):
            before = _parse(hops.pop())
            if before is None:
                break
            address = before
        return _counted(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted if network.version == address.version)


def _peer_address(peer: str) -> IPv4Address | IPv6Address | None:
    """Reads `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; None for what has no address, such as `unix:...`."""
    kind, _, rest = unquote(peer).partition(":")
    return _parse(rest.rpartition(":")[0]) if kind in {"ipv4", "ipv6"} else None


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    return str(IPv6Network((address, IPV6_PREFIX), strict=False)) if isinstance(address, IPv6Address) else str(address)
