"""What a newcomer sees when everything is ready: addresses, and calls that work as they are printed."""

import io
import secrets
import shlex
import uuid
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deploy.local.state_folder import PROJECT, default_state
from deploy.local.topology import ACCRUAL_SIM, PAYMENT_SIM, Addresses

ACCOUNT = "programs/main/accounts/demo"


def banner(addresses: Addresses, *, state: Path, database: str, coloured: bool, seconds: float) -> str:
    """The text. Commands stand on lines of their own, unbroken, so that they can be copied."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=coloured, no_color=not coloured, soft_wrap=True, highlight=False)
    console.rule("Galen is ready", characters="─", style="green", align="left")
    _addresses(console, addresses, state, database, seconds)
    for title, commands in _calls(addresses, state).items():
        console.print(Text(f"\n{title}", style="bold"))
        for command in commands:
            console.print(Text(f"  {command}", style="cyan"))
    console.print(Text("\nStop with Ctrl-C.", style="bold"))
    return output.getvalue().rstrip()


def _addresses(console: Console, addresses: Addresses, state: Path, database: str, seconds: float) -> None:
    rows = {"HTTP": f"http://{addresses.edge.reachable}"}
    for name, metrics in addresses.metrics.items():
        grpc = f"gRPC {addresses.grpc[name]}" if name in addresses.grpc else ""
        rows[name] = f"{grpc:<22}  metrics http://{metrics}/metrics"
    rows["accrual system"] = addresses.accrual_system + (" (simulated)" if ACCRUAL_SIM in addresses.simulators else "")
    rows["card provider"] = addresses.payment_provider + (" (simulated)" if PAYMENT_SIM in addresses.simulators else "")
    rows |= {"PostgreSQL": database, "logs": _shown(state / "logs"), "keys and data": _shown(state), "ready after": f"{seconds:.1f} s"}
    width = max(map(len, rows))
    for name, value in rows.items():
        console.print(Text.assemble((f"{name:<{width}}  ", "bold"), value))


def _calls(addresses: Addresses, state: Path) -> dict[str, list[str]]:
    edge, balance = f"http://{addresses.edge.reachable}", str(addresses.grpc["balance"])
    cookies = shlex.quote(_shown(state / "cookies"))
    # Another login each time: the data outlives the stack, and a login can be registered once.
    credentials = f'{{"login":"alice-{secrets.token_hex(3)}","password":"correct horse"}}'
    create = f'{{"parent":"programs/main","accountId":"demo","requestId":"{uuid.uuid4()}"}}'
    get = f'{{"name":"{ACCOUNT}"}}'
    return {
        "Register, then ask for the balance:": [
            f"curl -i -c {cookies} -H 'Content-Type: application/json' -d '{credentials}' {edge}/api/user/register",
            f"curl -i -b {cookies} {edge}/api/user/balance",
        ],
        "Open an account as an admin, read it as its owner:": [
            _buf_curl("--role admin", create, balance, "CreateAccount", state),
            _buf_curl("--role customer --customer demo", get, balance, "GetAccount", state),
        ],
        "The same with grpcurl, as staff:": [
            f"grpcurl -plaintext -H {_bearer('--role staff', state)} -d '{get}' {balance} galen.balance.v1.BalanceService/GetAccount",
        ],
    }


def _buf_curl(who: str, data: str, address: str, method: str, state: Path) -> str:
    options = f"--protocol grpc --http2-prior-knowledge -H {_bearer(who, state)} -d '{data}'"
    return f"{_program('buf')} curl {options} http://{address}/galen.balance.v1.BalanceService/{method}"


def _bearer(who: str, state: Path) -> str:
    folder = "" if state == default_state() else f" --state {shlex.quote(_shown(state))}"
    return f'"Authorization: Bearer $({_program("galen")} token {who}{folder})"'


def _program(name: str) -> str:
    """As it is called from the clone, where the README says to stand; else found by PATH."""
    return f".venv/bin/{name}" if (PROJECT / ".venv" / "bin" / name).exists() else name


def _shown(path: Path) -> str:
    """As it is named from the clone."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
