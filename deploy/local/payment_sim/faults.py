"""What goes wrong, and when: ordered for requests and webhooks through the control endpoint, by an intent's metadata, or by chance."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from deploy.local.payment_sim import cards
from deploy.local.simulation.documents import BadRequest, Fields

FAULTS_MAX = 1000
SCENARIO = "scenario"

E = TypeVar("E", bound=StrEnum)


class Operation(StrEnum):
    """The requests of the API, the payer's on the page, and the provider's own: webhooks."""

    CREATE = "create"
    CONFIRM = "confirm"
    CAPTURE = "capture"
    CANCEL = "cancel"
    GET = "get"
    REFUND = "refund"
    GET_REFUND = "get_refund"
    LIST_REFUNDS = "list_refunds"
    LIST_EVENTS = "list_events"
    WEBHOOK = "webhook"


WRITES = frozenset({Operation.CREATE, Operation.CONFIRM, Operation.CAPTURE, Operation.CANCEL, Operation.REFUND})


class FaultKind(StrEnum):
    """What goes wrong. With `after` the request is carried out first and only its answer is lost."""

    DROP = "drop"
    """The connection is reset without an answer."""
    INTERNAL_ERROR = "internal_error"
    """500, kept under the idempotency key for good."""
    UNAVAILABLE = "unavailable"
    """503 of something in front of the API: not JSON, and kept nowhere."""
    BAD_JSON = "bad_json"
    """200 with half a document."""
    SLOW = "slow"
    """The right answer, `delay_s` late; until then the key is in use."""
    RATE_LIMIT = "rate_limit"
    """429."""
    LOCK_TIMEOUT = "lock_timeout"
    """429 that asks to be repeated."""
    KEY_IN_USE = "key_in_use"
    """409: as if the same key were being worked on."""
    CARD = "card"
    """The payer's card is `card`, whatever the request says."""
    CAPTURE_LESS = "capture_less"
    """One unit less than wanted is captured."""
    LATE = "late"
    """Webhooks: `delay_s` late."""
    DUPLICATED = "duplicated"
    """Webhooks: three times, the last one `delay_s` late."""
    REORDERED = "reordered"
    """Webhooks: those that belong together come in the wrong order."""
    REPLAYED = "replayed"
    """Webhooks: once more by somebody who overheard it, with the stamp of an hour ago."""
    WRONG_SECRET = "wrong_secret"  # noqa: S105 (a fault)
    """Webhooks: first signed with another secret, then rightly."""
    ROTATED_SECRET = "rotated_secret"  # noqa: S105
    """Webhooks: two signatures, the one with the new secret first."""
    LOST = "lost"
    """Webhooks: never sent."""


WEBHOOK_KINDS = frozenset(
    {
        *(FaultKind.LATE, FaultKind.DUPLICATED, FaultKind.REORDERED, FaultKind.REPLAYED),
        *(FaultKind.WRONG_SECRET, FaultKind.ROTATED_SECRET, FaultKind.LOST),
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the schedule. It applies to `operation` (None: all, but webhooks only if it is of their kinds), to the payment that is
    called `payment` (by the intent's id or a value of its metadata; None: all), `times` times (None: for ever).
    """

    kind: FaultKind
    operation: Operation | None = None
    payment: str | None = None
    times: int | None = None
    probability: float = 1.0
    after: bool = False
    delay_s: float = 1.0
    retry_after_s: int | None = None
    card: str = cards.DEFAULT
    event: str | None = None
    """Webhooks: only events whose type begins like this."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request or a webhook is about. `name` tells apart subjects that metadata speak for: an intent, or the key that makes one."""

    operation: Operation
    name: str = ""
    intent: str = ""
    metadata: Mapping[str, str] | None = None
    event: str = ""

    def is_called(self, payment: str) -> bool:
        return payment == self.intent or payment in (self.metadata or {}).values()


def fault_from(document: object) -> Fault:
    """Reads a fault from JSON with the field names of Fault. Raises BadRequest, also for unknown fields: a typo must not disarm a fault."""
    given = Fields(document, known=frozenset(field.name for field in fields(Fault)))
    card = cards.known(given.text_or_none("card", length_max=100) or cards.DEFAULT)
    if card is None:
        raise BadRequest(f"card: must be one of {', '.join(cards.CARDS)}")
    return Fault(
        kind=_member(FaultKind, given.text("kind", length_max=50), "kind"),
        operation=_member(Operation, given.text("operation", length_max=50), "operation") if given.has("operation") else None,
        payment=given.text_or_none("payment", length_max=500),
        times=given.whole("times", default=1, low=1, high=1_000_000) if given.has("times") else None,
        probability=given.number("probability", default=1.0, low=0, high=1),
        after=given.flag("after", default=False),
        delay_s=given.number("delay_s", default=1.0, low=0, high=600),
        retry_after_s=given.whole("retry_after_s", default=1, low=0, high=1_000_000) if given.has("retry_after_s") else None,
        card=card,
        event=given.text_or_none("event", length_max=100),
    )


def _member(kind: type[E], text: str, name: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise BadRequest(f"{name}: must be one of {', '.join(kind)}") from None


@dataclass(slots=True)
class ScheduledFault:
    """A fault and how often it fired."""

    fault: Fault
    fired: int = 0

    def applies_to(self, subject: Subject) -> bool:
        fault = self.fault
        return (
            (fault.times is None or self.fired < fault.times)
            and fault.operation in (None, subject.operation)
            and (fault.kind in WEBHOOK_KINDS) is (subject.operation is Operation.WEBHOOK)
            and (fault.payment is None or subject.is_called(fault.payment))
            and subject.event.startswith(fault.event or "")
        )


# What a word in `metadata[scenario]` means, besides the kinds of faults themselves; `word@operation` moves it to another request.
SCENARIOS: dict[str, Fault] = {
    "decline": Fault(FaultKind.CARD, card="pm_card_chargeDeclined"),
    "insufficient_funds": Fault(FaultKind.CARD, card="pm_card_chargeDeclinedInsufficientFunds"),
    "expired_card": Fault(FaultKind.CARD, card="pm_card_chargeDeclinedExpiredCard"),
    "requires_action": Fault(FaultKind.CARD, card="pm_card_threeDSecure2Required"),
    "processing": Fault(FaultKind.CARD, card="pm_card_processing"),
    "refund_pending": Fault(FaultKind.CARD, Operation.REFUND, card="pm_card_pendingRefund"),
    "refund_fails": Fault(FaultKind.CARD, Operation.REFUND, card="pm_card_pendingRefundFail"),
    "charge_then_drop": Fault(FaultKind.DROP, after=True),
    "charge_then_error": Fault(FaultKind.INTERNAL_ERROR, after=True),
    "partial_capture": Fault(FaultKind.CAPTURE_LESS, Operation.CAPTURE),
    **{kind.value: Fault(kind) for kind in FaultKind if kind is not FaultKind.CARD and kind not in WEBHOOK_KINDS},
    **{f"webhook_{kind.value}": Fault(kind, Operation.WEBHOOK) for kind in FaultKind if kind in WEBHOOK_KINDS},
}
_CARD_OPERATIONS = (Operation.CREATE, Operation.CONFIRM)


class FaultSchedule:
    """Decides which faults hit a request or a webhook: the first of those ordered that applies, then those that metadata ask for."""

    def __init__(self, *, chance: random.Random) -> None:
        self._chance = chance
        self._scheduled: list[ScheduledFault] = []
        self._used: set[tuple[str, str]] = set()

    def replace(self, faults: Iterable[Fault]) -> None:
        """Drops the old schedule and begins with this one."""
        self._scheduled = [ScheduledFault(fault) for fault in faults]
        self._used.clear()

    def take(self, subject: Subject) -> Fault | None:
        """Returns the fault for this request or webhook, counted as fired, or None."""
        for scheduled in self._scheduled:
            if scheduled.applies_to(subject) and self._chance.random() < scheduled.fault.probability:
                scheduled.fired += 1
                return scheduled.fault
        return self._asked_for(subject)

    def _asked_for(self, subject: Subject) -> Fault | None:
        """A request is hit once by each word, webhooks always."""
        for word in (subject.metadata or {}).get(SCENARIO, "").split(","):
            name, _, operation = word.strip().partition("@")
            fault = SCENARIOS.get(name)
            if fault is None or subject.operation not in _operations(fault, operation):
                continue
            if fault.kind in WEBHOOK_KINDS:
                return fault
            if (subject.name, word) not in self._used:
                self._used.add((subject.name, word))
                return fault
        return None

    @property
    def scheduled(self) -> Sequence[ScheduledFault]:
        """The schedule with its counts: a test should see that its fault fired."""
        return tuple(self._scheduled)


def _operations(fault: Fault, named: str) -> Sequence[str]:
    if named:
        return (named,)
    if fault.operation is not None:
        return (fault.operation,)
    return _CARD_OPERATIONS if fault.kind is FaultKind.CARD else (Operation.CREATE,)
