"""Which failures of the database are somebody's fault, and which are weather."""

from __future__ import annotations

import psycopg
from prometheus_client import CollectorRegistry, Counter
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as EngineTimeout

from shared.errors import GalenError, Overloaded, Unavailable

# Locks, timeouts, restarts, lost connections, no more connections: the same request may succeed later.
_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.InternalError_,
    errors.ReadOnlySqlTransaction,
)
# What PostgreSQL ends a transaction for because of others at the same time.
_CONFLICTS: dict[type[Exception], str] = {errors.DeadlockDetected: "deadlock", errors.SerializationFailure: "serialization_failure"}
_MISTAKES = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)


def translate_postgres_error(error: Exception) -> GalenError | None:
    """Returns UNAVAILABLE for passing failures, OVERLOADED where no connection was free, None for everything else."""
    error = _of_driver(error)
    if isinstance(error, PoolTimeout | EngineTimeout):
        return Overloaded(retry_after_s=1.0)
    if isinstance(error, PoolClosed) or (isinstance(error, _PASSING) and not isinstance(error, _MISTAKES)):
        return Unavailable("the database does not answer")
    return None


def _of_driver(error: Exception) -> Exception:
    return error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error


class PostgresConflicts:
    """Counts the transactions that PostgreSQL ended because of others. There should be none: locks are taken in one order everywhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = Counter("postgres_conflicts_total", "Transactions that PostgreSQL ended because of others.", ["kind"], registry=registry)
        self._counts = {error: counter.labels(kind) for error, kind in _CONFLICTS.items()}

    def seen(self, error: Exception) -> None:
        """Counts the error if it is a conflict."""
        count = self._counts.get(type(_of_driver(error)))
        if count is not None:
            count.inc()

    def translate(self, error: Exception) -> GalenError | None:
        """Counts the error, and returns what `translate_postgres_error` does."""
        self.seen(error)
        return translate_postgres_error(error)
