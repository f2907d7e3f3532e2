"""Callers who repeat what got no answer, and who know what must be answered.

Each has an account for itself and asks one thing after the other, so that two numbers, kept by hand, tell what must come of each command.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeAlias

import grpc
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from shared.grpc.errors import peer_error
from shared.testing.identities import Metadata
from tests.balance.world import ALLOW_NEGATIVE, Owner, new_id

# What a caller repeats. Everything else is an answer.
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
CALL_LIMIT_S = 5.0
PAUSE_S = 0.05
NOT_ENOUGH = "INSUFFICIENT_POINTS"
# Makes a request, and tells what must come of it; None if there is nothing yet that it could be about.
Rule: TypeAlias = "Callable[[], tuple[Any, str] | None]"
# By the name of a request: the method, and the field of a batch's command.
METHODS = {
    "CreditPointsRequest": ("CreditPoints", "credit"),
    "WithdrawPointsRequest": ("WithdrawPoints", "withdraw"),
    "ReservePointsRequest": ("ReservePoints", "reserve"),
    "CapturePointsRequest": ("CapturePoints", "capture"),
    "ReleasePointsRequest": ("ReleasePoints", "release"),
    "ReverseOperationRequest": ("ReverseOperation", "reverse"),
    "BatchApplyRequest": ("BatchApply", ""),
}


@dataclass(frozen=True)
class Held:
    """A hold, and what is left of it."""

    name: str
    left: int


@dataclass(frozen=True)
class Purse:
    """What a caller knows of its account: enough to tell what comes of each command. Points neither wait nor expire here."""

    posted: int = 0
    held: int = 0
    holds: tuple[Held, ...] = ()
    reversible: tuple[operation_pb2.Operation, ...] = ()

    @property
    def free(self) -> int:
        return self.posted - self.held


@dataclass(frozen=True)
class Step:
    """A request and what must be told of each of its commands; `ids` are those under which something is recorded."""

    request: Message
    caller: Metadata
    expected: Sequence[str]
    ids: Sequence[str]


class PatientCaller:
    """Somebody who asks for random things on an account of its own until the answer is there. Raises AssertionError if it is wrong."""

    def __init__(self, owner: Owner, stub: Any, chance: Random) -> None:
        self.purse = Purse()
        self.steps: list[Step] = []
        self.outages: Counter[grpc.StatusCode] = Counter()
        self.found_done = 0
        self.owner = owner
        self._stub = stub
        self._chance = chance

    async def live(self, stop: asyncio.Event) -> None:
        """Asks until `stop` is set; now and then twice at once."""
        while not stop.is_set():
            step = self._next_step() if self.steps else self._alone([self._credit])
            answers = await asyncio.gather(*[self.ask(step) for _ in range(self._chance.choice([1, 1, 1, 2]))])
            self.steps.append(step)
            for told, _ in answers:
                assert told == step.expected, f"{step.request}"
            self._learn(answers[0][1])

    async def repeat_all(self) -> None:
        """Asks everything that is recorded once more; it must be answered as before, and as a repeat."""
        for step in self.steps:
            if step.ids:
                told, results = await self.ask(step)
                assert told == step.expected, f"{step.request}"
                assert all(result.replayed for result in results if isinstance(result.operation, operation_pb2.Operation))

    async def ask(self, step: Step) -> tuple[Sequence[str], Sequence[Any]]:
        """Sends the request until it is answered; returns what was told of each command, and the results that have operations."""
        method = getattr(self._stub, METHODS[step.request.DESCRIPTOR.name][0])
        tries = 0
        while True:
            tries += 1
            try:
                response = await method(step.request, metadata=step.caller, timeout=CALL_LIMIT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    return [peer_error(error).reason], []
                self.outages[error.code()] += 1
                await asyncio.sleep(PAUSE_S)
                continue
            results = list(response.results) if isinstance(response, messages.BatchApplyResponse) else [response]
            applied = [result for result in results if result.HasField("operation")]
            self.found_done += tries > 1 and any(result.replayed for result in applied)
            return [_told(result) for result in results], applied

    # --- what is asked for, and what must come of it

    def _next_step(self) -> Step:
        if self._chance.random() < 0.15:
            return self._batch()
        return self._alone([self._credit, self._withdraw, self._reserve, self._capture, self._release, self._reverse])

    def _alone(self, rules: Sequence[Rule]) -> Step:
        request, told = self._any_of(rules)
        caller = self.owner.accrual if isinstance(request, messages.CreditPointsRequest) else self.owner.orders
        return Step(request, caller, [told], [request.request_id])

    def _batch(self) -> Step:
        before, atomic = self.purse, self._chance.random() < 0.5
        by_accrual = self._chance.random() < 0.3
        rules = [self._credit] if by_accrual else [self._withdraw, self._reserve, self._capture, self._release, self._reverse]
        made = [self._any_of(rules) for _ in range(self._chance.randint(2, 6))]
        expected, ids = [told for _, told in made], [request.request_id for request, _ in made]
        if atomic and NOT_ENOUGH in expected:
            self.purse, ids = before, []
            expected = [told if told == NOT_ENOUGH else "BATCH_ABORTED" for told in expected]
        batch = messages.BatchApplyRequest(
            parent="programs/main",
            commands=[messages.BatchCommand(**{METHODS[request.DESCRIPTOR.name][1]: request}) for request, _ in made],
            mode=messages.BATCH_MODE_ATOMIC if atomic else messages.BATCH_MODE_INDEPENDENT,
            request_id=new_id(),
        )
        return Step(batch, self.owner.accrual if by_accrual else self.owner.orders, expected, ids)

    def _any_of(self, rules: Sequence[Rule]) -> tuple[Any, str]:
        """Returns a request that can be made now."""
        while True:
            made = self._chance.choice(rules)()
            if made:
                return made

    def _credit(self) -> tuple[Any, str]:
        amount = self._chance.randint(1, 60)
        return self.owner.to_credit(amount), self._becomes(posted=amount)

    def _withdraw(self) -> tuple[Any, str]:
        amount = self._chance.randint(1, 40)
        request = self.owner.to_withdraw(amount)
        return request, self._becomes(posted=-amount) if amount <= self.purse.free else NOT_ENOUGH

    def _reserve(self) -> tuple[Any, str]:
        amount = self._chance.randint(1, 40)
        request = self.owner.to_reserve(amount)
        return request, self._becomes(held=amount) if amount <= self.purse.free else NOT_ENOUGH

    def _capture(self) -> tuple[Any, str] | None:
        hold = self._take_hold()
        if hold is None:
            return None
        amount, keep = self._chance.randint(0, hold.left), self._chance.random() < 0.4
        taken = amount or hold.left
        told = self._becomes(posted=-taken, held=-taken)
        if keep and taken < hold.left:
            self.purse = replace(self.purse, holds=(*self.purse.holds, Held(hold.name, hold.left - taken)))
        else:
            self._becomes(held=taken - hold.left)
        return self.owner.to_capture(hold.name, amount, keep_remainder=keep), told

    def _release(self) -> tuple[Any, str] | None:
        hold = self._take_hold()
        return (self.owner.to_release(hold.name), self._becomes(held=-hold.left)) if hold else None

    def _reverse(self) -> tuple[Any, str] | None:
        if not self.purse.reversible:
            return None
        operation = self._chance.choice(self.purse.reversible)
        self.purse = replace(self.purse, reversible=tuple(other for other in self.purse.reversible if other is not operation))
        amount = self._chance.randint(1, operation.amount)
        spent = operation.kind != operation_pb2.OPERATION_KIND_CREDIT
        request = self.owner.to_reverse(operation.name, amount, shortfall_policy=ALLOW_NEGATIVE)
        return request, self._becomes(posted=amount if spent else -amount)

    def _take_hold(self) -> Held | None:
        if not self.purse.holds:
            return None
        hold = self._chance.choice(self.purse.holds)
        self.purse = replace(self.purse, holds=tuple(other for other in self.purse.holds if other is not hold))
        return hold

    def _becomes(self, *, posted: int = 0, held: int = 0) -> str:
        self.purse = replace(self.purse, posted=self.purse.posted + posted, held=self.purse.held + held)
        return f"{self.purse.posted} {self.purse.held}"

    def _learn(self, results: Iterable[Any]) -> None:
        """Remembers the names of holds, and of what may be reversed."""
        for operation in [result.operation for result in results]:
            if operation.kind == operation_pb2.OPERATION_KIND_RESERVATION:
                hold = Held(f"{self.owner.account}/holds/{operation.version}", operation.amount)
                self.purse = replace(self.purse, holds=(*self.purse.holds, hold))
            elif operation.kind in {
                operation_pb2.OPERATION_KIND_CREDIT,
                operation_pb2.OPERATION_KIND_WITHDRAWAL,
                operation_pb2.OPERATION_KIND_CAPTURE,
            }:
                self.purse = replace(self.purse, reversible=(*self.purse.reversible, operation))


def _told(result: Any) -> str:
    """Returns what an answer tells of a command: the balance after it, or the reason why not."""
    if isinstance(result, messages.BatchResult) and result.HasField("error"):
        return _reason(result.error)
    return f"{result.operation.balance_after} {result.operation.held_after}"


def _reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    unpacked = [detail for detail in status.details if detail.Unpack(info)]
    return str(info.reason) if unpacked else status.message
