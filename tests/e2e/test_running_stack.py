"""What a newcomer does with the stack that `make run` has started."""

from __future__ import annotations

import asyncio
import json
import shutil

import aiohttp
import grpc
import pytest
from galen.balance.v1 import balance_service_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from shared.observability.line_writer import LATEST_S
from shared.testing.errors import refusal_of
from shared.testing.identities import bearer
from tests.e2e.commands import banner_commands, galen, program_of, shell
from tests.e2e.secrets_in_logs import found_in_logs, secrets_of
from tests.e2e.stack_process import StackProcess

ACCOUNT = "programs/main/accounts/ada"


async def minted(stack: StackProcess, *arguments: str) -> str:
    ran = await galen("token", *arguments, "--state", str(stack.state.path))
    assert (ran.status, ran.errors) == (0, "")
    return ran.output.strip()


async def test_the_demo_walks_through_the_loop_and_everything_adds_up(stack: StackProcess) -> None:
    ran = await galen("demo", "--state", str(stack.state.path))
    assert ran.status == 0, ran.output + ran.errors
    assert "Everything adds up." in ran.output


async def test_tokens_speak_for_people_with_roles_and_for_services(stack: StackProcess) -> None:
    request = balance_service_pb2.GetAccountRequest(name=ACCOUNT)
    create = balance_service_pb2.CreateAccountRequest(
        parent="programs/main", account_id="ada", request_id="4c9f5a53-5d5b-4e8d-9a0e-ea2a2ba8c5a4"
    )
    admin, owner, staff, service, stranger, expired = await asyncio.gather(
        minted(stack, "--role", "admin", "--role", "staff"),
        minted(stack, "--customer", "ada"),
        minted(stack, "--role", "staff", "--lifetime", "90s"),
        minted(stack, "--service", "accrual"),
        minted(stack),
        minted(stack, "--customer", "ada", "--lifetime", "1s"),
    )
    async with grpc.aio.insecure_channel(stack.published["grpc"]["balance"]) as channel:
        balance = BalanceServiceStub(channel)
        await balance.CreateAccount(create, metadata=bearer(admin), timeout=10)
        for token in (owner, staff, service):
            answer = await balance.GetAccount(request, metadata=bearer(token), timeout=10)
            assert answer.account.name == ACCOUNT
        assert (await refusal_of(balance.CreateAccount(create, metadata=bearer(staff), timeout=10))).reason == "ACCESS_DENIED"
        assert (await refusal_of(balance.GetAccount(request, metadata=bearer(stranger), timeout=10))).reason == "ACCESS_DENIED"
        await asyncio.sleep(2.1)  # a second of life and one for clocks that differ
        refusal = await refusal_of(balance.GetAccount(request, metadata=bearer(expired), timeout=10))
        assert (refusal.code, refusal.message) == (grpc.StatusCode.UNAUTHENTICATED, "the token has expired")


async def test_the_banners_calls_work_as_they_are_printed(stack: StackProcess) -> None:
    """In order: register, balance, open an account, read it; the last is for grpcurl, which few have."""
    commands = banner_commands(stack.output)
    assert [program_of(command) for command in commands] == ["curl", "curl", "buf", "buf", "grpcurl"]
    register, balance, create, read = [await shell(command) for command in commands[:4]]
    assert register.output.startswith("HTTP/1.1 200"), register
    assert balance.output.startswith("HTTP/1.1 200"), balance
    assert json.loads(balance.output.splitlines()[-1]) == {"current": 0, "withdrawn": 0}
    for answer in (create, read):
        assert answer.status == 0, answer
        assert json.loads(answer.output)["account"]["name"] == "programs/main/accounts/demo"
    if shutil.which("grpcurl"):
        assert (await shell(commands[4])).status == 0


@pytest.mark.parametrize(
    ("server", "method", "request_json", "shown"),
    [
        ("balance", "galen.balance.v1.BalanceService/GetAccount", f'{{"name": "{ACCOUNT}"}}', "the resource is not yours"),
        ("accrual", "galen.accrual.v1.AccrualService/ListClaims", '{"parent": "customers/ada"}', "the resource is not yours"),
        ("customers", "galen.customers.v1.AuthService/GetJwks", "{}", '"kid"'),
    ],
)
async def test_buf_curl_lists_the_methods_of_each_server_and_calls_one(
    stack: StackProcess, server: str, method: str, request_json: str, shown: str
) -> None:
    buf, _, _ = next(command for command in banner_commands(stack.output) if program_of(command) == "buf").partition(" ")
    curl = f"{buf} curl --protocol grpc --http2-prior-knowledge"
    address = f"http://{stack.published['grpc'][server]}"
    token = await minted(stack)
    listed, called = await asyncio.gather(
        shell(f"{curl} --list-methods {address}"),
        shell(f"{curl} -H 'Authorization: Bearer {token}' -d '{request_json}' {address}/{method}"),
    )
    assert method in listed.output.splitlines(), listed
    assert shown in called.output + called.errors, called


async def test_no_log_tells_a_password_or_a_token(stack: StackProcess) -> None:
    """At the level of debug, with right and wrong credentials, in places where they belong and where they don't."""
    password, wrong_password, misplaced, forged = (f"canary-{word}-5f0b" for word in ("right", "wrong", "misplaced", "forged"))
    token = await minted(stack, "--role", "staff")
    async with aiohttp.ClientSession(stack.published["edge"], timeout=aiohttp.ClientTimeout(total=10)) as session:
        right = {"login": "log-reader", "password": password}
        answers = [
            await session.post("/api/user/register", json=right),
            await session.post("/api/user/login", json={**right, "password": wrong_password}),
            await session.post("/api/user/login", data=f'{{"login": "log-reader", "password": "{misplaced}"'),
            await session.post("/api/user/login", json={"login": 1, "password": [misplaced]}),
            await session.get("/api/user/balance", headers={"Authorization": f"Bearer {forged}"}),
            await session.get("/api/user/balance", headers={"Cookie": f"galen_token={forged}"}),
            await session.get("/api/user/balance", headers={"Authorization": f"Bearer {token}"}),
        ]
    assert [answer.status for answer in answers] == [200, 401, 400, 400, 401, 401, 200]
    granted = answers[0].headers["Authorization"].removeprefix("Bearer ")
    secrets = {password, wrong_password, misplaced, forged, token, granted}
    await asyncio.sleep(20 * LATEST_S)  # each process writes its lines by itself
    assert found_in_logs(stack, {"/api/user/login"}), "the search finds nothing at all"
    assert found_in_logs(stack, secrets | secrets_of(stack)) == []
