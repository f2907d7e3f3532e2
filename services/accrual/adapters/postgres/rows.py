"""Rows as domain objects, and answers as the request log remembers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from services.accrual.adapters.postgres.tables import claim
from services.accrual.domain.claims import Claim, State
from services.accrual.domain.submission import Outcome

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


def reply_of(outcome: Outcome, claim: Claim) -> dict[str, Any]:
    """Returns what to remember of an answer."""
    return {
        "made_claim": outcome.made_claim,
        "number": claim.number,
        "customer": claim.customer,
        "state": claim.state.value,
        "accrual": claim.accrual,
        "credit_operation": claim.credit_operation,
        "created_at": claim.created_at.isoformat(),
        "updated_at": claim.updated_at.isoformat(),
    }


def answer_of(reply: Mapping[str, Any]) -> tuple[Outcome, Claim]:
    """Returns the answer to a repeat of the request that `reply_of` remembered."""
    times = [datetime.fromisoformat(reply[name]) for name in ("created_at", "updated_at")]
    claim = Claim(reply["number"], reply["customer"], State(reply["state"]), reply["accrual"], reply["credit_operation"], *times)
    return (Outcome.CREATED_BEFORE if reply["made_claim"] else Outcome.ALREADY_YOURS_BEFORE), claim
