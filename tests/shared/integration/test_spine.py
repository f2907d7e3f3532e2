"""What the interceptor makes of calls that are wrong in every way, on a real server. The balance service stands for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata, make_identities
from shared.testing.servers import ServedService, served

if TYPE_CHECKING:  # the class exists for type checkers only
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

GET_ACCOUNT = "/galen.balance.v1.BalanceService/GetAccount"


@pytest.fixture
def ada() -> str:
    return str(uuid4())


def raw_call(server: ServedService, method: str, body: bytes, metadata: Metadata = ()) -> Awaitable[Any]:
    call: Any = server.channel.unary_unary(method)
    answer: Awaitable[Any] = call(body, metadata=metadata, timeout=5)
    return answer


async def test_a_call_without_a_token_is_told_to_bring_one(balance: BalanceServiceAsyncStub, ada: str) -> None:
    refusal = await refusal_of(balance.GetAccount(messages.GetAccountRequest(name=f"programs/main/accounts/{ada}"), timeout=5))

    assert (refusal.code, refusal.domain, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "galen", "CREDENTIALS_MISSING")


@pytest.mark.parametrize("value", ["Bearer", "Bearer x.y.z", "Basic YTpi", "", "Bearer " + "a" * 4000])
async def test_a_token_that_is_none_is_refused(balance: BalanceServiceAsyncStub, ada: str, value: str) -> None:
    request = messages.GetAccountRequest(name=f"programs/main/accounts/{ada}")

    refusal = await refusal_of(balance.GetAccount(request, metadata=(("authorization", value),), timeout=5))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")


async def test_a_token_of_other_keys_is_refused(
    balance: BalanceServiceAsyncStub, ada: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strangers = make_identities(tmp_path_factory.mktemp("strangers"))
    request = messages.GetAccountRequest(name=f"programs/main/accounts/{ada}")

    assert (await refusal_of(balance.GetAccount(request, metadata=strangers.customer(ada), timeout=5))).reason == "CREDENTIALS_INVALID"


async def test_roles_that_are_not_bound_to_their_own_read_any_account(
    balance: BalanceServiceAsyncStub, identities: Identities, ada: str
) -> None:
    name = f"programs/main/accounts/{ada}"
    create = messages.CreateAccountRequest(parent="programs/main", account_id=ada, request_id=str(uuid4()))
    await balance.CreateAccount(create, metadata=identities.service("customers"), timeout=5)

    for metadata in (identities.customer("someone", roles=("customer", "staff")), identities.service("orders"), identities.customer(ada)):
        assert (await balance.GetAccount(messages.GetAccountRequest(name=name), metadata=metadata, timeout=5)).account.name == name
    for metadata in (identities.customer("someone"), identities.service("gateway"), identities.customer(ada, roles=())):
        refusal = await refusal_of(balance.GetAccount(messages.GetAccountRequest(name=name), metadata=metadata, timeout=5))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


async def test_anothers_resource_is_denied_whether_or_not_it_exists_and_before_the_rest_is_looked_at(
    balance: BalanceServiceAsyncStub, identities: Identities, ada: str
) -> None:
    wrong_in_every_way = messages.WithdrawPointsRequest(account="programs/main/accounts/nobody", amount=-1)

    refusal = await refusal_of(balance.WithdrawPoints(wrong_in_every_way, metadata=identities.customer(ada), timeout=5))

    assert refusal.reason == "ACCESS_DENIED"


async def test_each_wrong_field_is_named(balance: BalanceServiceAsyncStub, identities: Identities, ada: str) -> None:
    request = messages.WithdrawPointsRequest(account=f"programs/main/accounts/{ada}", amount=0, order_number="x", request_id="y")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await balance.WithdrawPoints(request, metadata=identities.customer(ada), timeout=5)

    details = rpc_status.from_call(error.value).details
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in details)
    assert {violation.field for violation in bad_request.field_violations} == {"amount", "order_number", "request_id"}
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["", "x", "programs/main/accounts/", "programs//accounts/a", "programs/main/accounts/a/b", "\x00"])
async def test_a_malformed_name_is_invalid_rather_than_denied(
    balance: BalanceServiceAsyncStub, identities: Identities, ada: str, name: str
) -> None:
    refusal = await refusal_of(balance.GetAccount(messages.GetAccountRequest(name=name), metadata=identities.customer("a"), timeout=5))

    assert refusal.reason == "INVALID_REQUEST"


async def test_a_method_that_does_not_exist_is_unimplemented_with_a_reason(balance_server: ServedService) -> None:
    for method in ("/galen.balance.v1.BalanceService/Mint", "/no.such.Service/Do", "/x"):
        refusal = await refusal_of(raw_call(balance_server, method, b""))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")


async def test_bytes_that_are_no_message_are_refused_with_a_reason(balance_server: ServedService, identities: Identities) -> None:
    refusal = await refusal_of(raw_call(balance_server, GET_ACCOUNT, b"\xff\xff\xff", identities.service("orders")))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


@given(
    body=st.binary(max_size=200), method=st.sampled_from(["GetAccount", "WithdrawPoints", "ListOperations", "GetOperation", "CreditPoints"])
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_at_all_make_the_server_fail(
    balance_server: ServedService, identities: Identities, body: bytes, method: str
) -> None:
    metadata = identities.service("accrual") if method == "CreditPoints" else identities.service("orders")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await raw_call(balance_server, f"/galen.balance.v1.BalanceService/{method}", body, metadata)

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_of_more_than_a_mebibyte_is_refused_and_the_channel_stays_usable(
    balance_server: ServedService, balance: BalanceServiceAsyncStub, identities: Identities, ada: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await raw_call(balance_server, GET_ACCOUNT, b"\0" * (2 << 20), identities.service("orders"))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    request = messages.GetAccountRequest(name=f"programs/main/accounts/{ada}")
    assert (await refusal_of(balance.GetAccount(request, metadata=identities.service("orders"), timeout=5))).reason == "ACCOUNT_NOT_FOUND"


async def test_health_tells_liveness_from_readiness_and_reflection_lists_the_service(balance_server: ServedService) -> None:
    health = health_pb2_grpc.HealthStub(balance_server.channel)
    for name in ("", "liveness", "galen.balance.v1.BalanceService"):
        assert name == "liveness" or await becomes_serving(health, name)
        assert (await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)).status == health_pb2.HealthCheckResponse.SERVING

    reflection = reflection_pb2_grpc.ServerReflectionStub(balance_server.channel)
    answers = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
    answer = await answers.read()
    assert "galen.balance.v1.BalanceService" in {service.name for service in answer.list_services_response.service}


async def becomes_serving(health: health_pb2_grpc.HealthAsyncStub, name: str) -> bool:
    """Waits while the database has not been asked yet; the name is known from the first moment."""
    async for seen in health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=5):
        assert seen.status != health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        if seen.status == health_pb2.HealthCheckResponse.SERVING:
            return True
    return False


async def test_calls_are_counted_and_timed_by_method_and_code(balance_server: ServedService) -> None:
    await refusal_of(raw_call(balance_server, GET_ACCOUNT, b""))
    async with aiohttp.ClientSession() as session, session.get(f"http://{balance_server.metrics_address}/metrics") as response:
        text = await response.text()

    assert f'rpc_server_call_duration_seconds_count{{rpc_method="{GET_ACCOUNT}",rpc_status_code="UNAUTHENTICATED"}}' in text


async def test_batches_of_the_ledger_are_measured_as_those_of_any_coalescer(
    balance_server: ServedService, balance: BalanceServiceAsyncStub, identities: Identities, ada: str
) -> None:
    request = messages.GetAccountRequest(name=f"programs/main/accounts/{ada}")
    await refusal_of(balance.GetAccount(request, metadata=identities.customer(ada), timeout=5))
    async with aiohttp.ClientSession() as session, session.get(f"http://{balance_server.metrics_address}/metrics") as response:
        lines = (await response.text()).splitlines()

    assert not any(line.startswith("ledger_read_batch_calls_count 0") for line in lines)
    for name in ("ledger_read_batch_calls_count", "ledger_read_batch_calls_waiting", "ledger_post_batch_calls_count"):
        assert any(line.startswith(f"{name} ") for line in lines), name


@pytest.fixture
async def homeless_server(balance_settings: BalanceSettings) -> AsyncIterator[ServedService]:
    """A server whose database can't be reached."""
    settings = balance_settings.model_copy(update={"database_uri": "postgresql://nobody:x@127.0.0.1:1/none"})
    async with served(service_parts(BalanceContainer(settings=settings))) as server:
        yield server


async def test_without_a_database_calls_are_unavailable_and_the_process_is_live_but_not_ready(
    homeless_server: ServedService, identities: Identities, ada: str
) -> None:
    stub = BalanceServiceStub(homeless_server.channel)
    request = messages.GetAccountRequest(name=f"programs/main/accounts/{ada}")
    refusal = await refusal_of(stub.GetAccount(request, metadata=identities.customer(ada), timeout=5))
    assert refusal.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert refusal.retry_after_s

    async with aiohttp.ClientSession() as session:
        statuses = []
        for probe in ("livez", "readyz"):
            async with session.get(f"http://{homeless_server.metrics_address}/{probe}") as response:
                statuses.append(response.status)
    assert statuses == [200, 503]


async def test_a_call_whose_deadline_passed_may_have_happened_and_tells_when_it_is_repeated(
    balance: BalanceServiceAsyncStub, identities: Identities, ada: str
) -> None:
    request = messages.CreditPointsRequest(account=f"programs/main/accounts/{ada}", amount=7, reference="18", request_id=str(uuid4()))
    calls = [balance.CreditPoints(request, metadata=identities.service("accrual"), timeout=delay / 10_000) for delay in range(1, 40, 3)]
    await asyncio.gather(*calls, return_exceptions=True)

    final = await balance.CreditPoints(request, metadata=identities.service("accrual"), timeout=5)

    assert final.operation.balance_after == 7


async def test_logs_show_neither_tokens_nor_amounts(
    balance: BalanceServiceAsyncStub, identities: Identities, ada: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = identities.customer(ada)
    request = messages.WithdrawPointsRequest(
        account=f"programs/main/accounts/{ada}", amount=31337, order_number="18", request_id=str(uuid4())
    )
    await refusal_of(balance.WithdrawPoints(request, metadata=metadata, timeout=5))

    logged = ""
    async with asyncio.timeout(5):
        while "WithdrawPoints" not in logged:  # the line is written when the caller has the answer
            await asyncio.sleep(0.01)
            logged += capsys.readouterr().out
    assert metadata[0][1].split()[1] not in logged
    assert "31337" not in logged
