"""Settings of the simulator: flags, else environment variables, else defaults."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from deploy.local.accrual_sim.control import DELAY_S_MAX, RATE_LIMIT_MAX
from deploy.local.accrual_sim.simulator import Behaviour
from deploy.local.simulation.setting_values import database_uri, flag, host_and_port, log_format

DEFAULT_ADDRESS = "127.0.0.1:8090"

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
    return Settings(
        host=host,
        port=port,
        database_uri=chosen(given.database_uri, "DATABASE_URI", "", database_uri),
        database_role=environment.get("DATABASE_ROLE") or None,
        behaviour=Behaviour(
            calculation_delay_s=chosen(given.calculation_delay, "ACCRUAL_SIM_CALCULATION_DELAY_S", "1", _delay),
            rate_limit_per_minute=chosen(given.rate_limit, "ACCRUAL_SIM_RATE_LIMIT", "6000", _rate_limit),
            auto_register=chosen(given.auto_register, "ACCRUAL_SIM_AUTO", "false", flag),
        ),
        log_format=chosen(None, "LOG_FORMAT", "auto", log_format),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="galen accrual-sim",
        description="A simulated accrual system. A flag wins over its environment variable. LOG_FORMAT is auto, console or json;"
        " DATABASE_ROLE is the role to take on in PostgreSQL (default: none).",
    )
    parser.add_argument("-a", "--address", metavar="HOST:PORT", help=f"where to listen (RUN_ADDRESS, default {DEFAULT_ADDRESS})")
    parser.add_argument(
        "-d", "--database-uri", metavar="URI", help="PostgreSQL to keep goods and orders in (DATABASE_URI, default: memory)"
    )
    parser.add_argument(
        "--calculation-delay", metavar="SECONDS", help="from taking an order to its result (ACCRUAL_SIM_CALCULATION_DELAY_S, default 1)"
    )
    parser.add_argument(
        "--rate-limit", metavar="N", help="questions about orders allowed per minute (ACCRUAL_SIM_RATE_LIMIT, default 6000)"
    )
    automatic = "register orders that nobody registered when they are asked for (ACCRUAL_SIM_AUTO, default false)"
    parser.add_argument("--auto-register", action="store_const", const="true", help=automatic)
    parser.add_argument("--no-auto-register", action="store_const", const="false", dest="auto_register", help="do not")
    return parser


def _delay(value: str) -> float:
    delay_s = float(value)
    if not 0 <= delay_s <= DELAY_S_MAX:
        raise ValueError(f"must be 0 to {DELAY_S_MAX:g} seconds")
    return delay_s


def _rate_limit(value: str) -> int:
    limit = int(value)
    if not 1 <= limit <= RATE_LIMIT_MAX:
        raise ValueError(f"must be 1 to {RATE_LIMIT_MAX}")
    return limit
