"""The whole command, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ONLY = "empty_write,withdraw,orm,pairs,batch,page_short,page_long"


def test_the_command_measures_audits_and_writes(tmp_path: Path) -> None:
    options = [
        "--seconds",
        "0.3",
        "--rounds",
        "1",
        "--accounts",
        "1000",
        "--operations",
        "10500",
        "--output",
        str(tmp_path),
        "--only",
        ONLY,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "ledger", *options], capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "benchmarks.json").read_text())
    assert len(figures) == 4
    assert all(figure["value"] > 0 for figure in figures)
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<svg")
    assert "found nothing" in (tmp_path / "benchmarks.md").read_text()
