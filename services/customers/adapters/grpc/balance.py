"""The balance service as a peer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from shared.errors import Unavailable
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import peer_error

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

PROGRAM = "programs/main"
CALL_LIMIT_S = 3.0


class BalanceAccounts:
    """Opens accounts by BalanceService. To be used inside `opened`: a channel belongs to the loop that it was made in."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._balance: BalanceServiceAsyncStub | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BalanceAccounts]:
        services = messages.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._balance = BalanceServiceStub(channel)
            try:
                yield self
            finally:
                self._balance = None

    async def open(self, customer_id: UUID, request_id: UUID) -> None:
        """Raises PeerError, Unavailable."""
        if self._balance is None:
            raise Unavailable("the channel to the balance service is closed")
        request = messages.CreateAccountRequest(parent=PROGRAM, account_id=str(customer_id), request_id=str(request_id))
        try:
            await self._balance.CreateAccount(request, timeout=remaining_s(CALL_LIMIT_S))
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from error
