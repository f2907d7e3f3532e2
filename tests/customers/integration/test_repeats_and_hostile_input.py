"""Registration sent again, inputs that try to break something, and secrets that must not be found anywhere."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from galen.customers.v1 import auth_service_pb2 as messages
from structlog.testing import capture_logs

from services.customers.settings import CustomersSettings
from shared.auth.keys import SERVICES_ISSUER, load_signing_key
from shared.auth.tokens import mint
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, make_identities
from tests.customers.client import PASSWORD, Auth, Customers, Person, new_login
from tests.customers.servers import customers_served, own_database, query


async def test_a_registration_sent_again_logs_the_same_customer_in(auth: Auth) -> None:
    login, request_id = new_login(), str(uuid4())
    first = await auth.register(login, request_id=request_id)

    again = await auth.register(login, request_id=request_id)

    assert again.customer == first.customer
    assert (await auth.log_in(login)).customer == first.customer


async def test_a_registration_sent_again_with_another_password_is_refused_and_changes_nothing(auth: Auth) -> None:
    login, request_id = new_login(), str(uuid4())
    await auth.register(login, request_id=request_id)

    assert (await refusal_of(auth.register(login, password="other", request_id=request_id))).reason == "LOGIN_TAKEN"
    assert (await refusal_of(auth.log_in(login, password="other"))).reason == "WRONG_CREDENTIALS"
    assert (await auth.log_in(login)).customer


async def test_a_request_id_registers_one_login_only(auth: Auth) -> None:
    request_id = str(uuid4())
    await auth.register(new_login(), request_id=request_id)

    assert (await refusal_of(auth.register(new_login(), request_id=request_id))).reason == "REQUEST_ID_REUSED"


async def test_logins_that_look_alike_are_one_and_upper_case_is_another(auth: Auth) -> None:
    composed = f"Zoë-{uuid4()}"
    registered = await auth.register(composed)

    assert (await auth.log_in(unicodedata.normalize("NFD", composed))).customer == registered.customer
    assert (await refusal_of(auth.register(unicodedata.normalize("NFD", composed)))).reason == "LOGIN_TAKEN"
    assert (await auth.register(composed.upper())).customer != registered.customer


@pytest.mark.parametrize("login", ["", "x" * 129, "a\0b", "line\nbreak", "\ufdfa" * 128])
async def test_a_login_that_breaks_the_rules_is_not_registered(auth: Auth, login: str) -> None:
    refusal = await refusal_of(auth.register(login))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("login", ["'; drop table customer; --", "%s %(x)s {}", "💊" * 100, "ا" * 128, " ", "admin\u200b"])
async def test_any_other_login_is_just_a_login(auth: Auth, login: str) -> None:
    registered = await auth.register(f"{login[:90]}{uuid4()}")

    assert registered.customer


@pytest.mark.parametrize("password", ["", "x" * 257])
async def test_a_password_that_breaks_the_rules_is_refused(auth: Auth, password: str) -> None:
    assert (await refusal_of(auth.register(new_login(), password=password))).reason == "INVALID_REQUEST"
    assert (await refusal_of(auth.log_in(new_login(), password=password))).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("password", ["\0", "💊" * 256, " ", "pass\nword"])
async def test_any_other_password_works(auth: Auth, password: str) -> None:
    login = new_login()
    await auth.register(login, password=password)

    assert (await auth.log_in(login, password=password)).customer


async def test_a_malformed_request_id_is_refused(auth: Auth) -> None:
    assert (await refusal_of(auth.register(new_login(), request_id="not a uuid"))).reason == "INVALID_REQUEST"


async def test_passwords_and_tokens_are_in_no_log_line_and_no_row(auth: Auth, customers_settings: CustomersSettings) -> None:
    canary, login = f"canary-{uuid4()}", new_login()
    with capture_logs() as lines:
        registered = await auth.register(login, password=canary)
        logged_in = await auth.log_in(login, password=canary)
        await refusal_of(auth.log_in(login, password=f"{canary}!"))
        await refusal_of(auth.register(login, password=canary))

    assert lines
    tables = query(customers_settings, "select tablename from pg_tables where schemaname = 'customers'")
    rows = [query(customers_settings, f"select t::text from {table} t") for (table,) in tables]
    for secret in (canary, registered.token.value, logged_in.token.value):
        assert secret not in repr(lines)
        assert secret not in repr(rows)
    assert login in repr(rows)


async def test_when_too_many_wait_for_their_password_to_be_checked_the_rest_are_told_to_come_back(
    customers_settings: CustomersSettings,
) -> None:
    slow = {"argon2_iterations": 20, "argon2_memory_kib": 16_384, "hashes_max": 1, "hashes_waiting_max": 1, "background_work": False}
    async with customers_served(customers_settings, **slow) as server:
        calls = [Auth(server.channel).log_in(new_login()) for _ in range(8)]
        refusals = await asyncio.gather(*map(refusal_of, calls))

    assert sorted(refusal.reason for refusal in refusals) == ["OVERLOADED"] * 6 + ["WRONG_CREDENTIALS"] * 2
    assert all(refusal.retry_after_s for refusal in refusals if refusal.reason == "OVERLOADED")


async def test_a_hash_made_with_other_parameters_is_renewed_when_its_owner_logs_in(
    auth: Auth, customers_settings: CustomersSettings
) -> None:
    login = new_login()
    await auth.register(login)
    find = "select password_hash from credential join customer using (customer_id) where login = %s"
    ((before,),) = query(customers_settings, find, login)
    async with customers_served(customers_settings, argon2_iterations=2, background_work=False) as server:
        stricter = Auth(server.channel)
        await refusal_of(stricter.log_in(login, password="wrong"))
        assert query(customers_settings, find, login) == [(before,)]

        await stricter.log_in(login)
        ((after,),) = query(customers_settings, find, login)
        await stricter.log_in(login)

    assert before.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert after.startswith("$argon2id$v=19$m=8,t=2,p=1$")
    assert query(customers_settings, find, login) == [(after,)]
    assert (await auth.log_in(login, password=PASSWORD)).customer


@pytest_asyncio.fixture(scope="module")
async def rotated(
    customers_settings: CustomersSettings, identities: Identities, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Identities, CustomersSettings]]:
    """New keys of people, with the old public ones still published; the services' keys stay."""
    new = replace(make_identities(tmp_path_factory.mktemp("new-keys")), services=identities.services)
    changes: dict[str, Path] = {"signing_key_file": new.signing_key_file, "previous_jwks_file": identities.jwks_file}
    yield new, customers_settings.model_copy(update={**changes, "background_work": False})


async def test_after_a_rotation_tokens_of_the_key_before_are_good_and_new_ones_bear_the_new_key(
    rotated: tuple[Identities, CustomersSettings], identities: Identities, person: Person
) -> None:
    new, settings = rotated
    async with customers_served(settings) as server:
        auth = Auth(server.channel)
        published = await auth.jwks()
        token = (await auth.log_in(person.login)).token.value
        with_old_token = Customers(server.channel, person.calls.metadata)
        with_new_token = Customers(server.channel, (("authorization", f"Bearer {token}"),))

        assert [key.kid for key in published] == [identities.people.kid, new.people.kid]
        assert (await with_old_token.get(person.name)).name == (await with_new_token.get(person.name)).name == person.name


async def test_only_keys_of_people_are_published_and_only_their_public_half(auth: Auth, identities: Identities) -> None:
    (key,) = await auth.jwks()

    assert (key.kid, key.kty, key.crv, key.alg, key.use) == (identities.people.kid, "OKP", "Ed25519", "EdDSA", "sig")
    assert {field.name for field in messages.Jwk.DESCRIPTOR.fields} == {"kty", "crv", "x", "kid", "alg", "use"}


async def test_a_service_can_not_be_impersonated_with_a_persons_key(
    auth: Auth, customers_settings: CustomersSettings, person: Person
) -> None:
    """A customer whose id is a service's name would not be that service: people's keys speak for people only."""
    key = load_signing_key(customers_settings.signing_key_file)
    forged = mint(key, issuer=SERVICES_ISSUER, subject="orders", lifetime=timedelta(minutes=1))
    async with customers_served(customers_settings, background_work=False) as server:
        calls = Customers(server.channel, (("authorization", f"Bearer {forged}"),))

        assert (await refusal_of(calls.get(person.name))).reason == "CREDENTIALS_INVALID"


async def test_an_unexpected_fault_shows_nothing_of_its_cause(customers_settings: CustomersSettings, postgres_server_uri: str) -> None:
    with own_database(customers_settings, postgres_server_uri) as settings:
        async with customers_served(settings, background_work=False) as server:
            auth, login = Auth(server.channel), new_login()
            await auth.register(login)
            query(settings, "alter table credential rename to credential_away")
            broken = await refusal_of(auth.log_in(login))
            query(settings, "alter table credential_away rename to credential")

            assert (broken.reason, set(broken.metadata)) == ("INTERNAL", {"trace_id"})
            assert (await auth.log_in(login)).customer
