"""Proves that a message is the provider's: `Stripe-Signature: t=<unix>,v1=<hex>[,v1=...]`, HMAC-SHA256 of `t.body`.

Several secrets may be valid while one replaces another, and a message may carry several signatures: any pair that fits is enough. Unlike
the provider's own library we refuse stamps from the future too (docs.stripe.com/webhooks/signature).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from services.orders.adapters.http.stripe.documents import Nonsense, event_of, parse, without_secrets
from services.orders.application.payments.ports import MessageInvalid, ProviderEvent
from shared.clock import Clock

TOLERANCE_S = 300
_SIGNATURES_MAX = 20


class StripeWebhooks:
    """`secrets` are those of the endpoint, as the provider shows them (`whsec_...`); the first is today's."""

    def __init__(self, secrets: Sequence[str], clock: Clock, *, tolerance_s: float = TOLERANCE_S) -> None:
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._clock = clock
        self._tolerance_s = tolerance_s

    def read(self, body: bytes, signature: str) -> ProviderEvent:
        """Raises MessageInvalid."""
        stamp, signatures = _parse_header(signature)
        if abs(self._clock.now().timestamp() - stamp) > self._tolerance_s:
            raise MessageInvalid("its stamp is too far from now")
        if not any(self._is_signed(secret, stamp, body, given) for secret in self._secrets for given in signatures):
            raise MessageInvalid("no signature fits")
        return self.read_stored(body)

    def read_stored(self, body: bytes) -> ProviderEvent:
        try:
            return event_of(parse(body))
        except Nonsense as error:
            raise MessageInvalid(str(error)) from None

    def without_secrets(self, body: bytes) -> bytes:
        return without_secrets(body)

    def _is_signed(self, secret: bytes, stamp: int, body: bytes, given: str) -> bool:
        expected = hmac.new(secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), given.encode())


def _parse_header(header: str) -> tuple[int, list[str]]:
    """Returns the stamp and the signatures of scheme v1; other schemes are not looked at."""
    stamps, signatures = [], []
    for part in header.split(",")[: _SIGNATURES_MAX + 1]:
        name, _, value = part.strip().partition("=")
        if name == "t":
            stamps.append(value)
        elif name == "v1":
            signatures.append(value)
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit()) or len(stamps[0]) > 12 or not signatures:
        raise MessageInvalid("the signature header is malformed")
    return int(stamps[0]), signatures
