"""What the server does for a statement of the service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import psycopg
from psycopg import sql

GENERIC, CUSTOM = "force_generic_plan", "force_custom_plan"
# Whoever does that goes through more than they return. Of small tables, such as accounts are in tests, it says nothing.
_COLLECTING = {"Sort", "Incremental Sort", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
_LONG_TABLES = {"operation", "lot"}


async def plan(
    uri: str, statement: str, parameters: Mapping[str, tuple[str, Any]], mode: str, settings: str = "select 1"
) -> dict[str, Any]:
    """Runs a statement as the server would after some repeats; returns what was done.

    Its parameters, by name or in order, have types and values.
    """
    names = list(parameters)
    places = count(1)
    numbered = re.sub(r"%\((\w+)\)s|%s", lambda found: f"${names.index(found[1]) + 1 if found[1] else next(places)}", statement)
    types = ", ".join(kind for kind, _ in parameters.values())
    values = sql.SQL(", ").join(sql.Literal(value) for _, value in parameters.values())
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute(f"set search_path = balance; set plan_cache_mode = {mode}")
        await connection.execute(settings)
        await connection.execute(f"prepare asked ({types}) as {numbered}")
        row = await (
            await connection.execute(sql.SQL("explain (analyze, buffers, format json) execute asked ({})").format(values))
        ).fetchone()
        await connection.rollback()
    assert row is not None
    found: dict[str, Any] = row[0][0]["Plan"]
    return found


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Returns the plan's nodes, from the top."""
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def collecting(node: Mapping[str, Any]) -> list[str]:
    """Returns the kinds of the nodes that collect instead of walking along an index until there is enough."""
    return [
        child["Node Type"]
        for child in nodes(node)
        if child["Node Type"] in _COLLECTING or (child["Node Type"] == "Seq Scan" and child["Relation Name"] in _LONG_TABLES)
    ]


def blocks(node: Mapping[str, Any]) -> int:
    """Returns how many blocks of tables and indexes were looked at."""
    found: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return found
