"""aiohttp's protocol, with our answer to what is no HTTP: that never becomes a request, so no middleware sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

# Makes the answer to an error that aiohttp met outside of a request.
AnswerError = Callable[[BaseException | None], web.Response]


class EdgeProtocol(web.RequestHandler):
    """One connection. aiohttp's own answer would name its version and repeat what the client sent; its log entry holds a stack trace."""

    __slots__ = ("_answer_error",)

    def __init__(self, server: web.Server, answer_error: AnswerError, **options: Any) -> None:
        super().__init__(server, **options)
        self._answer_error = answer_error

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002  aiohttp's guess; the error says more
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  repeats what the client sent
    ) -> web.StreamResponse:
        """Answers, and ends the connection. Raises ConnectionError if an answer has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        response = self._answer_error(exc)
        response.force_close()
        return response
