"""Claims: a customer's right to the points of one order number, and what the provider's answers make of them.

    NEW -> PROCESSING -> PROCESSED | INVALID      (NEW may go straight to the end; nothing ever goes back)

Pure: no I/O, no clock, no SQL. All amounts are hundredths of a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID, uuid5

# More than that in one answer is nonsense, and the balance service would refuse it.
ACCRUAL_MAX = 1_000_000_000_000
PROGRAM = "main"
_NAMESPACE = UUID("0c4f3f1e-6a83-5e0b-9a55-7d1f5b8f2d47")


class State(IntEnum):
    """How far a claim has come. The numbers are stored and are those of the contract."""

    NEW = 1
    PROCESSING = 2
    INVALID = 3
    PROCESSED = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it is stored. While it is PROCESSING an `accrual` is the provider's final answer, not yet credited."""

    number: str
    customer: str
    state: State
    accrual: int | None
    credit_operation: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        return claim_name(self.customer, self.number)

    @property
    def account(self) -> str:
        """The account that is credited."""
        return f"programs/{PROGRAM}/accounts/{self.customer}"

    @property
    def earned(self) -> int | None:
        """What the customer may see of the accrual: nothing until it is in the balance."""
        return self.accrual if self.state is State.PROCESSED else None

    @property
    def credit_request_id(self) -> UUID:
        """The id of the one credit of this claim: however often it is sent, it counts once."""
        return uuid5(_NAMESPACE, self.name)


def claim_name(customer: str, number: str) -> str:
    return f"customers/{customer}/claims/{number}"


def customer_of(name: str) -> str:
    """Returns the customer of `customers/{customer}` or of anything below; the form was validated before."""
    return name.split("/")[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer of the provider: the order is in `state` there, and earned `accrual`, which is above 0 or None."""

    state: State
    accrual: int | None = None

    @property
    def is_final(self) -> bool:
        return self.state in (State.INVALID, State.PROCESSED)

    @property
    def owes_points(self) -> bool:
        """Whether the claim may be published only after a credit."""
        return self.state is State.PROCESSED and self.accrual is not None


NOT_REGISTERED = Answer(State.NEW)
UNDER_WAY = Answer(State.PROCESSING)


def seen_state(before: State, answer: Answer) -> State:
    """Returns the state of a claim that is asked about again later: an order that the provider forgot is still being processed."""
    return max(before, answer.state)
