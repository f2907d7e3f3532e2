"""Which failures of the database are somebody's fault, and which are weather."""

from __future__ import annotations

import psycopg
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
_MISTAKES = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)


def translate_postgres_error(error: Exception) -> GalenError | None:
    """Returns UNAVAILABLE for passing failures, OVERLOADED where no connection was free, None for everything else."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
        error = error.orig
    if isinstance(error, PoolTimeout | EngineTimeout):
        return Overloaded(retry_after_s=1.0)
    if isinstance(error, PoolClosed) or (isinstance(error, _PASSING) and not isinstance(error, _MISTAKES)):
        return Unavailable("the database does not answer")
    return None
