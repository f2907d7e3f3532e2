"""The schema: migrations go up, down and up again, match the declared tables, and give the service no more than it needs."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import errors
from sqlalchemy import create_engine

from services.accrual.adapters.postgres.rows import answer_of
from services.accrual.adapters.postgres.tables import SCHEMA, metadata
from services.accrual.domain.claims import Claim, State
from services.accrual.domain.submission import Outcome
from services.accrual.migrations.schema import schema
from shared.jobs.schema import TABLE_PREFIX
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import VERSION_TABLE, migrate
from shared.testing.databases import fresh_database
from tests.accrual.world import Owner, fresh_number


def tables(uri: str) -> set[str]:
    with psycopg.connect(uri) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = %s", [SCHEMA])}


def test_migrations_go_up_down_and_up_again_and_match_the_declared_tables(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        migrate(schema, uri, target="base")
        assert tables(uri) == {VERSION_TABLE}
        migrate(schema, uri)

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(uri))
        with engine.connect() as connection:
            options = {"include_schemas": True, "version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
            context = MigrationContext.configure(connection, opts=options)
            assert [step for step in compare_metadata(context, metadata) if TABLE_PREFIX not in repr(step)] == []
        engine.dispose()


def test_claims_of_before_the_log_keep_their_answers(postgres_server_uri: str) -> None:
    made_at, request_id = datetime(2026, 1, 1, 1, 2, 3, 450_000, tzinfo=UTC), uuid4()
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri, target="0001")
        with psycopg.connect(uri) as connection:
            connection.execute(
                "insert into accrual.claim (number, customer, state, accrual, actor, request_id, fingerprint, created_at, updated_at,"
                " answered_at) values ('18', 'ann', 2, 500, 'customers/ann', %s, 'content', %s, now(), now())",
                [request_id, made_at],
            )
        migrate(schema, uri)
        with psycopg.connect(uri) as connection:
            (kept,) = connection.execute("select actor, request_id, fingerprint, reply from accrual.request_log").fetchall()

    assert kept[:3] == ("customers/ann", request_id, b"content")
    assert answer_of(kept[3]) == (Outcome.CREATED_BEFORE, Claim("18", "ann", State.NEW, None, None, made_at, made_at))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from claim",
        "truncate claim",
        "delete from request_log",
        "delete from provider",
        "insert into provider select * from provider",
        "update schema_version set version_num = '0'",
        "create table more (id int)",
        "drop table claim",
    ],
)
def test_the_service_can_not_remove_claims_or_the_providers_state(database_uri: str, accrual_role: str, statement: str) -> None:
    with (
        psycopg.connect(service_conninfo(database_uri, schema=SCHEMA, role=accrual_role)) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("due_at = null", "claim_asked_or_answered"),
        ("answered_at = now()", "claim_asked_or_answered"),
        ("state = 4", "claim_final_when_answered"),
        ("state = 3", "claim_final_when_answered"),
        ("accrual = 5", "claim_accrual_answered"),
        ("state = 4, answered_at = now(), due_at = null, accrual = 5", "claim_published_when_credited"),
        ("credit_operation = 'x'", "claim_published_when_credited"),
        ("state = 4, answered_at = now(), due_at = null, accrual = 0", "claim_accrual_answered"),
        ("lease_token = gen_random_uuid()", "claim_lease_whole"),
    ],
)
async def test_a_claim_that_makes_no_sense_can_not_be_stored(owner: Owner, change: str, constraint: str) -> None:
    await owner.execute(
        "insert into claim (number, customer, state, actor, request_id, fingerprint, created_at, updated_at, due_at)"
        " values (%s, 'ann', 1, 'customers/ann', gen_random_uuid(), '', now(), now(), now())",
        fresh_number(),
    )

    with pytest.raises(errors.CheckViolation) as violated:
        await owner.execute(f"update claim set {change}")

    assert violated.value.diag.constraint_name == constraint
