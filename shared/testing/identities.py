"""Keys and tokens for tests: a folder like the one that the local stack makes, and callers of every kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from shared.auth.keys import PEOPLE_ISSUER, SERVICES_ISSUER, SigningKey, generate_key, jwk_of, key_id, private_pem
from shared.auth.tokens import mint

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Identities:
    """Signing keys of people and services, and files with what a service needs to check them."""

    people: SigningKey
    services: SigningKey
    jwks_file: Path
    page_token_key_file: Path
    signing_key_file: Path

    def customer(self, customer_id: str, *, roles: tuple[str, ...] = ("customer",), lifetime: timedelta = timedelta(hours=1)) -> Metadata:
        """Returns the metadata of a person's call."""
        return bearer(mint(self.people, issuer=PEOPLE_ISSUER, subject=customer_id, roles=roles, lifetime=lifetime))

    def service(self, name: str) -> Metadata:
        """Returns the metadata of a service's call."""
        return bearer(self.service_token(name))

    def service_token(self, name: str) -> str:
        return mint(self.services, issuer=SERVICES_ISSUER, subject=name, lifetime=timedelta(hours=1))


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def make_identities(folder: Path) -> Identities:
    """Makes fresh keys and writes the files into `folder`."""
    people, services = (SigningKey(key_id(key.public_key()), key) for key in (generate_key(), generate_key()))
    keys = [jwk_of(people.private.public_key(), PEOPLE_ISSUER), jwk_of(services.private.public_key(), SERVICES_ISSUER)]
    files = Identities(people, services, folder / "jwks.json", folder / "page_token.key", folder / "customers.pem")
    files.jwks_file.write_text(json.dumps({"keys": keys}))
    files.page_token_key_file.write_text("ab" * 32)
    files.signing_key_file.write_bytes(private_pem(people.private))
    return files
