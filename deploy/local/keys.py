"""Keys and tokens of a local stack: made before the first start, kept, so that a restart leaves all tokens valid.

customers.pem         signs people's tokens; only the customers service is given it
services.pem          signs the tokens that services show each other; only the stack reads it
jwks.json             the public halves, for everyone
page_token.key        the key that page tokens are sealed with
chain.pem             signs the ends of the ledger's hash chains; only the balance service is given it
payment_provider.key  what orders shows the simulated card provider
webhook_secrets       what the simulated card provider signs its messages with; orders checks them
tokens/<service>.jwt  what a service shows its peers
"""

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from shared.auth.keys import PEOPLE_ISSUER, SERVICES_ISSUER, SigningKey, generate_key, jwk_of, load_signing_key, private_pem
from shared.auth.tokens import mint

SERVICE_TOKEN_LIFETIME = timedelta(days=365)
RENEWED_BEFORE_EXPIRY = timedelta(days=30)


class KeyFolder:
    """The files above, in one folder that only we may enter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.customers_key = folder / "customers.pem"
        self.jwks = folder / "jwks.json"
        self.page_token_key = folder / "page_token.key"
        self.chain_key = folder / "chain.pem"
        self.payment_key = folder / "payment_provider.key"
        self.webhook_secrets = folder / "webhook_secrets"
        self._services_key = folder / "services.pem"

    def service_token(self, service: str) -> Path:
        """The file of a service's own token."""
        return self._folder / "tokens" / f"{service}.jwt"

    def ensure(self, services: Iterable[str] = ()) -> None:
        """Make what is missing, renew tokens that are about to expire; what is good stays as it is. Raises OSError, ValueError."""
        for folder in (self._folder, self._folder / "tokens"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        people, servants = (_signing_key(path) for path in (self.customers_key, self._services_key))
        keys = [jwk_of(people.private.public_key(), PEOPLE_ISSUER), jwk_of(servants.private.public_key(), SERVICES_ISSUER)]
        _write_private(self.jwks, json.dumps({"keys": keys}, indent=2) + "\n")
        _signing_key(self.chain_key)
        for secret, prefix in ((self.page_token_key, ""), (self.payment_key, "sk_test_"), (self.webhook_secrets, "whsec_")):
            if not secret.exists():
                _write_private(secret, prefix + secrets.token_hex(32) + "\n")
        for service in services:
            if not _is_fresh(self.service_token(service), servants):
                _write_private(self.service_token(service), self.mint_for_service(service, SERVICE_TOKEN_LIFETIME) + "\n")

    def mint_for_service(self, service: str, lifetime: timedelta) -> str:
        """A token that speaks for a service."""
        return mint(load_signing_key(self._services_key), issuer=SERVICES_ISSUER, subject=service, lifetime=lifetime)

    def mint_for_person(self, customer: str, roles: Sequence[str], lifetime: timedelta) -> str:
        """A token that speaks for a person."""
        return mint(load_signing_key(self.customers_key), issuer=PEOPLE_ISSUER, subject=customer, roles=roles, lifetime=lifetime)


def _signing_key(path: Path) -> SigningKey:
    if not path.exists():
        _write_private(path, private_pem(generate_key()).decode())
    return load_signing_key(path)


def _is_fresh(path: Path, key: SigningKey) -> bool:
    """Whether the token is signed with today's key and lasts a while longer."""
    try:
        claims = jwt.decode(path.read_text().strip(), key.private.public_key(), algorithms=["EdDSA"], options={"verify_aud": False})
    except (OSError, jwt.InvalidTokenError):
        return False
    return datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) > RENEWED_BEFORE_EXPIRY


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all: a run that is killed while it writes leaves the old file."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
