"""Answers with lists of any length: a page as soon as it is there, so that neither side holds them all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import structlog
from aiohttp import web

from services.gateway.entrypoints.http.compression import compress_stream
from shared.errors import GalenError

log = structlog.get_logger()

T = TypeVar("T")
Render = Callable[[T], str]


async def history(request: web.Request, pages: AsyncGenerator[Sequence[T], None], render: Render[T]) -> web.StreamResponse:
    """Answers 204 for an empty list, else with a JSON array. Raises what `pages` raises before the answer has begun.

    A later failure can't become a status any more: the connection is cut, so that a part is never taken for the whole.
    """
    async with aclosing(pages):
        first = await anext(pages, ())
        if not first:
            return web.Response(status=204)
        second = await anext(pages, None)
        begin = "[" + ",".join(map(render, first))
        if second is None:
            return web.Response(text=begin + "]\n", content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        compress_stream(request, response)
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(request, response, pages, render, begin + _more(second, render))
        return response


async def _write(
    request: web.Request, response: web.StreamResponse, pages: AsyncGenerator[Sequence[T], None], render: Render[T], begin: str
) -> None:
    try:
        await response.write(begin.encode())
        async for page in pages:
            await response.write(_more(page, render).encode())
        await response.write(b"]\n")
    except GalenError as error:
        log.warning("a list was cut short", reason=error.reason, route=request.path)
        if request.transport is not None:
            request.transport.abort()


def _more(page: Sequence[T], render: Render[T]) -> str:
    return "".join("," + render(item) for item in page)
