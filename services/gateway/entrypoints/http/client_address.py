"""Whose request it is, behind how many proxies ever."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

FORWARDED_FOR = "X-Forwarded-For"


class ClientAddresses:
    """Believes `X-Forwarded-For` as far as trusted proxies wrote it: from its end, up to the first address that is not theirs."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted

    def of(self, request: web.Request) -> str:
        """Returns the client's address, empty if the connection is gone."""
        return self.read(request.remote or "", request.headers.getall(FORWARDED_FOR, []))

    def read(self, remote: str, forwarded_for: Sequence[str]) -> str:
        peer = _address(remote)
        if peer is None:
            return ""
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        client = peer
        while hops and self._is_trusted(client):
            before = _address(hops.pop().strip())
            if before is None:
                break
            client = before
        return str(client)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
