"""`galen up` as a process, with fake services: start, stop, kills, two beside each other, what it says when it cannot."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from deploy.local.ports import any_free_port
from deploy.local.state_folder import PROJECT, StateFolder
from shared.testing.databases import fresh_database

WAIT_S = 60.0
READY = "Stop with Ctrl-C."
ELSEWHERE = "http://127.0.0.1:9"


class RunningStack:
    """A stack as a process; its output is read line by line."""

    def __init__(self, state: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.state = StateFolder(state)
        self.edge = f"127.0.0.1:{any_free_port()}"
        # Without the test's own settings: a DATABASE_URI of the caller must not reach the stack.
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PG_BIN", "PYTHONPATH", "TMPDIR") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.stack.fake_stack", "--state", str(state), *arguments],
            cwd=PROJECT,
            env={
                "RUN_ADDRESS": self.edge,
                "ACCRUAL_SYSTEM_ADDRESS": ELSEWHERE,
                "PAYMENT_PROVIDER_ADDRESS": ELSEWHERE,
                "USUAL_PORT": str(any_free_port()),
                **inherited,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._coming: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._coming.put(line.rstrip("\n"))
        self._coming.put(None)

    def wait_for(self, text: str) -> str:
        """The next line that has the text."""
        while (line := self._coming.get(timeout=WAIT_S)) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said:\n" + "\n".join(self.lines))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait_end()

    def wait_end(self) -> int:
        while (line := self._coming.get(timeout=WAIT_S)) is not None:
            self.lines.append(line)
        return self.process.wait(WAIT_S)

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def published(self) -> dict[str, Any]:
        published = self.state.running_stack()
        assert published is not None
        return published


Start = Callable[..., RunningStack]


def ask(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's tmp_path: its parents are closed to the account that PostgreSQL runs under."""
    with tempfile.TemporaryDirectory(prefix="galen-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a stack with a state folder of that name; at the end what still runs is stopped."""
    with ExitStack() as started:

        def begin(*arguments: str, name: str = "state", **environment: str) -> RunningStack:
            stack = RunningStack(folder / name, arguments, environment)
            started.callback(end, stack)
            return stack

        yield begin


def end(stack: RunningStack) -> None:
    if stack.process.poll() is None:
        stack.stop(signal.SIGTERM)
    assert stack.process.stdout is not None
    stack.process.stdout.close()


def processes_below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_becomes_ready_and_a_signal_ends_all_of_it_with_status_0(start: Start, number: signal.Signals) -> None:
    stack = start()
    stack.wait_for(READY)
    below = processes_below(stack.process.pid)
    assert len(below) > 2
    assert ask(f"http://{stack.edge}")["environment"]["RUN_ADDRESS"] == stack.edge
    assert stack.stop(number) == 0
    assert [process for process in below if not is_gone(process)] == []
    assert stack.state.running_stack() is None
    assert "started again" not in stack.said


def test_each_process_gets_its_own_settings_and_nothing_of_the_callers(start: Start) -> None:
    stack = start("--set", "balance.POLL_S=0.5", LOG_LEVEL="debug", SECRET_OF_THE_CALLER="x", http_proxy="http://127.0.0.1:1")
    stack.wait_for(READY)
    published = stack.published()
    balance, gateway = (ask(published["metrics"][name])["environment"] for name in ("balance", "gateway"))
    assert balance["DATABASE_ROLE"] == "galen_balance_app"
    assert balance["ACCRUAL_SYSTEM_ADDRESS"] == ELSEWHERE
    assert (balance["POLL_S"], balance["LOG_LEVEL"], balance["LOG_FORMAT"]) == ("0.5", "debug", "json")
    assert Path(balance["SERVICE_TOKEN_FILE"]).read_text().count(".") == 2
    assert gateway["BALANCE_ADDRESS"] == balance["GRPC_ADDRESS"] == published["grpc"]["balance"]
    assert not {"DATABASE_URI", "SERVICE_TOKEN_FILE", "SIGNING_KEY_FILE", "POLL_S"} & set(gateway)
    assert not {"SECRET_OF_THE_CALLER", "http_proxy", "RUN_ADDRESS"} & set(balance)


def test_a_second_stack_runs_beside_the_first_on_other_ports(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = str(any_free_port())
        first, second = start(USUAL_PORT=usual), start(name="other", USUAL_PORT=usual)
        first.wait_for(READY)
        second.wait_for(READY)
        assert "is taken; balance listens on" in first.said + second.said
        one, other = first.published(), second.published()
        assert not set(one["grpc"].values()) & set(other["grpc"].values())
        assert not set(one["metrics"].values()) & set(other["metrics"].values())
        third = start("--port", f"balance={taken.getsockname()[1]}", name="third")
        assert third.wait_end() == 1
        assert "asked for balance, is taken" in third.said


def test_a_folder_in_use_and_an_edge_port_that_is_taken_are_refused_in_plain_words(start: Start) -> None:
    first = start()
    first.wait_for(READY)
    same_folder = start()
    assert same_folder.wait_end() == 1
    assert f"process {first.process.pid}" in same_folder.said
    same_edge = start("-a", first.edge, name="other")  # the flag wins over the variable
    assert same_edge.wait_end() == 1
    assert f"{first.edge} is taken by another program" in same_edge.said
    assert "Traceback" not in same_folder.said + same_edge.said


def test_after_a_kill_of_the_whole_stack_the_next_start_cleans_up_and_keeps_data_and_keys(start: Start) -> None:
    stack = start()
    stack.wait_for(READY)
    below = processes_below(stack.process.pid)
    token = stack.state.keys.joinpath("tokens", "balance.jwt").read_text()
    stack.stop(signal.SIGKILL)
    assert any(not is_gone(process) for process in below)
    again = start(RUN_ADDRESS=stack.edge)  # still held by the orphan
    again.wait_for(READY)
    assert [process for process in below if not is_gone(process)] == []
    assert "gateway of an earlier run was still there" in again.said
    balance = ask(again.published()["metrics"]["balance"])["environment"]
    with psycopg.connect(balance["DATABASE_URI"]) as connection:
        assert connection.execute("select count(*) from starts").fetchone() == (2,)
    assert again.state.keys.joinpath("tokens", "balance.jwt").read_text() == token


def test_whatever_is_killed_comes_back(start: Start) -> None:
    stack = start()
    stack.wait_for(READY)
    published = stack.published()
    balance = ask(published["metrics"]["balance"])
    os.kill(balance["pid"], signal.SIGKILL)
    stack.wait_for("balance was killed by SIGKILL; it is started again")
    stack.wait_for("serving")
    postmaster = next(process for process in processes_below(stack.process.pid) if "postgres" in process.name())
    postmaster.kill()
    stack.wait_for("PostgreSQL is running again")
    with psycopg.connect(balance["environment"]["DATABASE_URI"]) as connection:
        assert connection.execute("select count(*) from starts").fetchone() == (1,)


def test_a_given_database_is_used_and_the_accrual_system_is_simulated_when_none_is_given(start: Start, postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        port = f"accrual-sim={any_free_port()}"
        stack = start("--port", port, DATABASE_URI=uri.replace("postgresql://", "postgres://"), ACCRUAL_SYSTEM_ADDRESS="")
        stack.wait_for(READY)
        order = json.dumps({"order": "2377225624", "goods": []}).encode()
        request = urllib.request.Request(stack.published()["accrual_system"] + "/api/orders", order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            assert answer.status == 202
        assert not (stack.state.path / "postgres").exists()
        with psycopg.connect(uri) as connection:
            assert connection.execute("select count(*) from starts").fetchone() == (1,)
            assert connection.execute("select count(*) from accrual_sim.orders").fetchone() == (1,)
        assert stack.stop() == 0


def test_the_card_provider_is_simulated_when_none_is_given_and_takes_the_key_that_orders_has(start: Start) -> None:
    stack = start("--port", f"payment-sim={any_free_port()}", PAYMENT_PROVIDER_ADDRESS="")
    stack.wait_for(READY)
    published, key = stack.published(), (stack.state.path / "keys" / "payment_provider.key").read_text().strip()
    assert published["payments_simulated"]
    form = b"amount=5&currency=rub"
    request = urllib.request.Request(f"{published['payment_provider']}/v1/payment_intents", form, {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{published['payment_provider']}/control/settings", timeout=WAIT_S) as answer:
        assert json.load(answer)["webhook_url"] == f"http://{stack.edge}/webhooks/payments"
    assert stack.stop() == 0


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(start: Start) -> None:
    stack = start()
    stack.wait_for("starting PostgreSQL")
    assert stack.stop() == 0
    assert READY not in stack.said
    assert not list((stack.state.path / "processes").iterdir())
    assert not (stack.state.path / "postgres" / "data" / "postmaster.pid").exists()


def test_settings_that_make_no_sense_are_refused_in_plain_words(start: Start) -> None:
    for arguments, words in (
        (["-a", "nonsense"], "host:port is wanted"),
        (["--set", "nobody.NAME=1"], "SERVICE.NAME=VALUE is wanted"),
        (["--pg-bin", "/nowhere"], "there is no initdb in /nowhere"),
    ):
        stack = start(*arguments)
        assert stack.wait_end() == 1
        assert words in stack.said
        assert "Traceback" not in stack.said
