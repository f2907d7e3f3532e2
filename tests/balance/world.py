"""The owner of an account, and what they, the orders service, accrual and an admin ask of the ledger over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any, TypeAlias
from uuid import uuid4

import grpc
import psycopg
from galen.balance.v1 import account_pb2, hold_pb2, operation_pb2
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from google.protobuf.message import Message

from services.balance.domain.names import AccountName
from shared.grpc.errors import PeerError, peer_error
from shared.luhn import with_check_digit
from shared.testing.identities import Identities, Metadata
from tests.balance.invariants import Stored, check_account
from tests.balance.stored import read_stored

Call: TypeAlias = "Awaitable[Any]"
REJECT = messages.SHORTFALL_POLICY_REJECT
CLAMP = messages.SHORTFALL_POLICY_CLAMP
ALLOW_NEGATIVE = messages.SHORTFALL_POLICY_ALLOW_NEGATIVE


def new_id() -> str:
    return str(uuid4())


def order_number() -> str:
    return with_check_digit(str(uuid4().int))


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def until(moment: datetime) -> None:
    """Sleeps until just after a moment."""
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 0.02)


class Owner:
    """The owner of an account, a new one unless it is named; calls go to the servers in turn. A request can be sent more than once."""

    def __init__(self, stubs: Sequence[BalanceServiceStub], identities: Identities, uri: str, name: AccountName | None = None) -> None:
        self.name = name or AccountName("main", new_id())
        self.id = self.name.account_id
        self.account = str(self.name)
        self.identities = identities
        self.me = identities.customer(self.id)
        self.orders = identities.service("orders")
        self.accrual = identities.service("accrual")
        self._stubs = cycle(stubs)
        self._uri = uri

    def send(self, request: Message, caller: Metadata | None = None) -> Call:
        """Sends a request as `caller`; by default as the one who usually does."""
        method, usual = {
            "CreditPointsRequest": ("CreditPoints", self.accrual),
            "WithdrawPointsRequest": ("WithdrawPoints", self.me),
            "ReservePointsRequest": ("ReservePoints", self.orders),
            "ExtendHoldRequest": ("ExtendHold", self.orders),
            "CapturePointsRequest": ("CapturePoints", self.orders),
            "ReleasePointsRequest": ("ReleasePoints", self.orders),
            "ReverseOperationRequest": ("ReverseOperation", self.orders),
            "GetAccountRequest": ("GetAccount", self.me),
            "GetHoldRequest": ("GetHold", self.me),
        }[request.DESCRIPTOR.name]
        call: Call = getattr(next(self._stubs), method)(request, metadata=usual if caller is None else caller, timeout=30)
        return call

    # --- requests

    def to_credit(self, amount: int, **fields: Any) -> messages.CreditPointsRequest:
        return messages.CreditPointsRequest(
            **{"account": self.account, "amount": amount, "reference": "18", "request_id": new_id(), **fields}
        )

    def to_withdraw(self, amount: int, **fields: Any) -> messages.WithdrawPointsRequest:
        given = {"account": self.account, "amount": amount, "order_number": order_number(), "request_id": new_id(), **fields}
        return messages.WithdrawPointsRequest(**given)

    def to_reserve(self, amount: int, **fields: Any) -> messages.ReservePointsRequest:
        return messages.ReservePointsRequest(
            **{"account": self.account, "amount": amount, "reference": "26", "request_id": new_id(), **fields}
        )

    def to_extend(self, hold: str, **fields: Any) -> messages.ExtendHoldRequest:
        return messages.ExtendHoldRequest(**{"hold": hold, "request_id": new_id(), **fields})

    def to_capture(self, hold: str, amount: int = 0, **fields: Any) -> messages.CapturePointsRequest:
        return messages.CapturePointsRequest(**{"hold": hold, "amount": amount, "request_id": new_id(), **fields})

    def to_release(self, hold: str, **fields: Any) -> messages.ReleasePointsRequest:
        return messages.ReleasePointsRequest(**{"hold": hold, "request_id": new_id(), **fields})

    def to_reverse(self, operation: str, amount: int = 0, **fields: Any) -> messages.ReverseOperationRequest:
        given = {"operation": operation, "amount": amount, "shortfall_policy": REJECT, "request_id": new_id(), **fields}
        return messages.ReverseOperationRequest(**given)

    # --- what usually happens first

    async def credit(self, amount: int, **fields: Any) -> operation_pb2.Operation:
        return operation_of(await self.send(self.to_credit(amount, **fields)))

    async def withdraw(self, amount: int, **fields: Any) -> operation_pb2.Operation:
        return operation_of(await self.send(self.to_withdraw(amount, **fields)))

    async def reserve(self, amount: int, **fields: Any) -> str:
        """Returns the hold's name."""
        hold: str = (await self.send(self.to_reserve(amount, **fields))).hold
        return hold

    # --- what is there

    async def read(self) -> account_pb2.Account:
        account: account_pb2.Account = (await self.send(messages.GetAccountRequest(name=self.account))).account
        return account

    async def available(self) -> int:
        available: int = (await self.read()).available
        return available

    async def hold(self, name: str) -> hold_pb2.Hold:
        hold: hold_pb2.Hold = (await self.send(messages.GetHoldRequest(name=name))).hold
        return hold

    async def stored(self) -> Stored:
        """Returns all that the tables say of the account, which must obey every rule."""
        stored = await read_stored(self._uri, self.name)
        check_account(stored)
        return stored

    async def set_min_balance(self, amount: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._uri) as connection:
            await connection.execute("update balance.account set min_balance = %s where account_key = %s", [amount, self.name.key])

    async def set_riches(self, amount: int) -> None:
        """Makes an only lot, and with it the account, that large: no test earns the largest balance by credits."""
        async with await psycopg.AsyncConnection.connect(self._uri) as connection:
            await connection.execute(
                "update balance.lot set amount = %s, remaining = %s where account_key = %s", [amount, amount, self.name.key]
            )
            await connection.execute("update balance.account set posted = %s where account_key = %s", [amount, self.name.key])


def operation_of(response: Any) -> operation_pb2.Operation:
    """Returns the operation of any write's response."""
    operation: operation_pb2.Operation = response.operation
    return operation


async def outcome(call: Call) -> str:
    """Returns `applied`, `replayed` or the reason of the refusal."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return peer_error(error).reason
    return "replayed" if response.replayed else "applied"


async def refused_without_effect(owner: Owner, request: Message, caller: Metadata | None = None) -> PeerError:
    """Sends a request that must be refused and must not change the account, which exists; returns the refusal."""
    before = await owner.stored()
    try:
        answer = await owner.send(request, caller)
    except grpc.aio.AioRpcError as error:
        after = await owner.stored()
        assert (after.account.posted, after.account.held, after.account.debt) == (
            before.account.posted,
            before.account.held,
            before.account.debt,
        )
        assert (after.lots, after.holds) == (before.lots, before.holds)
        return peer_error(error)
    raise AssertionError(f"it was not refused: {answer}")
