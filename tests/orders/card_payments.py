"""Payments by card as the adapter of the provider sees them, and the adapter, connected to the simulated provider."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from deploy.local.payment_sim.testing import API_KEY, SimulatorHandle
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.application.payments.ports import Intent
from services.orders.domain.payments.facts import fold
from services.orders.domain.payments.model import Card, Method, Payment, Refund
from shared.clock import SystemClock

VISA, NO_FUNDS, ASKS = "pm_card_visa", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_threeDSecure2Required"
ONCE = StripeLimits(tries=1)
SHOP = "https://shop.example/paid"


def client(simulator: SimulatorHandle, limits: StripeLimits = ONCE, key: str = API_KEY) -> StripeProvider:
    return StripeProvider(simulator.url, key, SHOP, limits, SystemClock())


def payment(*, card: str = "", manual: bool = False, card_minor: int = 70_000) -> Payment:
    now = datetime.now(UTC)
    return Payment(
        id=uuid.uuid4(),
        order_id=uuid.uuid4(),
        customer_id="alice",
        order_number="4561261212345467",
        method=Method.CARD,
        currency="RUB",
        card_minor=card_minor,
        points_minor=0,
        manual_capture=manual,
        created_at=now - timedelta(seconds=1),
        updated_at=now,
        card=card,
    )


def refund(of: Payment, minor: int) -> Refund:
    return Refund(uuid.uuid4(), of.id, of.order_id, of.customer_id, of.currency, minor, 0, (minor, of.total_minor), "", datetime.now(UTC))


def standing(of: Payment, *intents: Intent) -> Card:
    """How the card stands by all that was told; nothing may fit badly."""
    folded = fold(of, [fact for intent in intents for fact in intent.facts])
    assert folded.mismatch == ""
    return folded.card


async def made(provider: StripeProvider, **wanted: object) -> tuple[Payment, Intent]:
    new = payment(**wanted)  # type: ignore[arg-type]
    intent = await provider.create_intent(new)
    return replace(new, intent=intent.reference), intent
