"""Figures, their page and their chart."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.benchmarks.chart import bar_chart
from tests.benchmarks.figures import FIGURES, TITLES, compare
from tests.benchmarks.measurements import Measured, median
from tests.benchmarks.report import Run, write

RUN = Run("make bench", {"processor": "a | pipe"}, {"fsync": "on"}, 128, (8, 16), 3, 5.0, 1_000_000, 100_001)


def measured(per_s: float, p50_ms: float = 1.0) -> Measured:
    return Measured(per_s, p50_ms, 2.0, {"server": 10.0, "generator": 1.0})


def test_a_rate_holds_from_its_bound_upwards() -> None:
    held = compare({"withdraw": measured(650), "empty_write": measured(1000)})[0]
    missed = compare({"withdraw": measured(649), "empty_write": measured(1000)})[0]

    assert (held.value, held.bound, held.holds) == (0.65, ">= 0.65", True)
    assert not missed.holds


def test_a_latency_holds_up_to_its_bound() -> None:
    results = {"one_empty": measured(1, 0.5), "one_statement": measured(1, 0.5), "one_withdraw": measured(1, 3.0)}
    assert [(figure.value, figure.bound, figure.holds) for figure in compare(results)] == [(3.0, "<= 3", True)]

    results["one_withdraw"] = measured(1, 3.1)
    assert not compare(results)[0].holds


def test_figures_whose_measurements_are_missing_are_left_out() -> None:
    assert compare({"withdraw": measured(1)}) == []


def test_every_figure_is_made_of_measurements_that_have_a_title() -> None:
    assert {name for figure in FIGURES for name in figure.needs} <= TITLES.keys()


def test_the_median_is_the_one_in_the_middle() -> None:
    assert median([measured(3), measured(1), measured(2)]).per_s == 2


def test_the_report_is_a_page_a_list_for_programs_and_a_chart(tmp_path: Path) -> None:
    results = {name: measured(1000 + place) for place, name in enumerate(TITLES)}
    write(tmp_path, RUN, results, compare(results))

    listed = json.loads((tmp_path / "benchmarks.json").read_text())
    assert len(listed) == len(FIGURES)
    assert listed[0].keys() == {"figure", "value", "bound", "holds"}
    page = (tmp_path / "benchmarks.md").read_text()
    assert all(title in page for title in TITLES.values())
    assert "`make bench`" in page
    assert "found nothing" in page
    assert "1,000,000 operations" in page
    assert (tmp_path / "benchmarks.svg").exists()


def test_a_chart_draws_values_to_scale_and_ours_in_another_colour() -> None:
    chart = ET.fromstring(bar_chart("Calls <per> second", [("half & half", 50, True), ("whole", 100, False)]))
    bars = [bar for bar in chart.findall(".//{*}rect") if bar.get("class") != "background"]

    assert [bar.get("class") for bar in bars] == ["ours", "others"]
    assert float(bars[1].get("width", 0)) == 2 * float(bars[0].get("width", 0))
    assert {"half & half", "whole", "50", "100"} <= {text.text for text in chart.findall(".//{*}text")}
