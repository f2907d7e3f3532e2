"""Lists of any length, read page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from services.gateway.application.ports import Page

T = TypeVar("T")


async def pages(read: Callable[[str], Awaitable[Page[T]]], items_max: int) -> AsyncGenerator[Sequence[T], None]:
    """Yields the items of one page after the other, at most `items_max` in all. Raises what `read` raises."""
    token, left = "", items_max
    while left > 0:
        page = await read(token)
        yield page.items[:left]
        token, left = page.next_token, left - len(page.items)
        if not token:
            return
