"""Programmes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.balance.adapters.postgres import request_log
from services.balance.application.programs import Program
from shared.postgres.pool import Pool
from shared.requests import RequestKey

CREATE = """
    insert into program (program_id, title, created_at) values (%s, %s, clock_timestamp())
    on conflict (program_id) do nothing
"""
FIND = "select program_id, title, created_at from program where program_id = %s"
LIST = "select program_id, title, created_at from program where program_id > %s order by program_id limit %s"


class PostgresPrograms:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, program_id: str, title: str, key: RequestKey) -> Program:
        async with self._pool.connection() as connection:
            reply = await request_log.begin(connection, key)
            if reply is not None:
                return Program(reply["id"], reply["title"], datetime.fromisoformat(reply["created_at"]))
            await connection.execute(CREATE, [program_id, title])
            (row,) = await (await connection.execute(FIND, [program_id])).fetchall()
            program = Program(*row)
            reply = {"id": program.id, "title": program.title, "created_at": program.created_at.isoformat()}
            await request_log.finish(connection, key, reply)
        return program

    async def find(self, program_id: str) -> Program | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(FIND, [program_id])).fetchone()
        return Program(*row) if row else None

    async def list(self, after: str, limit: int) -> Sequence[Program]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST, [after, limit])
            return [Program(*row) for row in await cursor.fetchall()]
