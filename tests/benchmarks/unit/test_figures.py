"""Figures, their page and their chart."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.benchmarks.chart import bar_chart
from tests.benchmarks.figures import AT_LEAST, EXACTLY, FIGURES, TITLES, Figure, Held, compare
from tests.benchmarks.ledger import LedgerPlan, section
from tests.benchmarks.measured import Measured, median
from tests.benchmarks.report import LEDGER, ORDERS, Run, Section, write

RUN = Run("make bench", {"processor": "a | pipe"}, {"fsync": "on"})
PLAN = LedgerPlan(seconds=5.0, rounds=3, accounts=100_000, operations=1_000_000, only=set(TITLES))


def measured(per_s: float, p50_ms: float = 1.0) -> Measured:
    return Measured(per_s, p50_ms, 2.0, {"server": 10.0, "postgres": 5.0, "generator": 1.0})


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


def test_a_count_holds_only_if_it_is_exact() -> None:
    figure = Figure("winners", EXACTLY, 50, ("sale",), float)
    assert [compare({"sale": winners}, [figure])[0].holds for winners in (49, 50, 51)] == [False, True, False]


def test_figures_whose_measurements_are_missing_are_left_out() -> None:
    assert compare({"withdraw": measured(1)}) == []


def test_every_figure_is_made_of_measurements_that_have_a_title() -> None:
    assert {name for figure in FIGURES for name in figure.needs} <= TITLES.keys()


def test_the_median_is_the_one_in_the_middle() -> None:
    assert median([measured(3), measured(1), measured(2)]).per_s == 2


def test_the_report_is_a_page_a_list_for_programs_and_a_chart(tmp_path: Path) -> None:
    results = {name: measured(1000 + place) for place, name in enumerate(TITLES)}
    write(tmp_path, RUN, section(PLAN, 100_001, results, compare(results), tmp_path))

    listed = json.loads((tmp_path / "benchmarks.json").read_text())
    assert len(listed) == len(FIGURES)
    assert listed[0].keys() == {"figure", "value", "bound", "holds"}
    page = (tmp_path / "benchmarks.md").read_text()
    assert all(title in page for title in TITLES.values())
    assert "`make bench`" in page
    assert "found nothing" in page
    assert "1,000,000 operations" in page
    assert "CHAIN_KEY_FILE was not set" in page
    assert (tmp_path / "benchmarks.svg").exists()


def test_the_page_tells_what_limits_a_figure_that_is_missed_and_of_no_other(tmp_path: Path) -> None:
    rates = {"echo": 7000, "empty_write": 2700, "withdraw": 1800, "pgbench": 4000, "withdraw_hot": 2000, "pgbench_hot": 1000}
    results = {name: measured(rate) for name, rate in rates.items()}
    for name, used in {"echo": 150, "empty_write": 350, "withdraw": 480, "withdraw_hot": 430}.items():
        results[name] = Measured(rates[name], 1.0, 2.0, {"server": used, "postgres": 120, "generator": 20})
    results["pgbench"] = Measured(4000, 1.0, 0, {"postgres": 340, "generator": 85})
    write(tmp_path, RUN, section(PLAN, 1, results, compare(results), tmp_path))

    page = (tmp_path / "benchmarks.md").read_text()
    limits = page.partition("### What limits it")[2].partition("###")[0]
    assert "8,000 withdrawals/s" in limits  # 8 times 1,000 on the hot account
    assert "7,000 calls/s" in limits
    assert "3,400 withdrawals/s leave 294 µs" in limits  # 0.85 of 4,000
    assert "leaves a withdrawal 500 µs: 140 µs to PostgreSQL and the generator, 360 µs to the server" in limits  # (340 + 85) / 0.85
    assert "empty handler behind the same chain" not in limits  # 0.67 holds


def part(heading: str, value: float) -> Section:
    """A part of the page with one figure, named like the part."""
    known = [Figure(heading, AT_LEAST, 1, (), float)]
    held = [Held(heading, value, ">= 1", value >= 1)]
    return Section(heading, "", "", {}, {}, {}, held, known)


def test_a_part_that_is_measured_again_leaves_the_others_and_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Measured\n\n## Start\n\nSoon.\n")
    for heading, value in ((ORDERS, 11), (LEDGER, 22), (ORDERS, 33), (ORDERS, 33)):
        write(tmp_path, RUN, part(heading, value))

    listed = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [(figure["figure"], figure["value"]) for figure in listed] == [(LEDGER, 22), (ORDERS, 33)]
    headings = [line for line in page.read_text().splitlines() if line.startswith("## ")]
    assert headings == ["## Start", "## The ledger", "## Orders"]
    assert "11.00" not in page.read_text()


def test_a_chart_draws_values_to_scale_and_ours_in_another_colour() -> None:
    chart = ET.fromstring(bar_chart("Calls <per> second", [("half & half", 50, True), ("whole", 100, False)]))
    bars = [bar for bar in chart.findall(".//{*}rect") if bar.get("class") != "background"]

    assert [bar.get("class") for bar in bars] == ["ours", "others"]
    assert float(bars[1].get("width", 0)) == 2 * float(bars[0].get("width", 0))
    assert {"half & half", "whole", "50", "100"} <= {text.text for text in chart.findall(".//{*}text")}
