"""The provider's test cards: what becomes of a payment is decided by the name of its payment method (docs.stripe.com/testing)."""

from __future__ import annotations

from dataclasses import dataclass

_MESSAGES = {
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "insufficient_funds": "Your card has insufficient funds.",
}


@dataclass(frozen=True, slots=True)
class Card:
    """`code` and `decline_code` are set if it is declined. `refund` is how a refund to it begins and ends."""

    code: str = ""
    decline_code: str = ""
    needs_action: bool = False
    processes: bool = False
    refund: tuple[str, str] = ("succeeded", "")

    @property
    def is_declined(self) -> bool:
        return bool(self.code)

    @property
    def message(self) -> str:
        return _MESSAGES.get(self.decline_code) or _MESSAGES.get(self.code) or "Your card was declined."


def _declined(decline_code: str) -> Card:
    return Card("card_declined", decline_code)


CARDS: dict[str, Card] = {
    **dict.fromkeys(("pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_mir", "pm_card_unionpay"), Card()),
    "pm_card_chargeDeclined": _declined("generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": _declined("insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": _declined("lost_card"),
    "pm_card_chargeDeclinedStolenCard": _declined("stolen_card"),
    "pm_card_chargeDeclinedVelocityLimitExceeded": _declined("card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": Card("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": Card("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Card("processing_error", "processing_error"),
    **dict.fromkeys(
        ("pm_card_threeDSecure2Required", "pm_card_threeDSecureRequired", "pm_card_authenticationRequired"), Card(needs_action=True)
    ),
    "pm_card_threeDSecureRequiredChargeDeclined": Card("card_declined", "generic_decline", needs_action=True),
    "pm_card_pendingRefund": Card(refund=("pending", "succeeded")),
    "pm_card_refundFail": Card(refund=("succeeded", "failed")),
    # Not among the provider's test cards, but its payment methods do these too: a charge that takes a while, a pending refund that fails.
    "pm_card_processing": Card(processes=True),
    "pm_card_processingDeclined": Card("card_declined", "generic_decline", processes=True),
    "pm_card_pendingRefundFail": Card(refund=("pending", "failed")),
}
DEFAULT = "pm_card_visa"


def known(name: str) -> str | None:
    """Returns the card's plain name; the provider has most of them with and without the brand. None if there is no such card."""
    plain = name.replace("pm_card_visa_", "pm_card_")
    return plain if plain in CARDS else None
