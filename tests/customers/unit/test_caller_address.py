"""Whom failed logins are counted for."""

from __future__ import annotations

import pytest

from services.customers.entrypoints.grpc.caller_address import CallerAddress

ADDRESSES = CallerAddress("127.0.0.0/8, ::1/128, 10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        pytest.param("ipv4:203.0.113.7:5000", [], "203.0.113.7", id="the peer"),
        pytest.param("ipv4:203.0.113.7:5000", ["198.51.100.1"], "203.0.113.7", id="a stranger's header is not believed"),
        pytest.param("ipv4:127.0.0.1:5000", ["198.51.100.1"], "198.51.100.1", id="a trusted proxy's is"),
        pytest.param("ipv4:127.0.0.1:5000", ["1.1.1.1, 198.51.100.1"], "198.51.100.1", id="what its caller claimed is not"),
        pytest.param("ipv4:127.0.0.1:5000", ["1.1.1.1", "198.51.100.1"], "198.51.100.1", id="header sent twice"),
        pytest.param("ipv4:127.0.0.1:5000", ["198.51.100.1,10.1.1.1"], "198.51.100.1", id="two proxies"),
        pytest.param("ipv4:127.0.0.1:5000", [], "127.0.0.1", id="a proxy that says nothing"),
        pytest.param("ipv4:127.0.0.1:5000", ["unknown"], "127.0.0.1", id="nonsense"),
        pytest.param("ipv4:127.0.0.1:5000", ["198.51.100.1, nonsense, 10.1.1.1"], "10.1.1.1", id="nothing beyond nonsense is believed"),
        pytest.param("ipv6:%5B::1%5D:5000", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64", id="a network of IPv6"),
        pytest.param("ipv6:[2001:db8:1:2::9]:5000", [], "2001:db8:1:2::/64", id="IPv6 in plain"),
        pytest.param("ipv6:%5B::ffff:203.0.113.7%5D:5000", [], "203.0.113.7", id="IPv4 inside IPv6"),
        pytest.param("ipv6:%5B::ffff:127.0.0.1%5D:5000", ["203.0.113.7"], "203.0.113.7", id="a trusted IPv4 inside IPv6"),
        pytest.param("ipv4:127.0.0.1:5000", ["[2001:db8::1]"], "2001:db8::/64", id="in brackets"),
        pytest.param("ipv4:127.0.0.1:5000", [""], "127.0.0.1", id="empty"),
        pytest.param("unix:", ["198.51.100.1"], "unix", id="no address at all"),
    ],
)
def test_the_address_is_the_first_that_no_trusted_proxy_vouches_for(peer: str, forwarded_for: list[str], counted: str) -> None:
    assert ADDRESSES.read(peer, forwarded_for) == counted
