"""What a service writes into its log, and when."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import textwrap
from io import StringIO

from shared.observability.line_writer import LATEST_S, LINES_MAX, LineWriter

PROLOGUE = """
import asyncio, os, sys, logging
import structlog
from shared.observability.call_log import call_log
from shared.observability.logging import configure_logging
from shared.observability.tracing import start_span
configure_logging("balance", output="json", level="info")
log = structlog.get_logger()
"""


def lines_of(program: str) -> list[dict[str, object]]:
    """Runs a program that logs; returns its lines."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=30
    )
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_line_of_a_call_is_what_structlog_would_write() -> None:
    program = """
        span = start_span(None)
        method, actor = "/galen.Some/Method", 'customers/"x"\\u2028\\\\'
        log.info("call", method=method, code="NOT_FOUND", reason="GONE", actor=actor, ms=1.23)
        call_log("balance")(method, "NOT_FOUND", "GONE", actor, 0.001234)
        log.info("call", method=method, code="OK", reason=None, actor=actor, ms=1.0)
        call_log("balance")(method, "OK", None, actor, 0.001)
    """
    refused, refused_by_hand, served, served_by_hand = lines_of(program)
    for by_structlog, by_hand in ((refused, refused_by_hand), (served, served_by_hand)):
        assert list(by_hand) == list(by_structlog)
        assert by_hand | {"timestamp": ""} == by_structlog | {"timestamp": ""}
        assert by_hand["trace_id"]


def test_a_level_above_information_leaves_calls_out() -> None:
    program = """
        structlog.reset_defaults()
        configure_logging("balance", output="json", level="warning")
        call_log("balance")("/galen.Some/Method", "OK", None, "anonymous", 0.001)
        log.warning("seen")
    """
    assert [line["event"] for line in lines_of(program)] == ["seen"]


def test_a_process_that_ends_has_written_all_lines() -> None:
    program = """
        async def main():
            log.info("kept")
            raise SystemExit(0)
        asyncio.run(main())
    """
    assert [line["event"] for line in lines_of(program)] == ["kept"]


def test_a_warning_of_ours_or_of_a_library_comes_after_what_was_before_it() -> None:
    program = """
        async def main():
            log.info("one")
            logging.getLogger("library").warning("two")
            log.info("three")
            log.error("four")
            os._exit(0)
        asyncio.run(main())
    """
    assert [line["event"] for line in lines_of(program)] == ["one", "two", "three", "four"]


def test_a_line_that_can_not_be_made_does_not_harm_who_logs() -> None:
    program = """
        logging.raiseExceptions = False  # as in production nobody reads it
        logging.getLogger("library").warning("%d", "not a number")
        log.warning("alive")
    """
    assert [line["event"] for line in lines_of(program)] == ["alive"]


def test_secrets_stay_out() -> None:
    (line,) = lines_of("""log.warning("a line", password="1234", nested_token="5678")""")
    assert line["password"] == line["nested_token"] == "[redacted]"


async def test_information_is_written_together_and_soon() -> None:
    written = StringIO()
    writer = LineWriter(written)
    writer.info("one")
    writer.info("two")
    assert not written.getvalue()
    await asyncio.sleep(3 * LATEST_S)
    assert written.getvalue() == "one\ntwo\n"
    writer.info("three")
    await asyncio.sleep(3 * LATEST_S)
    assert written.getvalue() == "one\ntwo\nthree\n"


async def test_a_warning_between_them_leaves_it_at_one_writing() -> None:
    """(Each warning used to leave a timer behind, and with enough of them each line was written by itself.)"""
    written = CountedWritings()
    writer = LineWriter(written)
    for _ in range(20):
        writer.info("one")
        writer.error("two")
        await asyncio.sleep(LATEST_S / 20)
    writings = written.count
    until = asyncio.get_running_loop().time() + 6 * LATEST_S
    while asyncio.get_running_loop().time() < until:
        writer.info("three")
        await asyncio.sleep(LATEST_S / 50)

    assert written.count - writings <= 7


class CountedWritings(StringIO):
    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


async def test_many_lines_do_not_wait() -> None:
    written = StringIO()
    writer = LineWriter(written)
    for number in range(LINES_MAX + 1):
        writer.info(str(number))
    assert len(written.getvalue().splitlines()) == LINES_MAX + 1


def test_without_a_loop_every_line_is_written() -> None:
    written = StringIO()
    LineWriter(written).info("one")
    assert written.getvalue() == "one\n"


def test_a_loop_that_ended_leaves_no_line_behind() -> None:
    written = StringIO()
    writer = LineWriter(written)

    async def leave() -> None:
        writer.info("one")

    asyncio.run(leave())
    writer.info("two")
    assert written.getvalue() == "one\ntwo\n"


def test_levels_have_their_methods() -> None:
    assert all(hasattr(LineWriter, logging.getLevelName(level).lower()) for level in (10, 20, 30, 40, 50))
