"""What the gateway reads from the environment."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from shared.settings import CommonSettings, HostPort


def _listen_address(value: str) -> str:
    _, separator, port = value.rpartition(":")
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("must be host:port or :port")
    return value


ListenAddress = Annotated[str, AfterValidator(_listen_address)]


def _networks(value: object) -> object:
    """Reads `10.0.0.0/8, ::1`; whatever else a caller hands over is left to the type."""
    return [ip_network(part.strip()) for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]


class GatewaySettings(CommonSettings):
    run_address: ListenAddress = Field(default="127.0.0.1:8080", description="where HTTP is served; `:8080` means all interfaces")
    metrics_address: HostPort = Field(default="127.0.0.1:9105", description="where /metrics, /livez and /readyz are served")
    balance_address: HostPort = Field(default="127.0.0.1:50051", description="the balance service")
    orders_address: HostPort = Field(default="127.0.0.1:50052", description="the orders service")
    accrual_address: HostPort = Field(default="127.0.0.1:50053", description="the accrual service")
    customers_address: HostPort = Field(default="127.0.0.1:50054", description="the customers service")
    trusted_proxies: Networks = Field(default=(), description="addresses and networks, by comma, whose x-forwarded-for is believed")
    requests_max: int = Field(default=512, ge=1, description="requests in flight; more are refused as OVERLOADED")
    connections_max: int = Field(default=2048, ge=1, description="open connections; more are turned away with 503")
    body_bytes_max: int = Field(default=64 << 10, ge=1 << 10, description="the largest request body, as sent and after unpacking")
    history_items_max: int = Field(default=100_000, ge=1, description="the newest so many orders or withdrawals are listed")
    history_page_size: int = Field(default=1000, ge=1, le=1000, description="items that are asked of a service at once")
    request_limit_s: float = Field(default=5.0, gt=0, description="seconds that the services have for a request once its body is here")
    head_limit_s: float = Field(default=10.0, gt=0, description="seconds that a client has to send the head of a request")
    body_limit_s: float = Field(default=5.0, gt=0, description="seconds that a client has to send the body of a request")
    write_limit_s: float = Field(default=10.0, gt=0, description="seconds that a client may leave an answer untaken")
    idle_limit_s: float = Field(default=75.0, gt=0, description="seconds that a connection is kept without a request")
