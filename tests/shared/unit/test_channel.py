"""What a channel adds to the calls that are made on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest_asyncio
from galen.customers.v1 import customer_service_pb2 as messages
from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceStub

from shared.grpc.channel import make_channel, token_file
from shared.observability.tracing import start_span, trace_id_text

SERVICES = messages.DESCRIPTOR.services_by_name
REQUEST = messages.GetCustomerRequest(name="customers/1")


class Peer:
    """Answers every GetCustomer, and keeps what came with it."""

    def __init__(self) -> None:
        self.address = ""
        self.met: list[dict[str, Any]] = []

    async def GetCustomer(self, _request: Any, context: Any) -> messages.GetCustomerResponse:
        self.met.append(dict(context.invocation_metadata()))
        return messages.GetCustomerResponse()


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    server, peer = grpc.aio.server(), Peer()
    handler = grpc.unary_unary_rpc_method_handler(
        peer.GetCustomer,
        request_deserializer=messages.GetCustomerRequest.FromString,
        response_serializer=messages.GetCustomerResponse.SerializeToString,
    )
    name = SERVICES["CustomerService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"GetCustomer": handler}),))
    peer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield peer
    await server.stop(0)


async def test_a_call_says_who_makes_it_and_goes_on_with_the_trace(peer: Peer) -> None:
    span = start_span(None)
    async with make_channel(peer.address, SERVICES.values(), lambda: "Bearer ours") as channel:
        await CustomerServiceStub(channel).GetCustomer(REQUEST, timeout=5)

    assert peer.met[0]["authorization"] == "Bearer ours"
    assert trace_id_text(span) in peer.met[0]["traceparent"]


async def test_what_a_call_says_itself_counts(peer: Peer) -> None:
    async with make_channel(peer.address, SERVICES.values(), lambda: "Bearer ours") as channel:
        metadata = (("authorization", "Bearer theirs"), ("x-other", "1"))
        await CustomerServiceStub(channel).GetCustomer(REQUEST, timeout=5, metadata=metadata)

    assert (peer.met[0]["authorization"], peer.met[0]["x-other"]) == ("Bearer theirs", "1")


async def test_who_has_no_credentials_sends_none(peer: Peer) -> None:
    async with make_channel(peer.address, SERVICES.values(), lambda: None) as channel:
        await CustomerServiceStub(channel).GetCustomer(REQUEST, timeout=5)

    assert "authorization" not in peer.met[0]


def test_a_token_that_is_replaced_is_used_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    credentials = token_file(path)
    assert [credentials(), credentials()] == ["Bearer first"] * 2

    other = tmp_path / "other"
    other.write_text("other\n")
    other.replace(path)
    assert credentials() == "Bearer other"

    path.write_text("the third\n")
    assert credentials() == "Bearer the third"
    assert token_file(None)() is None
