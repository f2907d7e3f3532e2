"""What comes due is found where the indexes begin, however much will expire one day."""

from __future__ import annotations

import psycopg
import pytest

from services.balance.adapters.postgres.due import FIND_DUE
from tests.balance.integration.history.test_expiring_lots import NEXT_YEAR, write_lots_of_many
from tests.balance.plans import CUSTOM, GENERIC, nodes, plan


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
async def test_lots_that_are_not_due_are_not_looked_at(history_uri: str, mode: str) -> None:
    await write_lots_of_many(history_uri, NEXT_YEAR)
    async with await psycopg.AsyncConnection.connect(history_uri, autocommit=True) as connection:
        await connection.execute("analyze balance.lot, balance.hold, balance.account")

    done = await plan(history_uri, FIND_DUE, {"limit": ("bigint", 100)}, mode)

    (read,) = [node for node in nodes(done) if node.get("Index Name") == "lot_due"]
    assert "expires_at" in read["Index Cond"]
    assert read.get("Rows Removed by Filter", 0) == 0
