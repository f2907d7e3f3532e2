"""Errors survive the way to a client, whatever their size."""

from __future__ import annotations

import grpc
import psycopg
import pytest
from galen.balance.v1 import error_reason_pb2
from google.rpc import code_pb2, status_pb2
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from psycopg import errors as pg
from psycopg_pool import PoolTimeout
from sqlalchemy.exc import OperationalError

from services.balance.domain.errors import InsufficientPoints
from shared.errors import FieldViolation, InvalidRequest, Overloaded, Unavailable
from shared.grpc.errors import ErrorCatalogue, peer_error
from shared.postgres.errors import PostgresConflicts, translate_postgres_error

CATALOGUE = ErrorCatalogue([error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]])


def received(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """The error that a client would raise for a status."""
    packed = status.SerializeToString()
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(("grpc-status-details-bin", packed)), details=status.message)


def test_reason_domain_metadata_and_delay_come_back() -> None:
    refusal = peer_error(received(CATALOGUE.status(InsufficientPoints(available=1, required=2))))

    assert (refusal.code, refusal.domain, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "balance.galen", "INSUFFICIENT_POINTS")
    assert refusal.metadata == {"available": "1", "required": "2"}
    assert peer_error(received(CATALOGUE.status(Overloaded(1.5)))).retry_after_s == 1.5


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.UNKNOWN, "UNAVAILABLE"),
    ],
)
def test_a_failure_without_details_has_the_platforms_reason(code: grpc.StatusCode, reason: str) -> None:
    bare = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(("grpc-status-details-bin", b"\xff")), details="")

    assert peer_error(bare).reason == reason


LONG = "\N{PILL}" * 3000


@given(st.lists(st.builds(FieldViolation, st.text(max_size=3000), st.text(max_size=3000)), max_size=300), st.text(max_size=5000))
@example([FieldViolation(LONG, LONG)] * 300, LONG)
@example([], "\ud800")
def test_details_never_grow_past_what_gRPC_carries(violations: list[FieldViolation], text: str) -> None:
    status = CATALOGUE.status(InvalidRequest(text, violations=violations, metadata={"value": text}))

    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.ByteSize() <= 4096


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), pg.LockNotAvailable(), pg.AdminShutdown(), pg.DeadlockDetected()])
def test_failures_of_the_database_that_pass_are_unavailable(error: psycopg.Error) -> None:
    assert isinstance(translate_postgres_error(error), Unavailable)
    assert isinstance(translate_postgres_error(OperationalError("select", {}, error)), Unavailable)


def test_what_PostgreSQL_ends_because_of_others_is_counted_by_kind() -> None:
    registry = CollectorRegistry()
    conflicts = PostgresConflicts(registry)

    def counted(kind: str) -> float | None:
        return registry.get_sample_value("postgres_conflicts_total", {"kind": kind})

    assert (counted("deadlock"), counted("serialization_failure")) == (0, 0)
    assert isinstance(conflicts.translate(pg.DeadlockDetected()), Unavailable)
    assert isinstance(conflicts.translate(OperationalError("select", {}, pg.DeadlockDetected())), Unavailable)
    conflicts.seen(pg.SerializationFailure())
    for other in (pg.LockNotAvailable(), pg.UniqueViolation(), PoolTimeout(), ValueError()):
        conflicts.seen(other)
    assert (counted("deadlock"), counted("serialization_failure")) == (2, 1)


def test_no_free_connection_is_overload_and_a_mistake_of_ours_is_not_weather() -> None:
    assert isinstance(translate_postgres_error(PoolTimeout()), Overloaded)
    for mistake in (pg.UndefinedTable(), pg.InsufficientPrivilege(), pg.UniqueViolation(), ValueError()):
        assert translate_postgres_error(mistake) is None
