"""Settings come from the environment, are read once, and all their faults are reported together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _host_port(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port")
    return value


HostPort = Annotated[str, AfterValidator(_host_port)]


def _database_uri(value: str) -> str:
    if not value.startswith(("postgres://", "postgresql://")):
        raise ValueError("must begin with postgres:// or postgresql://")
    return value


DatabaseUri = Annotated[str, AfterValidator(_database_uri)]


class CommonSettings(BaseSettings):
    """What every process of ours reads."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    metrics_address: HostPort = Field(description="where /metrics, /livez and /readyz are served")
    log_format: Literal["auto", "console", "json"] = Field(default="auto", description="auto: console on a terminal, else json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least severe line that is written")
    jwks_file: Path | None = Field(default=None, description="public keys of tokens, a JWKS; customers' keys are also asked for by GetJwks")
    processor: int | None = Field(
        default=None,
        ge=0,
        description="the processor to stay on, which makes calls cheaper where there is one for each process; unset: any",
    )
    drain_s: float = Field(default=1.0, ge=0, le=60, description="seconds between not-ready and closing the port on SIGTERM")


class ServiceSettings(CommonSettings):
    """What every gRPC service reads besides."""

    database_uri: DatabaseUri = Field(description="postgres://user:password@host:port/database", repr=False)
    database_role: str | None = Field(default=None, description="the role to take on after connecting; needs only what the service needs")
    database_connections_max: int = Field(default=8, ge=3, le=12, description="connections to PostgreSQL, at most")
    grpc_address: HostPort = Field(description="where gRPC is served; port 0 takes a free one")
    service_token_file: Path | None = Field(default=None, description="the token that this service shows to its peers")
    page_token_key_file: Path = Field(description="the key, hex, that page tokens are signed with; the same for all replicas")
    calls_max: int = Field(default=256, ge=1, description="unary calls in flight; more are refused as OVERLOADED")


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S]) -> S:
    """Reads settings from the environment; on faults prints each, without values, and exits with status 2."""
    try:
        return kind()
    except ValidationError as error:
        _refuse(error)


def _refuse(error: ValidationError) -> NoReturn:
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        name = "_".join(str(part) for part in fault["loc"]).upper()
        print(f"{name}: {fault['msg']}", file=sys.stderr)
    sys.exit(2)
