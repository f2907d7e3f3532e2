"""Signs webhooks: `Stripe-Signature: t=<unix>,v1=<hex>`, HMAC-SHA256 of `t.body` (docs.stripe.com/webhooks/signature)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


def signature(secret: str, stamp: int, body: bytes) -> str:
    """Returns the hex text of scheme v1."""
    return hmac.new(secret.encode(), b"%d." % stamp + body, hashlib.sha256).hexdigest()


def header(secrets: Sequence[str], stamp: int, body: bytes) -> str:
    """Returns the header's value with a signature for each secret, and one of a scheme that nobody should look at, as in test mode."""
    signed = ",".join(f"v1={signature(secret, stamp, body)}" for secret in secrets)
    return f"t={stamp},{signed},v0={signature('v0', stamp, body)}"
