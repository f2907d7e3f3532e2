"""The bench of payments, small: real servers, the simulated provider, both kinds of payments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_command_starts_payments_and_writes_how_long_they_took(tmp_path: Path) -> None:
    options = ["--seconds", "0.5", "--rounds", "1", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "payments", *options], capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "benchmarks.json").read_text())
    assert len(figures) == 3
    assert all(figure["value"] > 0 for figure in figures)
    assert "## Payments" in (tmp_path / "benchmarks.md").read_text()
