"""The banner's calls can be copied as they stand."""

import json
import shlex
from pathlib import Path

import pytest

from deploy.local.banner import banner
from deploy.local.ports import Address
from deploy.local.topology import Addresses

ADDRESSES = Addresses(
    edge=Address("0.0.0.0", 8080),
    grpc={"balance": Address("127.0.0.1", 50051)},
    metrics={"balance": Address("127.0.0.1", 9101), "gateway": Address("127.0.0.1", 9105)},
    simulators={"accrual-sim": Address("127.0.0.1", 8090)},
    accrual_system="http://127.0.0.1:8090",
    payment_provider="https://api.cards.example",
)


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("state", [Path("/state"), Path("/a state; with $pecial 'signs'")])
def test_each_command_is_one_line_that_a_shell_understands(state: Path) -> None:
    shown = commands(banner(ADDRESSES, state=state, database="ours", coloured=False, seconds=1.0))
    assert [command[0].rpartition("/")[2] for command in shown] == ["curl", "curl", "buf", "buf", "grpcurl"]
    for command in shown:
        assert any("127.0.0.1:" in word for word in command)
        if "-d" in command:
            assert json.loads(command[command.index("-d") + 1])
    assert shown[0][shown[0].index("-c") + 1] == str(state / "cookies")


def test_colours_are_for_terminals_only() -> None:
    plain, coloured = (
        banner(ADDRESSES, state=Path("/state"), database="ours", coloured=coloured, seconds=1.0) for coloured in (False, True)
    )
    assert "\x1b" not in plain
    assert "\x1b" in coloured


def test_a_login_is_offered_only_once() -> None:
    first, second = (commands(banner(ADDRESSES, state=Path("/s"), database="ours", coloured=False, seconds=1.0))[0] for _ in range(2))
    assert first != second
