"""What the routes ask of the services, and what they make of the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from uuid import UUID, uuid4

import pytest
from galen.accrual.v1 import accrual_service_pb2 as accrual
from galen.accrual.v1 import claim_pb2
from galen.balance.v1 import account_pb2, operation_pb2
from galen.balance.v1 import balance_service_pb2 as balance
from galen.customers.v1 import auth_service_pb2 as customers

from services.gateway.entrypoints.http.credentials import COOKIE
from shared.errors import RequestIdReused
from shared.grpc.timestamps import timestamp
from shared.testing.identities import Identities
from tests.gateway.client import BALANCE, LOGIN, ORDERS, REGISTER, WITHDRAW, WITHDRAWALS, Client
from tests.gateway.fakes import FakeServices, refusal

PAIR = '{"login": "ann", "password": "secret"}'
PAYMENT = '{"order": "2377225624", "sum": 751}'
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("path", "method"), [(REGISTER, "Register"), (LOGIN, "Login")])
async def test_registration_and_login_hand_out_both_credentials(client: Client, fakes: FakeServices, path: str, method: str) -> None:
    expires = timestamp(datetime.now(UTC) + timedelta(hours=1))
    kind = customers.RegisterResponse if method == "Register" else customers.LoginResponse
    fakes.answer(method, kind(token=customers.AccessToken(value="a.b.c", expire_time=expires)))

    answer = await client.post(path, PAIR, headers={"Authorization": ""})

    assert (answer.status, answer.body, answer.headers["Authorization"]) == (200, b"", "Bearer a.b.c")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert (cookie.value, cookie["path"], cookie["samesite"], cookie["httponly"], cookie["secure"]) == ("a.b.c", "/", "Strict", True, "")
    assert 3590 <= int(cookie["max-age"]) <= 3600
    [call] = fakes.called(method)
    assert (call.request.login, call.request.password) == ("ann", "secret")
    assert "authorization" not in call.metadata
    assert call.metadata["x-forwarded-for"] == "127.0.0.1"


async def test_a_forwarded_address_of_an_untrusted_client_is_not_passed_on(client: Client, fakes: FakeServices) -> None:
    await client.post(LOGIN, PAIR, headers={"X-Forwarded-For": "1.2.3.4"})
    assert fakes.called("Login")[0].metadata["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "method", "reason", "status"),
    [
        (REGISTER, "Register", "LOGIN_TAKEN", 409),
        (LOGIN, "Login", "WRONG_CREDENTIALS", 401),
        (LOGIN, "Login", "TOO_MANY_FAILED_LOGINS", 429),
    ],
)
async def test_refused_logins_have_their_status_and_no_credentials(
    client: Client, fakes: FakeServices, path: str, method: str, reason: str, status: int
) -> None:
    fakes.fail(method, refusal("customers.galen", reason))
    answer = await client.post(path, PAIR)
    assert (answer.status, answer.reason) == (status, reason)
    assert "Authorization" not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(("outcome", "status"), [(accrual.SUBMIT_OUTCOME_CREATED, 202), (accrual.SUBMIT_OUTCOME_ALREADY_YOURS, 200)])
async def test_an_upload_tells_new_from_known(
    client: Client, fakes: FakeServices, outcome: accrual.SubmitOutcome.ValueType, status: int
) -> None:
    fakes.answer("SubmitClaim", accrual.SubmitClaimResponse(outcome=outcome))

    assert (await client.post(ORDERS, "  12345678903\r\n")).status == status

    [call] = fakes.called("SubmitClaim")
    assert (call.request.parent, call.request.number) == (f"customers/{client.id}", "12345678903")
    assert call.metadata["authorization"] == client.headers["Authorization"]


@pytest.mark.parametrize(
    ("reason", "status"), [("CLAIMED_BY_ANOTHER", 409), ("ORDER_NUMBER_INVALID", 422), ("TOO_MANY_PENDING_CLAIMS", 429)]
)
async def test_refused_uploads_have_their_status(client: Client, fakes: FakeServices, reason: str, status: int) -> None:
    fakes.fail("SubmitClaim", refusal("accrual.galen", reason))
    answer = await client.post(ORDERS, "18")
    assert (answer.status, answer.reason) == (status, reason)


@pytest.mark.parametrize(
    ("reason", "status"),
    [("INSUFFICIENT_POINTS", 402), ("ORDER_ALREADY_PAID", 422), ("ORDER_NUMBER_INVALID", 422), ("ACCOUNT_NOT_FOUND", 402)],
)
async def test_refused_withdrawals_have_their_status(client: Client, fakes: FakeServices, reason: str, status: int) -> None:
    fakes.fail("WithdrawPoints", refusal("balance.galen", reason))
    assert (await client.post(WITHDRAW, PAYMENT)).status == status


async def test_a_withdrawal_is_asked_for_in_hundredths(client: Client, fakes: FakeServices) -> None:
    assert (await client.post(WITHDRAW, '{"order": " 2377225624 ", "sum": 500.10, "more": null}')).status == 200
    request = fakes.called("WithdrawPoints")[0].request
    assert (request.account, request.order_number, request.amount) == (f"programs/main/accounts/{client.id}", "2377225624", 50010)


async def test_an_idempotency_key_goes_through_to_the_services(client: Client, fakes: FakeServices) -> None:
    key = str(uuid4())
    for headers in ({"Idempotency-Key": key}, {"Idempotency-Key": "text"}, {"Idempotency-Key": "text"}, {}, {}):
        await client.post(ORDERS, "18", headers=headers)
    ids = [call.request.request_id for call in fakes.called("SubmitClaim")]
    assert ids[0] == key
    assert ids[1] == ids[2]
    assert len(set(ids)) == 4
    assert all(UUID(text) for text in ids)


async def test_a_key_that_was_used_for_something_else_is_a_conflict(client: Client, fakes: FakeServices) -> None:
    fakes.fail("WithdrawPoints", RequestIdReused())
    answer = await client.post(WITHDRAW, PAYMENT, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.reason) == (409, "REQUEST_ID_REUSED")


async def test_balances_are_shown_as_exact_numbers(client: Client, fakes: FakeServices) -> None:
    account = account_pb2.Account(available=50050, lifetime_spent=4200, posted=99999, debt=5)
    fakes.answer("GetAccount", balance.GetAccountResponse(account=account))
    answer = await client.ask("GET", BALANCE)
    assert (answer.status, answer.body) == (200, b'{"current":500.5,"withdrawn":42}\n')
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_customer_without_an_account_has_nothing(client: Client, fakes: FakeServices) -> None:
    fakes.fail("GetAccount", refusal("balance.galen", "ACCOUNT_NOT_FOUND"))
    assert (await client.ask("GET", BALANCE)).json == {"current": 0, "withdrawn": 0}


@pytest.mark.parametrize("path", [ORDERS, WITHDRAWALS])
async def test_an_empty_list_has_no_content(client: Client, path: str) -> None:
    answer = await client.ask("GET", path)
    assert (answer.status, answer.body) == (204, b"")


async def test_orders_are_listed_as_they_come_with_their_points_if_there_are_any(client: Client, fakes: FakeServices) -> None:
    states = [claim_pb2.CLAIM_STATE_NEW, claim_pb2.CLAIM_STATE_PROCESSING, claim_pb2.CLAIM_STATE_INVALID, claim_pb2.CLAIM_STATE_PROCESSED]
    claims = [claim_pb2.Claim(number="18", state=state, create_time=timestamp(MOMENT)) for state in states]
    claims.append(claim_pb2.Claim(number="26", state=states[3], accrual=72998, create_time=timestamp(MOMENT)))
    fakes.answer("ListClaims", accrual.ListClaimsResponse(claims=claims))

    answer = await client.ask("GET", ORDERS)

    assert answer.status == 200
    plain = {"number": "18", "uploaded_at": "2026-01-02T03:04:05Z"}
    assert answer.json[:4] == [{**plain, "status": status} for status in ("NEW", "PROCESSING", "INVALID", "PROCESSED")]
    assert b'"accrual":729.98,' in answer.body


async def test_withdrawals_are_listed_as_they_come(client: Client, fakes: FakeServices) -> None:
    operation = operation_pb2.Operation(reference="2377225624", amount=50000, create_time=timestamp(MOMENT))
    fakes.answer("ListOperations", balance.ListOperationsResponse(operations=[operation]))

    answer = await client.ask("GET", WITHDRAWALS)

    assert answer.json == [{"order": "2377225624", "sum": 500, "processed_at": "2026-01-02T03:04:05Z"}]
    request = fakes.called("ListOperations")[0].request
    assert request.parent == f"programs/main/accounts/{client.id}"
    assert operation_pb2.OPERATION_KIND_WITHDRAWAL in request.kinds
    assert operation_pb2.OPERATION_KIND_CREDIT not in request.kinds
    assert not request.include_refused


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ORDERS), ("GET", ORDERS), ("GET", BALANCE), ("POST", WITHDRAW), ("GET", WITHDRAWALS)]
)
async def test_what_belongs_to_a_customer_needs_a_customer(
    client: Client, fakes: FakeServices, identities: Identities, method: str, path: str
) -> None:
    expired = identities.customer("ann", lifetime=timedelta(hours=-1))[0][1]
    service = identities.service("accrual")[0][1]
    statuses = []
    for header in (
        "",
        "Bearer",
        "Bearer x",
        "nonsense",
        "Basic YTpi",
        "Bearer a.b.c",
        "Bearer " + "a" * 5000,
        "Bearer \xff.b.c",
        expired,
        service,
    ):
        answer = await client.ask(method, path, headers={"Authorization": header}, data=b"")
        statuses.append((answer.status, answer.headers.get("WWW-Authenticate")))

    assert statuses == [(401, "Bearer")] * 9 + [(403, None)]
    assert fakes.calls == []


@pytest.mark.parametrize("credential", ["header", "bare header", "cookie"])
async def test_either_credential_is_accepted(client: Client, fakes: FakeServices, credential: str) -> None:
    full = client.headers.pop("Authorization")
    token = full.removeprefix("Bearer ")
    headers = {
        "header": {"Authorization": full},
        "bare header": {"Authorization": token},
        "cookie": {"Cookie": f"other=1; {COOKIE}={token}; more"},
    }[credential]
    assert (await client.ask("GET", BALANCE, headers=headers)).status == 200
    assert fakes.called("GetAccount")[0].metadata["authorization"] == full


async def test_the_header_wins_over_the_cookie(client: Client) -> None:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": "Bearer a.b.c", "Cookie": f"{COOKIE}={token}"}
    assert (await client.ask("GET", BALANCE, headers=headers)).status == 401


async def test_answers_are_for_this_client_only_and_do_not_tell_what_serves(client: Client) -> None:
    for path in (BALANCE, "/nowhere"):
        headers = (await client.ask("GET", path)).headers
        assert (headers["Cache-Control"], headers["Server"], headers["X-Content-Type-Options"]) == ("no-store", "galen", "nosniff")
