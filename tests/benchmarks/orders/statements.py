"""Counts what PostgreSQL is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import event

from services.orders.adapters.postgres.orders import OrderReads
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.ordering.read_order import ReadOrder
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine

EVENTS = 10


@dataclass(frozen=True, slots=True)
class ReadStatements:
    """How many statements it takes to read an order with its lots and events."""

    of_one_line: int
    of_200_lines: int


def count_statements(uri: str, short: str, long: str) -> ReadStatements:
    """Reads two orders, given by their names."""
    return asyncio.run(_count(uri, short, long))


async def _count(uri: str, short: str, long: str) -> ReadStatements:
    conninfo = service_conninfo(uri, schema=SCHEMA, role=None)
    async with disposing(make_engine(conninfo, size_max=1)) as engine:
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            asked.append(statement)

        read = ReadOrder(OrderReads(engine))
        await read.get(*_ids(short), EVENTS)  # the engine asks for itself when it connects
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        counts = []
        for name in (short, long):
            asked.clear()
            await read.get(*_ids(name), EVENTS)
            counts.append(len(asked))
    return ReadStatements(*counts)


def _ids(name: str) -> tuple[str, UUID]:
    _, customer_id, _, order_id = name.split("/")
    return customer_id, UUID(order_id)
