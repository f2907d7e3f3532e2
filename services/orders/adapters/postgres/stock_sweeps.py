"""Ends what time has ended, each batch in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import lot_statements, stock_statements
from services.orders.adapters.postgres.stock_rows import lot_of
from services.orders.application.inventory.stock import Cause
from services.orders.domain.inventory.model import Level, LotAndLevel
from services.orders.domain.ordering.model import SYSTEM


class PostgresStockSweeps:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def expire_lots(self, today: date, limit: int) -> Sequence[LotAndLevel]:
        """May take some more: all of the levels that it comes upon."""
        async with self._engine.begin() as connection:
            found = await connection.exec_driver_sql(lot_statements.LOCK_EXPIRED, {"today": today, "limit": limit})
            places = [(row.location_id, row.sku) for row in found]
            if not places:
                return []
            locations, skus = (list(column) for column in zip(*places, strict=True))
            cause = Cause(SYSTEM.name, "", "keeps too short a time to be sold")
            values = {"today": today, "locations": locations, "skus": skus, **asdict(cause)}
            rows = await connection.exec_driver_sql(lot_statements.EXPIRE_LOTS, values)
            return [LotAndLevel(lot_of(row), _level_of(row)) for row in rows.mappings()]

    async def expire_reservations(self, limit: int) -> int:
        values = {"limit": limit, "actor": SYSTEM.name, "reason": "ran out"}
        async with self._engine.begin() as connection:
            return len((await connection.exec_driver_sql(stock_statements.EXPIRE_DUE, values)).all())


def _level_of(row: RowMapping) -> Level:
    return Level(row["location_id"], row["sku"], row["level_on_hand"], row["reserved"], row["reorder_point"], row["level_version"])
