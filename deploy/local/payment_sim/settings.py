"""Settings of the simulator: flags, else environment variables, else defaults."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from deploy.local.payment_sim.chaos import ChaosSettings
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.simulator import Behaviour
from deploy.local.payment_sim.webhooks import Endpoint
from deploy.local.simulation.setting_values import database_uri, host_and_port, log_format

DEFAULT_ADDRESS = "127.0.0.1:8091"
SEED_MAX = 1 << 31

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the process is told at its start."""

    host: str
    port: int
    database_uri: str | None = field(repr=False)
    database_role: str | None
    behaviour: Behaviour
    log_format: str


def read_settings(argv: Sequence[str] | None, environment: Mapping[str, str]) -> Settings:
    """Reads flags (those of the process if None) and environment; a variable that is empty counts as not set.

    Ends the process with status 2 and a line on stderr if a value is wrong.
    """
    parser = _parser()
    given = parser.parse_args(argv)

    def chosen(flag: str | None, variable: str, default: str, kind: Callable[[str], T]) -> T:
        try:
            return kind(flag if flag is not None else environment.get(variable) or default)
        except ValueError as error:
            parser.error(f"{variable}: {error}")

    host, port = chosen(given.address, "RUN_ADDRESS", DEFAULT_ADDRESS, host_and_port)
    seed = chosen(given.chaos_seed, "PAYMENT_SIM_CHAOS_SEED", "", _seed)
    keys = chosen(given.key_file, "PAYMENT_SIM_KEY_FILE", "", _lines)
    behaviour = Behaviour(
        delays=Delays(
            processing_s=chosen(None, "PAYMENT_SIM_PROCESSING_S", "1", _seconds),
            refund_s=chosen(None, "PAYMENT_SIM_REFUND_S", "1", _seconds),
            hold_s=chosen(None, "PAYMENT_SIM_HOLD_S", "604800", _seconds),
        ),
        endpoint=Endpoint(
            url=chosen(given.webhook_url, "PAYMENT_SIM_WEBHOOK_URL", "", _url),
            secrets=chosen(given.webhook_secrets_file, "PAYMENT_SIM_WEBHOOK_SECRETS_FILE", "", _lines),
        ),
        latency_s=chosen(None, "PAYMENT_SIM_LATENCY_S", "0", _seconds),
        api_key=keys[0] if keys else "",
        chaos=None if seed is None else ChaosSettings(seed, chosen(None, "PAYMENT_SIM_CHAOS_RATE", "0.2", _rate)),
    )
    if behaviour.endpoint.url and not behaviour.endpoint.secrets:
        parser.error("PAYMENT_SIM_WEBHOOK_URL: goes with PAYMENT_SIM_WEBHOOK_SECRETS_FILE")
    return Settings(
        host=host,
        port=port,
        database_uri=chosen(given.database_uri, "DATABASE_URI", "", database_uri),
        database_role=environment.get("DATABASE_ROLE") or None,
        behaviour=behaviour,
        log_format=chosen(None, "LOG_FORMAT", "auto", log_format),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="galen payment-sim",
        description="A simulated card provider that speaks Stripe's PaymentIntents dialect. A flag wins over its environment variable."
        " PAYMENT_SIM_PROCESSING_S, PAYMENT_SIM_REFUND_S (default 1) and PAYMENT_SIM_HOLD_S (default 604800) say how long what takes a"
        " while takes, PAYMENT_SIM_LATENCY_S what each request takes (default 0), PAYMENT_SIM_CHAOS_RATE the share of requests and"
        " webhooks that chaos hits (default 0.2). LOG_FORMAT is auto, console or json; DATABASE_ROLE is the role to take on in"
        " PostgreSQL (default: none).",
    )
    parser.add_argument("-a", "--address", metavar="HOST:PORT", help=f"where to listen (RUN_ADDRESS, default {DEFAULT_ADDRESS})")
    parser.add_argument("-d", "--database-uri", metavar="URI", help="PostgreSQL to keep everything in (DATABASE_URI, default: memory)")
    parser.add_argument("--webhook-url", metavar="URL", help="where webhooks go (PAYMENT_SIM_WEBHOOK_URL, default: nowhere)")
    secrets_file = "what they are signed with, one secret in a line, each signs (PAYMENT_SIM_WEBHOOK_SECRETS_FILE)"
    parser.add_argument("--webhook-secrets-file", metavar="FILE", help=secrets_file)
    parser.add_argument("--key-file", metavar="FILE", help="the only API key to take (PAYMENT_SIM_KEY_FILE, default: any sk_...)")
    parser.add_argument("--chaos-seed", metavar="N", help="play faults by chance (PAYMENT_SIM_CHAOS_SEED, default: none)")
    return parser


def _seed(value: str) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and int(value) <= SEED_MAX):
        raise ValueError(f"must be 0 to {SEED_MAX}")
    return int(value)


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 <= seconds <= 30 * 86_400:
        raise ValueError("must be 0 to 2592000 seconds")
    return seconds


def _rate(value: str) -> float:
    rate = float(value)
    if not 0 <= rate <= 1:
        raise ValueError("must be 0 to 1")
    return rate


def _url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value


def _lines(path: str) -> tuple[str, ...]:
    """Returns the lines of a file that say something, nothing if there is no file to read."""
    if not path:
        return ()
    try:
        lines = tuple(line.strip() for line in Path(path).read_text().splitlines() if line.strip())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if not lines:
        raise ValueError("the file is empty")
    return lines
