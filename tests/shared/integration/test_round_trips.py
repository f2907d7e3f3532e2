"""Statements that share a round trip, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.pq import TransactionStatus

from shared.postgres.engine import PREPARED_AFTER, disposing, make_engine
from shared.postgres.pool import Pool, make_pool
from shared.postgres.round_trips import RoundTrips, Statement, array

BEGIN: Statement = ("begin", ())
COMMIT: Statement = ("commit", ())
ROLLBACK: Statement = ("rollback", ())
PREPARED = "select count(*) from pg_prepared_statements"


@pytest.fixture
async def pool(postgres_server_uri: str) -> AsyncIterator[Pool]:
    async with make_pool(postgres_server_uri, size_max=1) as pool:
        yield pool


async def test_each_statement_answers_with_its_rows(pool: Pool) -> None:
    key, moment = UUID(int=7), datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    async with pool.connection() as connection:
        answers = await RoundTrips().send(
            connection,
            [
                BEGIN,
                ("select %s::uuid, %s::timestamptz, %s::bytea, %s::bigint[]", [key.hex, moment.isoformat(), "\\x00ff", "{1,null}"]),
                ("select n, %s::text from generate_series(1, %s::int) as n", [None, "2"]),
                COMMIT,
            ],
        )

    assert answers == [(), [(key, moment, b"\x00\xff", [1, None])], [(1, None), (2, None)], ()]


async def test_the_first_statement_that_fails_is_told_and_those_after_it_are_not_run(pool: Pool) -> None:
    trips = RoundTrips()
    with pytest.raises(errors.DivisionByZero):
        async with pool.connection() as connection:
            await trips.send(connection, [BEGIN, ("select 1 / %s::int", ["0"]), ("select set_config('galen.ran', 'yes', false)", ())])

    async with pool.connection() as connection:
        answers = await trips.send(connection, [("select current_setting('galen.ran', true)", ()), ("select 1 / %s::int", ["1"])])
    assert answers == [[(None,)], [(1,)]]


async def test_statements_that_can_not_be_read_spoil_no_others(pool: Pool) -> None:
    trips = RoundTrips()
    with pytest.raises(errors.SyntaxError):
        async with pool.connection() as connection:
            await trips.send(connection, [BEGIN, ("select 1", ()), ("selekt", ()), ("select 2", ())])

    async with pool.connection() as connection:
        assert await trips.send(connection, [("select 1", ()), ("select 2", ()), ("select 3", ())]) == [[(1,)], [(2,)], [(3,)]]


async def test_who_prepares_nothing_leaves_nothing_prepared(pool: Pool) -> None:
    trips = RoundTrips(prepares=False)
    with pytest.raises(errors.DivisionByZero):
        async with pool.connection() as connection:
            await trips.send(connection, [BEGIN, ("select 1 / %s::int", ["0"]), ("select set_config('galen.ran', 'yes', false)", ())])

    async with pool.connection() as connection:
        answers = await trips.send(connection, [BEGIN, ("select 1 / %s::int", ["1"]), (PREPARED, ()), COMMIT])
        assert answers == [(), [(1,)], [(0,)], ()]


async def test_a_statement_is_prepared_once_however_often_it_is_sent(pool: Pool) -> None:
    trips = RoundTrips()
    async with pool.connection() as connection:
        for _ in range(3):
            await trips.send(connection, [("select %s::int", ["1"]), ("select %s::int", ["2"])])

        assert await trips.send(connection, [(PREPARED, ())]) == [[(2,)]]


async def test_two_who_share_connections_do_not_mix_up_their_statements(pool: Pool) -> None:
    first, second = RoundTrips(), RoundTrips()
    async with pool.connection() as connection:
        assert await first.send(connection, [("select 1", ())]) == [[(1,)]]
        assert await second.send(connection, [("select 2", ())]) == [[(2,)]]
        assert await first.send(connection, [("select 1", ())]) == [[(1,)]]


async def test_more_than_a_socket_holds_goes_both_ways(pool: Pool) -> None:
    much = "x" * 10_000_000
    async with pool.connection() as connection:
        answers = await RoundTrips().send(connection, [("select %s::text", [much]), ("select length(%s::text)", [much])])

    assert answers == [[(much,)], [(len(much),)]]


async def test_a_round_trip_that_is_cancelled_leaves_a_connection_to_go_on_with(pool: Pool) -> None:
    trips = RoundTrips()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), pool.connection() as connection:
            await trips.send(connection, [BEGIN, ("select pg_sleep(60)", ()), COMMIT])

    async with pool.connection() as connection:
        assert connection.pgconn.transaction_status == TransactionStatus.IDLE
        assert await trips.send(connection, [BEGIN, ("select 1", ()), ROLLBACK]) == [(), [(1,)], ()]


async def test_a_connection_that_the_server_ends_is_an_error_and_the_next_one_works(pool: Pool) -> None:
    trips = RoundTrips()
    with pytest.raises(psycopg.OperationalError):
        async with pool.connection() as connection:
            await trips.send(connection, [BEGIN, ("select pg_terminate_backend(pg_backend_pid())", ()), ("select 1", ()), COMMIT])

    async with pool.connection() as connection:
        assert await trips.send(connection, [("select 1", ())]) == [[(1,)]]


async def test_an_array_literal_means_what_it_was_made_of(pool: Pool) -> None:
    texts = ["", "null", 'a "quote"', "back\\slash", "{1,2}", " blank ", "é", None]
    async with pool.connection() as connection:
        answers = await RoundTrips().send(
            connection,
            [
                ("select %s::text[]", [array(texts)]),
                ("select %s::bigint[], %s::bool[], %s::uuid[]", [array([1, None]), array([True, False]), array([UUID(int=7)])]),
                ("select %s::text[]", [array([])]),
            ],
        )

    assert answers == [[(texts,)], [([1, None], [True, False], [UUID(int=7)])], [([],)]]


@pytest.mark.parametrize("prepares", [False, True])
async def test_statements_stay_prepared_on_connections_of_an_engine_that_prepares_none(postgres_server_uri: str, prepares: bool) -> None:
    trips, kept = RoundTrips(), True
    async with disposing(make_engine(postgres_server_uri, size_max=1, prepares=prepares)) as engine:
        for _ in range(2):
            async with engine.connect() as connection:
                for _ in range(PREPARED_AFTER + 1):
                    await connection.exec_driver_sql("select 1")
                driver = (await connection.get_raw_connection()).driver_connection
                assert isinstance(driver, psycopg.AsyncConnection)
                try:
                    await trips.send(driver, [("select 2", ())])
                except errors.InvalidSqlStatementName:
                    kept = False

    assert kept is not prepares
