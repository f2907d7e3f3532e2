"""How a webhook proves where it comes from: `Galen-Signature: t=<unix seconds>,v1=<hex>`."""

from __future__ import annotations

import hashlib
import hmac

HEADER = "Galen-Signature"


def sign(secret: bytes, time_s: int, body: bytes) -> str:
    """Returns the header's value: the HMAC-SHA256 of `<time>.<body>`. The time is signed too, so that old messages can be told."""
    signature = hmac.new(secret, b"%d.%s" % (time_s, body), hashlib.sha256)
    return f"t={time_s},v1={signature.hexdigest()}"
