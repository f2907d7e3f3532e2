"""Batches: their commands are requests that could be sent alone, and their results what those would have been answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from galen.balance.v1 import balance_service_pb2 as messages

from services.balance.application.apply_batch import Result, Wish
from services.balance.domain.commands import Command
from services.balance.domain.names import AccountName
from services.balance.entrypoints.grpc import commands
from services.balance.entrypoints.grpc.converters import operation_message
from shared.auth.principal import Principal
from shared.errors import AccessDenied, FieldViolation, GalenError, InvalidRequest
from shared.grpc.contract import read_contracts
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.policy import admit


class BatchConverter:
    """Turns the commands of a batch into wishes. Who may send a command alone may send it in a batch, nobody else."""

    def __init__(self, catalogue: ErrorCatalogue) -> None:
        self._catalogue = catalogue
        service = messages.DESCRIPTOR.services_by_name["BalanceService"]
        self._contracts = read_contracts([service])
        self._prefix = f"/{service.full_name}/"

    def wishes(self, request: messages.BatchApplyRequest, caller: Principal) -> Sequence[Wish]:
        """Raises InvalidRequest if a command is about another programme's account."""
        for place, command in enumerate(request.commands):
            kind = command.WhichOneof("command") or ""
            _check_parent(request.parent, getattr(command, kind), f"commands[{place}].{kind}")
        return [self._wish(command, caller) for command in request.commands]

    def openings(self, request: messages.ImportBalancesRequest) -> Sequence[Wish]:
        """Raises InvalidRequest if an opening is about another programme's account."""
        for place, opening in enumerate(request.openings):
            _check_parent(request.parent, opening, f"openings[{place}]")
        return [commands.opening(opening) for opening in request.openings]

    def results(self, results: Iterable[Result]) -> Sequence[messages.BatchResult]:
        return [self._result(result) for result in results]

    def _wish(self, command: messages.BatchCommand, caller: Principal) -> Wish:
        kind = command.WhichOneof("command") or ""
        method, convert = _COMMANDS[kind]
        try:
            admit(self._contracts[self._prefix + method], caller)
            return convert(getattr(command, kind), caller)
        except (AccessDenied, InvalidRequest) as error:
            return error

    def _result(self, result: Result) -> messages.BatchResult:
        if isinstance(result, GalenError):
            return messages.BatchResult(error=self._catalogue.status(result))
        return messages.BatchResult(operation=operation_message(result.operation), replayed=result.replayed)


def account_names(request: messages.BatchGetAccountsRequest) -> Sequence[AccountName]:
    """Raises InvalidRequest if an account is another programme's."""
    for place, name in enumerate(request.names):
        _check_inside(request.parent, name, f"names[{place}]")
    return [AccountName.parse(name) for name in request.names]


_COMMANDS: dict[str, tuple[str, Callable[[Any, Principal], Command]]] = {
    "credit": ("CreditPoints", lambda request, _: commands.credit(request)),
    "withdraw": ("WithdrawPoints", lambda request, _: commands.withdraw(request)),
    "reserve": ("ReservePoints", commands.reserve),
    "capture": ("CapturePoints", lambda request, _: commands.capture(request)),
    "release": ("ReleasePoints", lambda request, _: commands.release(request)),
    "reverse": ("ReverseOperation", lambda request, _: commands.reverse(request)),
}


def _check_parent(parent: str, request: Any, path: str) -> None:
    """Raises InvalidRequest unless the resource that the command is about lies in the batch's programme."""
    field = next(name for name in ("account", "hold", "operation") if name in request.DESCRIPTOR.fields_by_name)
    _check_inside(parent, getattr(request, field), f"{path}.{field}")


def _check_inside(parent: str, name: str, path: str) -> None:
    if not name.startswith(f"{parent}/"):
        raise InvalidRequest(f"{path}: belongs to another programme", violations=[FieldViolation(path, f"must begin with {parent}/")])
