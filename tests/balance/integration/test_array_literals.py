"""What the ledger writes stands in array literals: any text, and whatever else it writes, comes back as it went."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balance.adapters.postgres.rows import columns

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1)
MOMENT = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ROW = st.tuples(TEXT | st.sampled_from(["null", "{}", '"', "\\", '{"a"}', ",", " "]), NUMBER, st.uuids(), st.binary(), MOMENT)
READ = "select * from unnest(%s::text[], %s::bigint[], %s::uuid[], %s::bytea[], %s::timestamptz[])"


def test_rows_come_back_as_they_went(database_uri: str) -> None:
    with psycopg.connect(database_uri) as connection:
        connection.execute("set timezone = 'UTC'")

        @settings(max_examples=200, deadline=None)
        @given(st.lists(ROW, min_size=1, max_size=5))
        def come_back(rows: list[tuple[str, int | None, UUID, bytes, datetime | None]]) -> None:
            assert connection.execute(READ, columns(rows)).fetchall() == rows

        come_back()
