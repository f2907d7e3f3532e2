"""A watcher who stops reading, or never goes, does not stay for ever: its connection grows old."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.grpc import server as servers
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.histories import new_account, write_long_history
from tests.e2e.stack_process import until

PATIENCE_S = 30.0
# In milliseconds: minutes in earnest.
SOON_OLD = {"grpc.max_connection_age_ms": 1500, "grpc.max_connection_age_grace_ms": 500}
# What a caller does not read fills this much, and then the server has to wait.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 << 10))


async def drain(call: Any, heard: list[Any]) -> None:
    while True:
        heard.append(await call.read())


async def test_a_watcher_who_stops_reading_is_let_go_when_its_connection_is_old(
    history_settings: BalanceSettings, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dict(servers.OPTIONS)["grpc.max_connection_age_ms"] + dict(servers.OPTIONS)["grpc.max_connection_age_grace_ms"] < 600_000
    monkeypatch.setattr(servers, "OPTIONS", tuple({**dict(servers.OPTIONS), **SOON_OLD}.items()))
    name = new_account()
    container = BalanceContainer(settings=history_settings)

    def streams() -> Any:
        return container.registry().get_sample_value("rpc_server_streams_open")

    async with served(service_parts(container)) as server, grpc.aio.insecure_channel(server.address, options=NARROW) as channel:
        stub: Any = BalanceServiceStub(channel)
        staff = identities.customer("staff-1", roles=("staff",))
        call = stub.WatchOperations(messages.WatchOperationsRequest(parent=str(name)), metadata=staff)
        assert (await call.read()).resume_token
        await write_long_history(history_settings.database_uri, name, 5000)
        assert streams() == 1

        await until(lambda: streams() == 0, within_s=PATIENCE_S, otherwise="it is still there")

        heard: list[Any] = []
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await drain(call, heard)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert len(heard) < 5000
