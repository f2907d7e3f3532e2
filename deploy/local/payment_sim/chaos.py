"""Faults by chance, the same ones for the same seed and the same sequence of requests: for soaks that run against a provider in trouble.

Everything here passes: whoever repeats, looks and waits gets through.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from deploy.local.payment_sim.faults import WRITES, Fault, FaultKind, Operation

_ANY = (
    Fault(FaultKind.DROP),
    Fault(FaultKind.DROP, after=True),
    Fault(FaultKind.UNAVAILABLE),
    Fault(FaultKind.RATE_LIMIT),
    Fault(FaultKind.SLOW, delay_s=0.3),
    Fault(FaultKind.SLOW, delay_s=1.5),
)
_WRITING = (
    Fault(FaultKind.INTERNAL_ERROR),
    Fault(FaultKind.INTERNAL_ERROR, after=True),
    Fault(FaultKind.KEY_IN_USE),
    Fault(FaultKind.LOCK_TIMEOUT),
)
_CONFIRMING = (
    Fault(FaultKind.CARD, card="pm_card_chargeDeclined"),
    Fault(FaultKind.CARD, card="pm_card_processing"),
    Fault(FaultKind.CARD, card="pm_card_processingDeclined"),
)
_REFUNDING = (Fault(FaultKind.CARD, card="pm_card_pendingRefund"),)
_WEBHOOKS = (
    Fault(FaultKind.LATE, delay_s=2.0),
    Fault(FaultKind.DUPLICATED, delay_s=1.0),
    Fault(FaultKind.REORDERED, delay_s=0.5),
    Fault(FaultKind.REPLAYED),
    Fault(FaultKind.WRONG_SECRET),
    Fault(FaultKind.ROTATED_SECRET),
    Fault(FaultKind.LOST),
)


@dataclass(frozen=True, slots=True)
class ChaosSettings:
    """`rate` is the share of requests and of webhooks that is hit."""

    seed: int
    rate: float = 0.2


class Chaos:
    """Throws the dice."""

    def __init__(self, settings: ChaosSettings) -> None:
        self._rate = settings.rate
        self._chance = random.Random(settings.seed)  # noqa: S311 (faults, not secrets)

    def fault(self, operation: Operation) -> Fault | None:
        if self._chance.random() >= self._rate:
            return None
        return self._chance.choice(_possible(operation))


def _possible(operation: Operation) -> tuple[Fault, ...]:
    if operation is Operation.WEBHOOK:
        return _WEBHOOKS
    faults = _ANY + (_WRITING if operation in WRITES else ())
    if operation in (Operation.CREATE, Operation.CONFIRM):
        return faults + _CONFIRMING
    return faults + (_REFUNDING if operation is Operation.REFUND else ())
