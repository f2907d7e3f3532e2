"""A process that is told to stay on one processor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading
from shared.command import stay_where_told
from shared.settings import CommonSettings, load_settings
stay_where_told(load_settings(CommonSettings))
seen = []
thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
thread.start(); thread.join()
print(os.sched_getaffinity(0), *seen)
"""


def run(processor: str | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "METRICS_ADDRESS": "127.0.0.1:0", "PROCESSOR": processor or ""}
    if processor is None:
        del environment["PROCESSOR"]
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_it_and_its_threads_stay_there() -> None:
    processor = max(os.sched_getaffinity(0))
    assert run(str(processor)).stdout == f"{{{processor}}} {{{processor}}}\n"


def test_without_a_word_it_runs_anywhere() -> None:
    assert run(None).stdout == f"{os.sched_getaffinity(0)} {os.sched_getaffinity(0)}\n"


@pytest.mark.parametrize("processor", ["4711", "1099511627776", "-1", "first"])
def test_a_processor_that_is_not_there_is_told(processor: str) -> None:
    refused = run(processor)
    assert refused.returncode == 2
    assert refused.stderr.startswith("PROCESSOR: ")
    assert "Traceback" not in refused.stderr
