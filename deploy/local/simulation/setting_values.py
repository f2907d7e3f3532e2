"""Kinds of settings that simulators share; each raises ValueError with what is wanted."""

from __future__ import annotations

LOG_FORMATS = ("auto", "console", "json")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def host_and_port(value: str) -> tuple[str, int]:
    """`:8090` means the loopback address: who wants the simulator, control endpoint included, open to the network says 0.0.0.0."""
    host, _, port = value.removeprefix("http://").rstrip("/").rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError("must be host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def database_uri(value: str) -> str | None:
    if value and not value.startswith(("postgres://", "postgresql://")):
        raise ValueError("must begin with postgres:// or postgresql://")
    return value or None


def flag(value: str) -> bool:
    if value.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return value.lower() in _TRUE


def log_format(value: str) -> str:
    if value not in LOG_FORMATS:
        raise ValueError(f"must be one of {', '.join(LOG_FORMATS)}")
    return value
