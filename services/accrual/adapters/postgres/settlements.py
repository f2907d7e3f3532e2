"""Claims whose points are owed."""

from __future__ import annotations

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.accrual.adapters.postgres.rows import claim_of, select_claims
from services.accrual.adapters.postgres.tables import claim
from services.accrual.domain.claims import Claim, State


class PostgresSettlements:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def owed(self, number: str) -> Claim | None:
        statement = select_claims().where(claim.c.number == number, *_OWED)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else claim_of(row)

    async def publish(self, number: str, credit_operation: str) -> None:
        published = (
            update(claim)
            .where(claim.c.number == number, *_OWED)
            .values(state=State.PROCESSED.value, credit_operation=credit_operation, updated_at=func.statement_timestamp())
        )
        async with self._engine.begin() as connection:
            await connection.execute(published)


_OWED = (claim.c.state == State.PROCESSING.value, claim.c.answered_at.is_not(None), claim.c.accrual.is_not(None))
