"""What is counted of payments, as their use cases tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.orders.domain.payments.model import RefundState


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is not through yet. Ages are since the last change of a payment, and since a refund was asked for; zero if there is none.

    `stuck` is the oldest payment that waits for neither its payer nor a pharmacist; those in quarantine are not among them.
    """

    pending: int
    quarantined: int
    stuck: timedelta
    oldest_refund: timedelta


class PaymentObserver(Protocol):
    """Told after the commit of what happened, never before; it raises nothing and waits for nothing."""

    def outcome_unknown(self) -> None:
        """A payment or a refund could not go on, since the provider or the ledger gave no answer that tells."""

    def message_came(self, lag: timedelta, *, is_new: bool) -> None:
        """A message of the provider came so long after it was made; one that is not new had come before."""

    def message_rejected(self) -> None:
        """A message came that is not the provider's."""

    def messages_missed(self, count: int) -> None:
        """So many messages never came, and were fetched."""

    def refund_ended(self, state: RefundState) -> None:
        """A refund succeeded or failed."""

    def refunded_elsewhere(self) -> None:
        """A message came about a refund that is none of ours: somebody made it at the provider itself."""

    def under_way(self, found: UnderWay) -> None:
        """This much is not through."""
