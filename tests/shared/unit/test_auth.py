from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from shared.auth.keyring import FileKeys, Keyring
from shared.auth.keys import PEOPLE_ISSUER, SERVICES_ISSUER, PublicKey, SigningKey, generate_key, jwk_of, key_id, parse_jwk
from shared.auth.principal import Kind
from shared.auth.tokens import AUDIENCE, TOKEN_TYPE, TokenVerifier, mint
from shared.errors import CredentialsInvalid


def signing_key() -> SigningKey:
    private = generate_key()
    return SigningKey(key_id(private.public_key()), private)


def published(key: SigningKey, issuer: str = PEOPLE_ISSUER) -> PublicKey:
    return parse_jwk(jwk_of(key.private.public_key(), issuer), issuer)


class Source:
    """Publishes what it is given, counts how often it is asked, and fails when told to."""

    def __init__(self, *keys: PublicKey) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.fails = False

    async def fetch(self) -> Sequence[PublicKey]:
        self.asked += 1
        if self.fails:
            raise OSError("away")
        return list(self.keys)


def person(key: SigningKey, **changes: object) -> str:
    now = datetime.now(UTC)
    claims = {"iss": PEOPLE_ISSUER, "aud": AUDIENCE, "sub": "alice", "roles": ["customer"], "iat": now, "exp": now + timedelta(hours=1)}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": TOKEN_TYPE})


async def test_a_minted_token_names_its_bearer() -> None:
    key = signing_key()
    token = mint(key, issuer=PEOPLE_ISSUER, subject="alice", roles=["staff", "customer"], lifetime=timedelta(hours=1))

    principal = await TokenVerifier(Keyring([Source(published(key))])).verify(token)

    assert (principal.kind, principal.actor, principal.roles) == (Kind.PERSON, "customers/alice", frozenset({"customer", "staff"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": datetime.now(UTC) - timedelta(seconds=5)},
        {"aud": "elsewhere"},
        {"iss": "https://elsewhere"},
        {"iss": SERVICES_ISSUER},
        {"sub": None},
        {"exp": None},
        {"roles": "admin"},
        {"roles": [1]},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, object]) -> None:
    key = signing_key()
    with pytest.raises(CredentialsInvalid):
        await TokenVerifier(Keyring([Source(published(key))])).verify(person(key, **changes))


async def test_a_key_speaks_for_its_own_issuer_only() -> None:
    key = signing_key()
    forged = mint(key, issuer=SERVICES_ISSUER, subject="accrual", lifetime=timedelta(hours=1))

    with pytest.raises(CredentialsInvalid):
        await TokenVerifier(Keyring([Source(published(key, PEOPLE_ISSUER))])).verify(forged)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\u00e9.\u00e9.\u00e9", "\ud800.\ud800.\ud800"])
async def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(CredentialsInvalid):
        await TokenVerifier(Keyring([Source()])).verify(token)


async def test_an_unsigned_or_symmetric_token_is_refused() -> None:
    key = signing_key()
    claims = {"iss": PEOPLE_ISSUER, "aud": AUDIENCE, "sub": "a", "roles": [], "iat": 0, "exp": 9999999999}
    headers = {"kid": key.kid, "typ": TOKEN_TYPE}
    verifier = TokenVerifier(Keyring([Source(published(key))]))
    for token in (jwt.encode(claims, "", "none", headers), jwt.encode(claims, "x" * 32, "HS256", headers)):
        with pytest.raises(CredentialsInvalid):
            await verifier.verify(token)


async def test_a_verified_token_is_remembered_until_it_expires() -> None:
    key, now = signing_key(), [datetime.now(UTC).timestamp()]
    source = Source(published(key))
    verifier = TokenVerifier(Keyring([source]), time_s=lambda: now[0])
    token = person(key)
    principal = await verifier.verify(token)

    assert verifier.recall(token) is principal
    now[0] += 3601
    assert verifier.recall(token) is None


async def test_an_unknown_key_is_asked_for_at_most_once_in_a_while_and_a_rotated_one_is_found() -> None:
    old, new, time = signing_key(), signing_key(), [0.0]
    source = Source(published(old))
    keyring = Keyring([source], refetch_s=5, monotonic=lambda: time[0])

    assert await keyring.find(old.kid)
    assert [await keyring.find("forged") for _ in range(10)] == [None] * 10
    assert source.asked == 1
    source.keys = [published(new)]
    time[0] = 6
    assert await keyring.find(new.kid)
    assert source.asked == 2


async def test_a_source_that_fails_keeps_the_keys_it_gave() -> None:
    key, time = signing_key(), [0.0]
    source = Source(published(key))
    keyring = Keyring([source], refetch_s=5, monotonic=lambda: time[0])
    await keyring.find(key.kid)
    source.fails, time[0] = True, 6

    assert await keyring.find("other") is None
    assert await keyring.find(key.kid)


async def test_a_jwks_file_tells_issuers_apart(tmp_path: Path) -> None:
    people, services = signing_key(), signing_key()
    keys = [jwk_of(people.private.public_key(), PEOPLE_ISSUER), jwk_of(services.private.public_key(), SERVICES_ISSUER)]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": keys}))

    found = {key.kid: key.issuer for key in await FileKeys(tmp_path / "jwks.json").fetch()}

    assert found == {people.kid: PEOPLE_ISSUER, services.kid: SERVICES_ISSUER}
