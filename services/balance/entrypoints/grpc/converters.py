"""Between the contract's messages and the domain."""

from __future__ import annotations

from galen.balance.v1 import account_pb2, balance_service_pb2, error_reason_pb2, hold_pb2, operation_pb2

from services.balance.application.ports import AccountView
from services.balance.application.programs import Program
from services.balance.domain.model import Hold, Operation, Refusal
from services.balance.domain.names import AccountName, hold_name, operation_name
from shared.grpc.timestamps import timestamp

APPLIED = operation_pb2.OPERATION_STATE_APPLIED
REFUSED = operation_pb2.OPERATION_STATE_REFUSED


def account_message(view: AccountView) -> account_pb2.Account:
    account = view.account
    message = account_pb2.Account(
        name=str(account.name),
        posted=account.posted,
        held=account.held,
        available=view.available,
        pending=view.pending,
        lifetime_earned=account.lifetime_earned,
        lifetime_spent=account.lifetime_spent,
        debt=account.debt,
        version=account.version,
        etag=f'"{account.version}"',
        create_time=timestamp(account.created_at),
        update_time=timestamp(account.updated_at),
        min_balance=account.min_balance,
    )
    if view.next_expiry:
        time, points = view.next_expiry
        message.next_expiry.CopyFrom(account_pb2.NextExpiry(time=timestamp(time), points=points))
    return message


def hold_message(account: AccountName, hold: Hold) -> hold_pb2.Hold:
    return hold_pb2.Hold(
        name=hold_name(account, hold.id),
        state=hold_pb2.HoldState.ValueType(hold.state),
        amount=hold.amount,
        remaining=hold.remaining,
        captured=hold.captured,
        released=hold.amount - hold.captured - hold.remaining,
        reference=hold.reference,
        expire_time=timestamp(hold.expires_at) if hold.expires_at else None,
    )


def operation_message(operation: Operation) -> operation_pb2.Operation:
    return operation_pb2.Operation(
        name=operation_name(operation.account, operation.version),
        kind=operation_pb2.OperationKind.ValueType(operation.kind),
        state=APPLIED if operation.refusal is None else REFUSED,
        amount=operation.amount,
        requested_amount=operation.requested_amount,
        debit_book=operation_pb2.Book.ValueType(operation.debit_book),
        credit_book=operation_pb2.Book.ValueType(operation.credit_book),
        balance_after=operation.posted_after,
        held_after=operation.held_after,
        version=operation.version,
        reference=operation.reference,
        request_id=str(operation.request_id),
        actor=operation.actor,
        create_time=timestamp(operation.created_at),
        refusal_reason=_reason(operation.refusal),
        related_operation=operation_name(operation.account, operation.related_version) if operation.related_version else "",
        lots=[operation_pb2.LotUse(lot=lot_id, amount=amount) for lot_id, amount in operation.lots],
        debt_change=operation.debt_change,
    )


def _reason(refusal: Refusal | None) -> error_reason_pb2.ErrorReason.ValueType:
    return error_reason_pb2.ErrorReason.ValueType(refusal or 0)


def program_message(program: Program) -> balance_service_pb2.Program:
    return balance_service_pb2.Program(name=f"programs/{program.id}", title=program.title, create_time=timestamp(program.created_at))
