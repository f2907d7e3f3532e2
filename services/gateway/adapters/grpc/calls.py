"""How the edge calls a service: within the request's time, as the customer, with failures turned back into errors with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from services.gateway.application.ports import Caller
from shared.grpc.call import remaining_s
from shared.grpc.errors import peer_error

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


class Peer:
    """Calls with a time limit of their own; the incoming request's is kept as well."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q, metadata: Mapping[str, str]) -> R:
        """Raises PeerError, DeadlineExceeded."""
        try:
            return await method(request, timeout=remaining_s(self._limit_s), metadata=tuple(metadata.items()))
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from None


def as_customer(caller: Caller) -> Mapping[str, str]:
    return {"authorization": f"Bearer {caller.token}"}
