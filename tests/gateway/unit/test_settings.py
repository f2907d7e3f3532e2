from __future__ import annotations

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings


@pytest.mark.parametrize("address", [":8080", "127.0.0.1:8080", "localhost:0", "[::1]:8080", "0.0.0.0:65535"])
def test_a_run_address_is_a_port_with_or_without_a_host(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RUN_ADDRESS", address)
    assert GatewaySettings().run_address == address


@pytest.mark.parametrize("address", ["", "8080", "host", "host:", "host:port", ":65536", ":-1", ":²"])
def test_other_run_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RUN_ADDRESS", address)
    with pytest.raises(ValidationError):
        GatewaySettings()


def test_the_defaults_are_a_whole_gateway() -> None:
    settings = GatewaySettings()
    assert (settings.run_address, settings.metrics_address) == ("127.0.0.1:8080", "127.0.0.1:9105")
    assert settings.trusted_proxies == ()


def test_trusted_proxies_are_a_list_by_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, ::1,192.0.2.1")
    assert GatewaySettings().trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"), ip_network("192.0.2.1/32"))


def test_a_proxy_that_is_no_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,everyone")
    with pytest.raises(ValidationError):
        GatewaySettings()
