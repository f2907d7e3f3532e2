"""The balance service."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import grpc
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.gateway.adapters.grpc.calls import Peer, as_customer
from services.gateway.application.ports import Balance, Caller, Page, Withdrawal
from shared.grpc.errors import PeerError

# Both make up what an account spent over its life, which the balance shows.
SPENDING = (operation_pb2.OPERATION_KIND_WITHDRAWAL, operation_pb2.OPERATION_KIND_CAPTURE)


class GrpcPoints:
    def __init__(self, channel: grpc.aio.Channel, peer: Peer, page_size: int) -> None:
        self._balance = BalanceServiceStub(channel)
        self._peer = peer
        self._page_size = page_size

    async def balance(self, caller: Caller) -> Balance | None:
        request = messages.GetAccountRequest(name=_account(caller))
        try:
            account = (await self._peer.call(self._balance.GetAccount, request, as_customer(caller))).account
        except PeerError as error:
            if error.reason == "ACCOUNT_NOT_FOUND":
                return None
            raise
        return Balance(available=account.available, spent=account.lifetime_spent)

    async def withdraw(self, caller: Caller, order_number: str, amount: int, request_id: UUID) -> None:
        request = messages.WithdrawPointsRequest(
            account=_account(caller), amount=amount, order_number=order_number, request_id=str(request_id)
        )
        await self._peer.call(self._balance.WithdrawPoints, request, as_customer(caller))

    async def withdrawals(self, caller: Caller, token: str) -> Page[Withdrawal]:
        request = messages.ListOperationsRequest(parent=_account(caller), page_size=self._page_size, page_token=token, kinds=SPENDING)
        response = await self._peer.call(self._balance.ListOperations, request, as_customer(caller))
        return Page([_withdrawal(operation) for operation in response.operations], response.next_page_token)


def _account(caller: Caller) -> str:
    return f"programs/main/accounts/{caller.customer_id}"


def _withdrawal(operation: operation_pb2.Operation) -> Withdrawal:
    return Withdrawal(operation.reference, operation.amount, operation.create_time.ToDatetime(UTC))
