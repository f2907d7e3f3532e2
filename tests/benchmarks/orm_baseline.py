"""The baseline: the withdrawal as it is usually written, a session of SQLAlchemy's ORM and a transaction for each call.

It keeps the same rules on the same tables (idempotency, one payment an order, soonest lot first, row lock), behind the same chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import balance_service_pb2_grpc, operation_pb2
from sqlalchemy import ARRAY, BigInteger, SmallInteger, select
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.balance.domain.errors import AccountNotFound, InsufficientPoints, OrderAlreadyPaid, OrderNumberInvalid
from services.balance.domain.model import Book, Kind
from services.balance.domain.names import AccountName, operation_name
from shared.errors import RequestIdReused
from shared.grpc.call import request_key
from shared.grpc.interceptor import Context
from shared.grpc.timestamps import timestamp
from shared.luhn import is_luhn_valid
from shared.requests import RequestKey


class Row(DeclarativeBase):
    type_annotation_map = {int: BigInteger, datetime: TIMESTAMP(timezone=True), list[int]: ARRAY(BigInteger)}  # noqa: RUF012


class AccountRow(Row):
    __tablename__ = "account"

    account_key: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    posted: Mapped[int]
    held: Mapped[int]
    debt: Mapped[int]
    lifetime_spent: Mapped[int]
    updated_at: Mapped[datetime]


class LotRow(Row):
    __tablename__ = "lot"

    account_key: Mapped[UUID] = mapped_column(primary_key=True)
    lot_id: Mapped[int] = mapped_column(primary_key=True)
    remaining: Mapped[int]
    held: Mapped[int]
    available_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    is_open: Mapped[bool]


class OperationRow(Row):
    __tablename__ = "operation"

    account_key: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger)
    debit_book: Mapped[int] = mapped_column(SmallInteger)
    credit_book: Mapped[int] = mapped_column(SmallInteger)
    amount: Mapped[int]
    requested_amount: Mapped[int]
    posted_after: Mapped[int]
    held_after: Mapped[int]
    reference: Mapped[str]
    actor: Mapped[str]
    request_id: Mapped[UUID]
    fingerprint: Mapped[bytes]
    created_at: Mapped[datetime]
    refusal: Mapped[int | None] = mapped_column(SmallInteger)
    lot_ids: Mapped[list[int]]
    lot_amounts: Mapped[list[int]]


class OrmServicer(balance_service_pb2_grpc.BalanceServiceServicer):
    """WithdrawPoints, and nothing else."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def WithdrawPoints(self, request: messages.WithdrawPointsRequest, context: Context) -> messages.WithdrawPointsResponse:
        if not is_luhn_valid(request.order_number):
            raise OrderNumberInvalid
        name, key = AccountName.parse(request.account), request_key(request)
        async with self._sessions.begin() as session:
            account = await session.get(AccountRow, name.key, with_for_update=True)
            if account is None:
                raise AccountNotFound
            known = await _known(session, account, key)
            operation = known or await _withdraw(session, account, name, request, key)
        return messages.WithdrawPointsResponse(operation=_message(name, operation), replayed=known is not None)


async def _known(session: AsyncSession, account: AccountRow, key: RequestKey) -> OperationRow | None:
    mine = (OperationRow.actor == key.actor, OperationRow.request_id == key.request_id)
    known = await session.scalar(select(OperationRow).where(OperationRow.account_key == account.account_key, *mine))
    if known is not None and known.fingerprint != key.fingerprint:
        raise RequestIdReused
    return known


async def _withdraw(
    session: AsyncSession, account: AccountRow, name: AccountName, request: messages.WithdrawPointsRequest, key: RequestKey
) -> OperationRow:
    now, amount = datetime.now(UTC), request.amount
    payment = (OperationRow.reference == request.order_number, OperationRow.kind == Kind.WITHDRAWAL, OperationRow.refusal.is_(None))
    paid = await session.scalar(select(OperationRow).where(OperationRow.account_key == account.account_key, *payment))
    if paid is not None:
        raise OrderAlreadyPaid(operation_name(name, paid.version))
    lots = await _spendable(session, account, now)
    available = sum(lot.remaining - lot.held for lot in lots) - account.debt
    if available < amount:
        raise InsufficientPoints(available=available, required=amount)
    uses = _take(lots, amount)
    account.version += 1
    account.posted -= amount
    account.lifetime_spent += amount
    account.updated_at = now
    operation = OperationRow(
        account_key=account.account_key, version=account.version, kind=Kind.WITHDRAWAL, debit_book=Book.CUSTOMER,
        credit_book=Book.REDEEMED, amount=amount, requested_amount=amount, posted_after=account.posted, held_after=account.held,
        reference=request.order_number, actor=key.actor, request_id=key.request_id, fingerprint=key.fingerprint, created_at=now,
        lot_ids=[lot_id for lot_id, _ in uses], lot_amounts=[used for _, used in uses],
    )  # fmt: skip
    session.add(operation)
    return operation


async def _spendable(session: AsyncSession, account: AccountRow, now: datetime) -> Sequence[LotRow]:
    """Returns the lots that can be spent, soonest to expire first."""
    spendable = (LotRow.is_open, LotRow.available_at <= now, LotRow.expires_at.is_(None) | (LotRow.expires_at > now))
    order = (LotRow.expires_at.nulls_last(), LotRow.lot_id)
    return (await session.scalars(select(LotRow).where(LotRow.account_key == account.account_key, *spendable).order_by(*order))).all()


def _take(lots: Sequence[LotRow], amount: int) -> list[tuple[int, int]]:
    uses = []
    for lot in lots:
        used = min(amount, lot.remaining - lot.held)
        if used:
            lot.remaining -= used
            lot.is_open = lot.remaining > 0
            uses.append((lot.lot_id, used))
        amount -= used
    return uses


def _message(name: AccountName, operation: OperationRow) -> operation_pb2.Operation:
    return operation_pb2.Operation(
        name=operation_name(name, operation.version),
        kind=operation_pb2.OPERATION_KIND_WITHDRAWAL,
        state=operation_pb2.OPERATION_STATE_APPLIED,
        amount=operation.amount,
        requested_amount=operation.requested_amount,
        debit_book=operation_pb2.BOOK_CUSTOMER,
        credit_book=operation_pb2.BOOK_REDEEMED,
        balance_after=operation.posted_after,
        held_after=operation.held_after,
        version=operation.version,
        reference=operation.reference,
        request_id=str(operation.request_id),
        actor=operation.actor,
        create_time=timestamp(operation.created_at),
        lots=[operation_pb2.LotUse(lot=lot, amount=amount) for lot, amount in zip(operation.lot_ids, operation.lot_amounts, strict=True)],
    )
