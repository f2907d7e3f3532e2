"""Reads medicines inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, Text, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.tables import medicine as table
from services.orders.domain.catalogue.medicine import Medicine

COLUMNS = tuple(column for column in table.c if column is not table.c.search)


def medicine_of(row: Row[Any]) -> Medicine:
    """Returns the medicine of a row of COLUMNS."""
    return Medicine(**row._mapping)


async def find_many(connection: AsyncConnection, skus: Collection[str]) -> Mapping[str, Medicine]:
    """Returns the medicines that the catalogue has of these SKUs, withdrawn ones too, by SKU."""
    rows = await connection.execute(select(*COLUMNS).where(table.c.sku == any_(literal(list(skus), ARRAY(Text)))))
    return {row.sku: medicine_of(row) for row in rows}
