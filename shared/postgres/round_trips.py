"""Several statements in one round trip, where microseconds count.

psycopg's own pipeline turns to the socket, and wakes the server, once for each statement; for ten short ones that costs more than they do.
Here all of them are written at once, and their results are read when they are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, abc, generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import OperationalError, error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

Connection = AsyncConnection[TupleRow]
# A statement with a `%s` for each parameter, and the parameters as PostgreSQL reads them, NULL as None.
Statement = tuple[str, Sequence[str | None]]
Rows = Sequence[TupleRow]


class RoundTrips:
    """Sends statements together and keeps each of them prepared, on connections that nobody else has statements prepared on.

    (When psycopg rolls back a connection where it has some, it forgets all that are prepared there.) With `prepares` off it keeps none, for
    who sends few.
    """

    def __init__(self, *, prepares: bool = True) -> None:
        self._prepares = prepares
        self._prepared: WeakKeyDictionary[Connection, dict[str, bytes]] = WeakKeyDictionary()
        self._prefix = uuid4().hex  # others may send over the same connections

    async def send(self, connection: Connection, statements: Sequence[Statement]) -> Sequence[Rows]:
        """Runs the statements in order; returns the rows of each. Without a `begin` among them they are one transaction.

        If one fails, those after it are not run, and its error is raised.
        """
        prepared = self._prepared.setdefault(connection, {}) if self._prepares else None
        pgconn = connection.pgconn
        exchange = _exchange(pgconn, statements) if prepared is None else _exchange_prepared(pgconn, statements, prepared, self._prefix)
        results = await connection.wait(exchange)
        transformer: abc.Transformer = Transformer(connection)
        return [_rows(transformer, result) for result in results]


def _exchange(pgconn: PGconn, statements: Sequence[Statement]) -> PQGen[Sequence[PGresult]]:
    """Returns the statements' results. Raises the error of the first that failed, OperationalError if the connection ends."""
    pgconn.enter_pipeline_mode()
    for text, parameters in statements:
        pgconn.send_query_params(_numbered(text), [_bytes(value) for value in parameters], result_format=Format.BINARY)
    pgconn.pipeline_sync()
    yield from generators.send(pgconn)
    results = yield from _read(pgconn)
    _check(results)
    return results


def _exchange_prepared(
    pgconn: PGconn, statements: Sequence[Statement], prepared: dict[str, bytes], prefix: str
) -> PQGen[Sequence[PGresult]]:
    """The same with statements that are prepared, or are from now on."""
    new = [text for text in dict.fromkeys(text for text, _ in statements) if text not in prepared]
    names = prepared | {text: f"{prefix}_{number}".encode() for number, text in enumerate(new, start=len(prepared))}
    pgconn.enter_pipeline_mode()
    for text in new:
        pgconn.send_prepare(names[text], _numbered(text))
    for text, parameters in statements:
        pgconn.send_query_prepared(names[text], [_bytes(value) for value in parameters], result_format=Format.BINARY)
    pgconn.pipeline_sync()
    yield from generators.send(pgconn)
    results = yield from _read(pgconn)
    prepared |= {text: names[text] for text, result in zip(new, results, strict=False) if result.status == ExecStatus.COMMAND_OK}
    _check(results)
    return results[len(new) :]


def _check(results: Sequence[PGresult]) -> None:
    """Raises the error of the first that failed."""
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)


def _numbered(text: str) -> bytes:
    first, *rest = text.split("%s")
    return "".join([first, *(f"${place}{part}" for place, part in enumerate(rest, start=1))]).encode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _read(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Returns all results of the round trip; what there is, the error last, if the server ends the connection."""
    results: list[PGresult] = []
    while found := (yield from generators.fetch_many(pgconn)):
        if found[0].status == ExecStatus.PIPELINE_SYNC:
            pgconn.exit_pipeline_mode()
            return results
        results += found
    if not any(result.status == ExecStatus.FATAL_ERROR for result in results):
        raise OperationalError("the connection ended")
    return results


def _rows(transformer: abc.Transformer, result: PGresult) -> Rows:
    if result.status != ExecStatus.TUPLES_OK:
        return ()
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def array(values: Iterable[Any]) -> str:
    """Returns an array literal. Text literals cost a fraction of what the driver spends on each element."""
    return "{" + ",".join(["null" if value is None else _element(value) for value in values]) + "}"


def _element(value: Any) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
