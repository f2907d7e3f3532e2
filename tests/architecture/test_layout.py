"""The size and shape of the house."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("services", "shared", "deploy") for path in (ROOT / folder).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
ROOMS = {"settings.py", "container.py", "__main__.py", "README.md", "entrypoints", "adapters", "application"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_and_say_what_they_are(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    assert path.stem not in FORBIDDEN_NAMES
    assert ast.get_docstring(ast.parse(path.read_text())), "a module opens with what it is for"
    for function in functions(path):
        assert length(function) <= FUNCTION_LINES_MAX, function.name


def test_the_median_function_is_under_ten_lines() -> None:
    assert statistics.median(length(function) for path in SOURCES for function in functions(path)) < 10


@pytest.mark.parametrize("service", sorted(path.name for path in (ROOT / "services").iterdir() if (path / "__main__.py").exists()))
def test_every_service_has_the_same_rooms(service: str) -> None:
    missing = ROOMS - {path.name for path in (ROOT / "services" / service).iterdir()}

    assert not missing


FORBIDDEN_TEXTS = ("/" + "work/", "T" + "ODO", "F" + "IXME")


@pytest.mark.parametrize("text", FORBIDDEN_TEXTS)
def test_no_source_carries_unfinished_business_or_a_path_of_somebodys_machine(text: str) -> None:
    assert [path for path in SOURCES if text in path.read_text()] == []
