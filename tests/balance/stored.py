"""Reads from the tables all that was ever stored of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from services.balance.adapters.postgres.rows import (
    ACCOUNT_COLUMNS,
    HOLD_COLUMNS,
    LOT_COLUMNS,
    OPERATION_COLUMNS,
    hold_of,
    lot_of,
    operation_of,
)
from services.balance.domain.model import Account
from services.balance.domain.names import AccountName
from tests.balance.invariants import Stored


async def read_stored(uri: str, name: AccountName) -> Stored:
    """Returns the account in one snapshot. Raises AssertionError if there is none."""
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")

        async def rows(table: str, column_names: str, order: str) -> Sequence[Sequence[Any]]:
            cursor = await connection.execute(
                f"select {column_names} from balance.{table} where account_key = %s order by {order}",
                [name.key],
            )
            return await cursor.fetchall()

        accounts = await rows("account", ACCOUNT_COLUMNS, "version")
        assert accounts, f"{name} was never opened"
        return Stored(
            Account(name, *accounts[0]),
            [operation_of(name, row) for row in await rows("operation", OPERATION_COLUMNS, "version")],
            [lot_of(row) for row in await rows("lot", LOT_COLUMNS, "lot_id")],
            [hold_of(row) for row in await rows("hold", HOLD_COLUMNS, "hold_id")],
        )
