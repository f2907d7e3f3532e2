"""Rows as domain objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select

from services.accrual.adapters.postgres.tables import claim
from services.accrual.domain.claims import Claim, State

CLAIM_COLUMNS = (
    claim.c.number,
    claim.c.customer,
    claim.c.state,
    claim.c.accrual,
    claim.c.credit_operation,
    claim.c.created_at,
    claim.c.updated_at,
)


def select_claims() -> Select[Any]:
    """Returns a statement that reads what `claim_of` takes."""
    return select(*CLAIM_COLUMNS)


def claim_of(row: Sequence[Any]) -> Claim:
    """Returns the claim of a row that begins with CLAIM_COLUMNS."""
    number, customer, state, *rest = row[: len(CLAIM_COLUMNS)]
    return Claim(number, customer, State(state), *rest)
