"""Writes what was measured: docs/benchmarks.md for people, .json for programs, .svg for the eye.

The page has a section for each part that is measured, which is written anew when that part is; so are its figures in the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.chart import bar_chart
from tests.benchmarks.figures import Figure, Held
from tests.benchmarks.measured import Measured

LEDGER, ORDERS, PAYMENTS = "The ledger", "Orders", "Payments"
HEADINGS = (LEDGER, ORDERS, PAYMENTS)
SPLIT = "The last columns say where the CPU went: microseconds for one call (operation, pair, transaction), by who used it."


@dataclass(frozen=True, slots=True)
class Run:
    """How it was measured."""

    command: str
    machine: Mapping[str, str]
    postgres: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. `columns` are the users of CPU that its measurements tell of, by the heads of their columns.

    `limits` tells, as a list, what keeps figures from their bounds. `known` are all figures of its part, those that were not measured this
    time too.
    """

    heading: str
    introduction: str
    note: str
    titles: Mapping[str, str]
    columns: Mapping[str, str]
    results: Mapping[str, Measured]
    figures: Sequence[Held]
    known: Sequence[Figure]
    picture: str = ""
    limits: str = ""


def write(folder: Path, run: Run, section: Section) -> None:
    """Writes the section into benchmarks.md and its figures into benchmarks.json, a list of {figure, value, bound, holds}."""
    folder.mkdir(parents=True, exist_ok=True)
    page, listed = folder / "benchmarks.md", folder / "benchmarks.json"
    page.write_text(_with_section(page.read_text() if page.exists() else "", section.heading, _text(run, section)))
    before = json.loads(listed.read_text()) if listed.exists() else []
    listed.write_text(json.dumps(_with_figures(before, section), indent=2) + "\n")


def draw(folder: Path, bars: Sequence[tuple[str, float, bool]]) -> str:
    """Writes benchmarks.svg; returns what shows it on the page, nothing if there are no bars."""
    if not bars:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.svg").write_text(bar_chart("Calls per second", bars))
    return "![Calls per second](benchmarks.svg)\n"


def _text(run: Run, section: Section) -> str:
    held = [(figure.figure, f"{figure.value:.2f}", figure.bound, "yes" if figure.holds else "**no**") for figure in section.figures]
    settings = [*run.machine.items(), ("postgres", ", ".join(f"{name} {value}" for name, value in run.postgres.items()))]
    parts = [
        f"Written by `{run.command}` on {datetime.now(UTC):%Y-%m-%d}, in one run, on one machine.\n",
        section.introduction,
        table(("figure", "value", "bound", "holds"), held),
        section.picture,
        f"### What limits it\n\n{section.limits}\n" if section.limits else "",
        "### Measurements\n",
        f"{SPLIT} {section.note}\n",
        table(("what", "per second", "p50 ms", "p99 ms", *section.columns.values()), _rows(section)),
        "### Machine\n",
        table(("", ""), settings),
    ]
    return "\n".join(part for part in parts if part)


def _rows(section: Section) -> Iterable[Sequence[str]]:
    for name, measured in section.results.items():
        cpu_us = [f"{measured.cpu_us[user]:,.0f}" if user in measured.cpu_us else "" for user in section.columns]
        latencies = [f"{value:.2f}" if value else "" for value in (measured.p50_ms, measured.p99_ms)]
        yield section.titles[name], f"{measured.per_s:,.0f}", *latencies, *cpu_us


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _with_section(page: str, heading: str, text: str) -> str:
    """Returns the page with the section in place of the one of before; what is no part of any section stays."""
    first, *pieces = re.split(rf"^## ({'|'.join(HEADINGS)})\n+", page, flags=re.MULTILINE)
    sections = dict(zip(pieces[::2], pieces[1::2], strict=True)) | {heading: text}
    told = (f"## {known}\n\n{sections[known].rstrip()}\n" for known in HEADINGS if known in sections)
    return "\n".join([*([first.rstrip() + "\n"] if first.strip() else []), *told])


def _with_figures(before: Sequence[Mapping[str, object]], section: Section) -> list[Mapping[str, object]]:
    """Returns the figures of before, but for those of this part, and the new ones."""
    known = {figure.text for figure in section.known}
    others = [figure for figure in before if figure["figure"] not in known]
    ours = [asdict(figure) for figure in section.figures]
    return [*ours, *others] if section.heading == LEDGER else [*others, *ours]
