"""Reads what a refused call says, the way a client would."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc

from shared.grpc.errors import PeerError, peer_error


async def refusal_of(call: Awaitable[Any]) -> PeerError:
    """Awaits a call that must fail, and returns its code, reason and metadata."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return peer_error(error)
    raise AssertionError(f"the call was not refused: {answer}")
