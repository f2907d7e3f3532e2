"""Which faults are ordered for which requests; `fault_answers` plays them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from deploy.local.accrual_sim.orders import NUMBER_LENGTH_MAX
from deploy.local.simulation.documents import BadRequest, Fields

FAULTS_MAX = 1000
_SIZE_MAX = 1 << 30

E = TypeVar("E", bound=StrEnum)


class Operation(StrEnum):
    """The requests of the contract."""

    GET_ORDER = "get_order"
    POST_ORDER = "post_order"
    POST_GOODS = "post_goods"


class FaultKind(StrEnum):
    """What goes wrong."""

    INTERNAL_ERROR = "internal_error"
    """500."""
    SLOW = "slow"
    """The right answer, `delay_s` late."""
    OTHER_ORDER = "other_order"
    """200 about another order number."""
    UNKNOWN_STATUS = "unknown_status"
    NEGATIVE_ACCRUAL = "negative_accrual"
    ABSURD_ACCRUAL = "absurd_accrual"
    """200 with more points than there are roubles in the world."""
    NAN_ACCRUAL = "nan_accrual"
    """200 with `NaN`, which is no JSON."""
    TEXT_ACCRUAL = "text_accrual"
    """200 with the points as a text."""
    WRONG_SHAPE = "wrong_shape"
    """200 with a JSON list."""
    BAD_JSON = "bad_json"
    """200 with half a JSON object."""
    HUGE_BODY = "huge_body"
    """200 with right fields and `size_bytes` of padding."""
    NO_CONTENT = "no_content"
    """204, whatever is known of the order."""
    DROP = "drop"
    """The connection is reset without an answer."""
    CUT = "cut"
    """The connection ends in the middle of the body."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """429 with Retry-After as `retry_after_form` says."""


class RetryAfterForm(StrEnum):
    """How Retry-After is written."""

    SECONDS = "seconds"
    DATE = "date"
    MISSING = "missing"
    NONSENSE = "nonsense"


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the schedule; it applies to `operation`, for `order` or for all (None), `times` times or for ever (None)."""

    kind: FaultKind
    operation: Operation = Operation.GET_ORDER
    order: str | None = None
    times: int | None = None
    probability: float = 1.0
    after: bool = False
    """The request takes effect first and only its answer is lost; else it never happens."""
    delay_s: float = 3.0
    retry_after_s: int = 60
    retry_after_form: RetryAfterForm = RetryAfterForm.SECONDS
    size_bytes: int = 16 << 20


def fault_from(document: object) -> Fault:
    """Reads a fault from JSON with the field names of Fault. Raises BadRequest, also for unknown fields: a typo must not disarm a fault."""
    given = Fields(document, known=frozenset(field.name for field in fields(Fault)))
    return Fault(
        kind=_member(FaultKind, given, "kind"),
        operation=_member(Operation, given, "operation", Operation.GET_ORDER),
        order=given.text_or_none("order", length_max=NUMBER_LENGTH_MAX),
        times=given.whole("times", default=1, low=1, high=1_000_000) if given.has("times") else None,
        probability=given.number("probability", default=1.0, low=0, high=1),
        after=given.flag("after", default=False),
        delay_s=given.number("delay_s", default=3.0, low=0, high=600),
        retry_after_s=given.whole("retry_after_s", default=60, low=0, high=1_000_000),
        retry_after_form=_member(RetryAfterForm, given, "retry_after_form", RetryAfterForm.SECONDS),
        size_bytes=given.whole("size_bytes", default=16 << 20, low=1, high=_SIZE_MAX),
    )


def _member(kind: type[E], given: Fields, name: str, default: E | None = None) -> E:
    if default is not None and not given.has(name):
        return default
    try:
        return kind(given.text(name, length_max=50))
    except ValueError:
        raise BadRequest(f"{name}: must be one of {', '.join(kind)}") from None


@dataclass(slots=True)
class ScheduledFault:
    """A fault and how often it fired."""

    fault: Fault
    fired: int = 0

    def applies_to(self, operation: Operation, order: str | None) -> bool:
        left = self.fault.times is None or self.fired < self.fault.times
        return left and self.fault.operation is operation and self.fault.order in (None, order)


class FaultSchedule:
    """Decides for each request whether a fault hits it: the first that applies, in the order given."""

    def __init__(self, *, chance: random.Random) -> None:
        self._chance = chance
        self._scheduled: list[ScheduledFault] = []

    def replace(self, faults: Iterable[Fault]) -> None:
        """Drops the old schedule and begins with this one."""
        self._scheduled = [ScheduledFault(fault) for fault in faults]

    def take(self, operation: Operation, order: str | None) -> Fault | None:
        """Returns the fault for this request, counted as fired, or None."""
        for scheduled in self._scheduled:
            if scheduled.applies_to(operation, order) and self._chance.random() < scheduled.fault.probability:
                scheduled.fired += 1
                return scheduled.fault
        return None

    @property
    def scheduled(self) -> Sequence[ScheduledFault]:
        """The schedule with its counts: a test should see that its fault fired."""
        return tuple(self._scheduled)
