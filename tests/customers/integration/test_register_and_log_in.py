"""People register and log in over gRPC, on a real server, a real PostgreSQL and a real balance service."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import jwt
import pytest
from galen.balance.v1 import balance_service_pb2

from shared.auth.keys import PEOPLE_ISSUER
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, bearer
from tests.customers.client import PASSWORD, Auth, new_login, soon

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub


async def test_a_registered_customer_is_logged_in_with_a_token_that_names_them(auth: Auth, identities: Identities) -> None:
    registered = await auth.register(new_login())

    claims = jwt.decode(
        registered.token.value, identities.people.private.public_key(), algorithms=["EdDSA"], audience="galen", issuer=PEOPLE_ISSUER
    )
    assert f"customers/{UUID(claims['sub'])}" == registered.customer
    assert claims["roles"] == ["customer"]
    assert claims["exp"] == registered.token.expire_time.seconds
    assert claims["exp"] - claims["iat"] == 86_400


async def test_a_new_customer_soon_has_an_empty_points_account(auth: Auth, balance: BalanceServiceAsyncStub) -> None:
    registered = await auth.register(new_login())
    request = balance_service_pb2.GetAccountRequest(name=registered.customer.replace("customers/", "programs/main/accounts/"))

    found = await soon(lambda: balance.GetAccount(request, metadata=bearer(registered.token.value), timeout=5))

    assert (found.account.available, found.account.version) == (0, 0)


async def test_a_customer_logs_in_with_the_password_and_with_no_other(auth: Auth) -> None:
    login = new_login()
    registered = await auth.register(login)

    assert (await auth.log_in(login)).customer == registered.customer
    refusal = await refusal_of(auth.log_in(login, password=PASSWORD.upper()))
    assert (refusal.code, refusal.domain, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "customers.galen", "WRONG_CREDENTIALS")


@pytest.mark.parametrize("login", ["nobody", "no\0body", "x" * 128, "\ufdfa" * 128])
async def test_an_unknown_login_is_refused_like_a_wrong_password(auth: Auth, login: str) -> None:
    assert (await refusal_of(auth.log_in(login))).reason == "WRONG_CREDENTIALS"


async def test_a_login_is_registered_once(auth: Auth) -> None:
    login = new_login()
    await auth.register(login)

    refusal = await refusal_of(auth.register(login))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "LOGIN_TAKEN")
