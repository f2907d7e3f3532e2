"""Reads of the past, of expiring lots and of streams, between the contract's messages and the domain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from galen.balance.v1 import account_pb2
from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.application.export_operations import ExportOperations
from services.balance.application.history_ports import ExpiringLot, LotPosition, PastAccount
from services.balance.application.list_expiring_lots import ListExpiringLots
from services.balance.application.ports import StatementFilter
from services.balance.application.read_past_account import ReadPastAccount
from services.balance.application.watch_operations import WatchOperations
from services.balance.domain.model import Kind, Operation
from services.balance.domain.names import AccountName, operation_name
from services.balance.entrypoints.grpc.converters import operation_message
from shared.errors import FieldViolation, InvalidRequest
from shared.grpc.page_tokens import PageTokens, page_size
from shared.grpc.timestamps import moment, timestamp

# A message grows to about that; gRPC's own limit for what a client receives is 4 MiB.
EXPORT_BYTES = 256 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def statement_filter(request: messages.ListOperationsRequest, position: list[Any] | None) -> StatementFilter:
    """Raises InvalidRequest."""
    if "\0" in request.reference:
        raise InvalidRequest("reference: no reference is like this", violations=[FieldViolation("reference", "has a zero byte")])
    return StatementFilter(
        account=AccountName.parse(request.parent),
        kinds=[Kind(kind) for kind in request.kinds],
        include_refused=request.include_refused,
        before_version=position[0] if position else None,
        limit=page_size(request.page_size),
        reference=request.reference,
        start=moment(request.start_time, "start_time", round_up=True) if request.HasField("start_time") else None,
        end=moment(request.end_time, "end_time", round_up=True) if request.HasField("end_time") else None,
    )


class HistoryConverter:
    """Answers the reads that tell more than how an account stands now."""

    def __init__(
        self, past: ReadPastAccount, lots: ListExpiringLots, watch: WatchOperations, export: ExportOperations, tokens: PageTokens
    ) -> None:
        self._past = past
        self._lots = lots
        self._watch = watch
        self._export = export
        self._tokens = tokens

    async def past_account(self, request: messages.GetAccountRequest) -> messages.GetAccountResponse:
        """Raises InvalidRequest, AccountNotFound, BeforeHistory."""
        past = await self._past.as_of(AccountName.parse(request.name), moment(request.as_of_time, "as_of_time"))
        return messages.GetAccountResponse(account=_past_account_message(past))

    async def expiring_lots(self, request: messages.ListExpiringLotsRequest) -> messages.ListExpiringLotsResponse:
        """Raises InvalidRequest, InvalidPageToken."""
        position = self._tokens.open(request)
        after = LotPosition(_EPOCH + position[0] * _MICROSECOND, UUID(position[1]), position[2]) if position else None
        before = moment(request.before_time, "before_time", round_up=True)
        page, following = await self._lots.page(AccountName.parse(request.parent), before, after, page_size(request.page_size))
        token = self._tokens.seal(request, _sealed(following)) if following else ""
        return messages.ListExpiringLotsResponse(lots=map(_expiring_lot_message, page), next_page_token=token)

    async def watched(self, request: messages.WatchOperationsRequest) -> AsyncGenerator[messages.WatchOperationsResponse, None]:
        """Raises InvalidPageToken, and what reading raises."""
        position = self._tokens.open(request)
        async with aclosing(self._watch.watch(AccountName.parse(request.parent), position[0] if position else None)) as told:
            async for one in told:
                token = "" if one.number is None else self._tokens.seal(request, [one.number])
                operation = operation_message(one.operation) if one.operation else None
                yield messages.WatchOperationsResponse(operation=operation, resume_token=token)

    async def exported(self, request: messages.ExportOperationsRequest) -> AsyncGenerator[messages.ExportOperationsResponse, None]:
        """Yields messages of a bounded size."""
        async with aclosing(self._export.export(AccountName.parse(request.parent))) as read:
            async for operations in read:
                for message in _export_messages(operations):
                    yield message


def _past_account_message(past: PastAccount) -> account_pb2.Account:
    return account_pb2.Account(
        name=str(past.name),
        posted=past.posted,
        held=past.held,
        version=past.version,
        create_time=timestamp(past.opened_at),
        update_time=timestamp(past.updated_at),
    )


def _export_messages(operations: Iterable[Operation]) -> Iterator[messages.ExportOperationsResponse]:
    """Packs operations into messages that clients take without being told to take larger ones."""
    message, size = messages.ExportOperationsResponse(), 0
    for operation in operations:
        message.operations.append(operation_message(operation))
        size += message.operations[-1].ByteSize()
        if size >= EXPORT_BYTES:
            yield message
            message, size = messages.ExportOperationsResponse(), 0
    if message.operations:
        yield message


def _sealed(position: LotPosition) -> list[Any]:
    return [(position.expires_at - _EPOCH) // _MICROSECOND, position.account_key.hex, position.lot_id]


def _expiring_lot_message(expiring: ExpiringLot) -> messages.ExpiringLot:
    lot = expiring.lot
    return messages.ExpiringLot(
        account=str(expiring.account),
        credit=operation_name(expiring.account, lot.id),
        remaining=lot.remaining,
        held=lot.held,
        expire_time=timestamp(expiring.position.expires_at),
    )
