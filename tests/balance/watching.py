"""Someone who watches operations."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2

from shared.testing.identities import Metadata
from tests.balance.world import Owner

EVERY_ACCOUNT = "programs/main/accounts/-"
PATIENCE_S = 20.0


class Watcher:
    """What one stream has told so far; `token` is the last resume token, `token_after` that of each operation."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.operations: list[operation_pb2.Operation] = []
        self.tokens: list[str] = []
        self.token_after: dict[str, str] = {}
        self.heartbeats = 0

    @property
    def token(self) -> str:
        return self.tokens[-1]

    @property
    def names(self) -> list[str]:
        return [operation.name for operation in self.operations]

    async def hear(self, enough: Callable[[Watcher], bool], limit_s: float = PATIENCE_S) -> None:
        """Reads until `enough` is true. Raises TimeoutError, and what the call fails with."""
        async with asyncio.timeout(limit_s):
            while not enough(self):
                message = await self._call.read()
                assert isinstance(message, messages.WatchOperationsResponse), "the stream ended"
                self.tokens.append(message.resume_token)
                if message.HasField("operation"):
                    self.operations.append(message.operation)
                    self.token_after[message.operation.name] = message.resume_token
                else:
                    self.heartbeats += 1

    async def hear_operations(self, count: int) -> None:
        """Reads until so many operations were told."""
        await self.hear(lambda watcher: len(watcher.operations) >= count)

    async def hear_heartbeats(self, count: int) -> None:
        """Reads until so many more heartbeats were heard."""
        wanted = self.heartbeats + count
        await self.hear(lambda watcher: watcher.heartbeats >= wanted)


@asynccontextmanager
async def watching(stub: Any, caller: Metadata, parent: str, token: str = "", *, begun: bool = True) -> AsyncIterator[Watcher]:
    """Watches inside the block, which begins when the stream has said from where it tells."""
    call = stub.WatchOperations(messages.WatchOperationsRequest(parent=parent, resume_token=token), metadata=caller)
    watcher = Watcher(call)
    try:
        if begun:
            await watcher.hear(lambda watcher: any(watcher.tokens))
        yield watcher
    finally:
        call.cancel()


def of(watcher: Watcher, owners: Iterable[Owner]) -> list[str]:
    """Returns the names of the operations that were told, of these owners' accounts."""
    return [name for name in watcher.names if any(name.startswith(owner.account) for owner in owners)]


def assert_each_once_in_order(operations: Iterable[operation_pb2.Operation], expected: dict[str, int]) -> None:
    """Asserts that the versions of each account go from 1 to the expected one."""
    told: dict[str, list[int]] = defaultdict(list)
    for operation in operations:
        told[operation.name.partition("/operations/")[0]].append(operation.version)
    assert {account: told[account] for account in expected} == {
        account: list(range(1, version + 1)) for account, version in expected.items()
    }
