"""The supervisor with small real programs: restarts, order, leftovers, output."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local.merged_log import MergedLog
from deploy.local.ports import any_free_port
from deploy.local.process_records import ProcessRecords
from deploy.local.supervisor import Patience, Program, StackFailed, Supervisor, Tier, run_to_end

WAIT_S = 30.0
IMPATIENT = Patience(first_restart_s=0.01, longest_restart_s=0.05, stop_s=0.5)
PATIENT = Patience(first_restart_s=0.01, stop_s=WAIT_S)


def program(name: str, code: str, *, tier: Tier = Tier.SERVICE, ready_at: Sequence[str] = (), **environment: str) -> Program:
    return Program(name, (sys.executable, "-c", textwrap.dedent(code)), environment, tier=tier, ready_at=ready_at)


class Harness:
    """A supervisor over a folder, its log in memory."""

    def __init__(self, folder: Path, programs: Iterable[Program], patience: Patience) -> None:
        for part in ("logs", "processes"):
            (folder / part).mkdir(exist_ok=True)
        self.output = io.StringIO()
        self.log = MergedLog(folder / "logs", self.output)
        self.records = ProcessRecords(folder / "processes")
        self.supervisor = Supervisor(programs, folder, self.log, self.records, patience)


@asynccontextmanager
async def supervised(folder: Path, *programs: Program, patience: Patience = PATIENT) -> AsyncIterator[Harness]:
    harness = Harness(folder, programs, patience)
    try:
        async with asyncio.timeout(WAIT_S):
            await harness.supervisor.start()
        yield harness
    finally:
        await harness.supervisor.stop()
        harness.log.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for happens in other processes
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_program_that_crashes_is_started_again_and_its_end_is_told(tmp_path: Path) -> None:
    crashing = program(
        "crashing",
        """
        import pathlib, sys, time
        starts = pathlib.Path("starts")
        count = len(starts.read_text()) if starts.exists() else 0
        starts.write_text("x" * (count + 1))
        if count < 2:
            sys.exit("no luck")
        time.sleep(600)
        """,
    )
    async with supervised(tmp_path, crashing) as harness:
        await until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text() == "xxx")
        pid = harness.supervisor.children["crashing"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: (tmp_path / "starts").read_text() == "xxxx")
    shown = harness.output.getvalue()
    assert shown.count("crashing   | no luck") == 2
    assert "crashing ended with status 1; it is started again" in shown
    assert "crashing was killed by SIGKILL; it is started again" in shown
    assert "no luck" in (tmp_path / "logs" / "crashing.log").read_text()


SAYS_WHEN_STOPPED = """
    import os, signal, sys
    def stop(*_):
        with open("order", "a") as order:
            order.write(os.environ["NAME"] + "\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    print("up", flush=True)
    while True:
        signal.pause()
    """


async def test_the_edge_is_stopped_first_and_the_simulators_last(tmp_path: Path) -> None:
    tiers = {"simulator": Tier.SIMULATOR, "one": Tier.SERVICE, "two": Tier.SERVICE, "edge": Tier.EDGE}
    programs = [program(name, SAYS_WHEN_STOPPED, tier=tier, NAME=name) for name, tier in tiers.items()]
    async with supervised(tmp_path, *programs) as harness:
        await until(lambda: harness.output.getvalue().count("up\n") == 4)
    first, *middle, last = (tmp_path / "order").read_text().split()
    assert (first, sorted(middle), last) == ("edge", ["one", "two"], "simulator")
    assert list((tmp_path / "processes").iterdir()) == []


async def test_the_edge_starts_when_all_others_are_ready(tmp_path: Path) -> None:
    port = any_free_port()
    slow = program(
        "slow",
        f"""
        import http.server, time
        answers = [503, 200]
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                if status == 200:
                    open("was_ready", "w").close()
                self.send_response(status)
                self.end_headers()
            def log_message(self, *_): pass
        time.sleep(0.2)
        http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
        """,
        ready_at=[f"tcp://127.0.0.1:{port}", f"http://127.0.0.1:{port}/readyz"],
    )
    edge = program("edge", "import os, time; print('came last:', os.path.exists('was_ready'), flush=True); time.sleep(600)", tier=Tier.EDGE)
    async with supervised(tmp_path, edge, slow) as harness:
        await until(lambda: "came last: True" in harness.output.getvalue())


async def test_another_program_at_the_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        mute = program("mute", "import time; time.sleep(600)", ready_at=[f"tcp://127.0.0.1:{stranger.getsockname()[1]}"])
        harness = Harness(tmp_path, [mute], IMPATIENT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(harness.supervisor.start(), 0.5)
        await harness.supervisor.stop()
        harness.log.close()


async def test_a_program_deaf_to_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    deaf = program(
        "deaf",
        """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("child.new", "w").write(str(child.pid))
        __import__("os").rename("child.new", "child")
        time.sleep(600)
        """,
    )
    async with supervised(tmp_path, deaf, patience=IMPATIENT) as harness:
        await until((tmp_path / "child").exists)
    await until(lambda: is_gone(int((tmp_path / "child").read_text())))
    assert "did not stop within 0.5 s and is killed" in harness.output.getvalue()


async def test_a_stop_during_the_wait_for_a_restart_ends_at_once(tmp_path: Path) -> None:
    broken = program("broken", "raise SystemExit(1)", ready_at=[f"tcp://127.0.0.1:{any_free_port()}"])
    harness = Harness(tmp_path, [broken], Patience(first_restart_s=3600.0))
    starting = asyncio.create_task(harness.supervisor.start())
    await until(lambda: "started again in 3600 s" in harness.output.getvalue())
    starting.cancel()
    await asyncio.wait({starting})
    async with asyncio.timeout(WAIT_S):
        await harness.supervisor.stop()
    harness.log.close()


async def test_a_program_that_is_never_ready_fails_the_start_after_some_attempts(tmp_path: Path) -> None:
    broken = program("broken", "raise SystemExit('no settings')", ready_at=[f"tcp://127.0.0.1:{any_free_port()}"])
    with pytest.raises(StackFailed, match="broken ended 3 times before it was ready"):
        async with supervised(tmp_path, broken, patience=Patience(first_restart_s=0.01, start_attempts=3)):
            raise AssertionError("it started")


async def test_a_program_that_does_not_exist_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="missing cannot be started"):
        async with supervised(tmp_path, Program("missing", (str(tmp_path / "nowhere"),), {})):
            raise AssertionError("it started")


async def test_children_see_only_the_given_environment_and_no_signals_of_the_terminal(tmp_path: Path) -> None:
    telling = program(
        "telling", "import json, os; print(json.dumps([dict(os.environ), os.getsid(0) == os.getpid()]), flush=True)", COLOUR="blue"
    )
    harness = Harness(tmp_path, [], PATIENT)
    assert await run_to_end(telling, tmp_path, harness.log, harness.records) is None
    harness.log.close()
    environment, leads_a_session = json.loads((tmp_path / "logs" / "telling.log").read_text())
    environment.pop("LC_CTYPE", None)  # Python sets it for itself where there is no locale
    assert environment == {"COLOUR": "blue"}
    assert leads_a_session


async def test_lines_are_kept_whole_and_the_end_of_a_dying_program_is_not_lost(tmp_path: Path) -> None:
    talking = program("talking", "import sys; sys.stdout.write('one\\n' + 'x' * 300_000 + '\\n' + 'last words'); sys.exit(3)")
    harness = Harness(tmp_path, [], PATIENT)
    assert await run_to_end(talking, tmp_path, harness.log, harness.records) == "ended with status 3"
    harness.log.close()
    lines = harness.output.getvalue().splitlines()
    assert lines[0] == "talking    | one"
    assert lines[-1] == "talking    | last words"
    assert sum(line.count("x") for line in lines) == 300_000


SUPERVISING = """
import asyncio, sys
from pathlib import Path
from deploy.local.merged_log import MergedLog
from deploy.local.process_records import ProcessRecords
from deploy.local.supervisor import Program, Supervisor
folder = Path(sys.argv[1])
async def main():
    sleeper = Program("sleeper", ("sleep", "600"), {"PATH": "/usr/bin:/bin"})
    await Supervisor([sleeper], folder, MergedLog(folder / "logs"), ProcessRecords(folder / "processes")).start()
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_what_a_killed_supervisor_left_behind_is_ended_at_the_next_start(tmp_path: Path) -> None:
    harness = Harness(tmp_path, [], PATIENT)
    with subprocess.Popen([sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        assert supervising.stdout.readline() == "ready\n"
        supervising.kill()
    orphan = json.loads((tmp_path / "processes" / "sleeper.json").read_text())["pid"]
    assert not is_gone(orphan)
    assert harness.records.end_leftovers() == ["sleeper"]
    assert is_gone(orphan)
    assert harness.records.end_leftovers() == []


@pytest.mark.parametrize("difference", ["started_at", "command"])
def test_a_stranger_with_the_number_of_a_dead_program_is_left_alone(tmp_path: Path, difference: str) -> None:
    harness = Harness(tmp_path, [], PATIENT)
    command = ("sleep", "600")
    with subprocess.Popen(command, start_new_session=True) as stranger:
        while psutil.Process(stranger.pid).cmdline() != list(command):  # until then it is a copy of ourselves
            time.sleep(0.01)
        harness.records.add("ours", stranger.pid, command)
        file = tmp_path / "processes" / "ours.json"
        record = json.loads(file.read_text())
        record[difference] = {"started_at": record["started_at"] - 60, "command": ["sleep", "601"]}[difference]
        file.write_text(json.dumps(record))
        assert harness.records.end_leftovers() == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_log_file_has_one_predecessor_and_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.merged_log.FILE_BYTES_MAX", 1000)
    log = MergedLog(tmp_path, io.StringIO())
    for number in range(300):
        log.write("talkative", f"line {number:04}")
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talkative.log", "talkative.log.1"]
    assert all(path.stat().st_size < 1100 for path in tmp_path.iterdir())
    assert (tmp_path / "talkative.log").read_text().endswith("line 0299\n")


def test_a_reader_who_went_away_does_not_stop_the_log(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = os.fdopen(writing, "w")
    log = MergedLog(tmp_path, output)
    for _ in range(3):
        log.write("talkative", "hello")
    log.close()
    assert (tmp_path / "talkative.log").read_text() == "hello\n" * 3
    with pytest.raises(BrokenPipeError):
        output.close()
