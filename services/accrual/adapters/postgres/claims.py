"""Reads claims."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from services.accrual.adapters.postgres.rows import claim_of, select_claims
from services.accrual.adapters.postgres.tables import claim
from services.accrual.application.ports import ClaimFilter
from services.accrual.domain.claims import Claim


class PostgresClaims:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, customer: str, number: str) -> Claim | None:
        statement = select_claims().where(claim.c.number == number, claim.c.customer == customer)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else claim_of(row)

    async def list(self, wanted: ClaimFilter) -> Sequence[Claim]:
        statement = select_claims().where(claim.c.customer == wanted.customer)
        if wanted.position is not None:
            statement = statement.where(tuple_(claim.c.created_at, claim.c.number) < tuple_(*wanted.position))
        statement = statement.order_by(claim.c.created_at.desc(), claim.c.number.desc()).limit(wanted.limit)
        async with self._engine.connect() as connection:
            return [claim_of(row) for row in await connection.execute(statement)]
