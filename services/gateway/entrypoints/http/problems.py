"""Turns whatever a request ended with into an answer (RFC 9457) that shows nothing internal."""

from __future__ import annotations

import json
import math
from http import HTTPStatus

import structlog
from aiohttp import http_exceptions, web

from services.gateway.domain.errors import GatewayError, MalformedBody, MalformedRequest, MethodNotAllowed, RouteNotFound
from shared.errors import DeadlineExceeded, GalenError, Internal
from shared.grpc.errors import ErrorCatalogue

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://errors.galen/"
# Reasons that tell of a mistake in how the edge calls a service: nothing that its own caller did or could change.
OUR_MISTAKES = frozenset({"MALFORMED_MESSAGE", "INVALID_PAGE_TOKEN", "UNKNOWN_METHOD"})


class Problems:
    """Knows the HTTP status of every reason, from the contracts."""

    def __init__(self, catalogue: ErrorCatalogue) -> None:
        self._catalogue = catalogue

    def known(self, error: Exception, trace_id: str) -> GalenError:
        """Returns the error as one with a reason; an unexpected one becomes Internal, and is logged."""
        if isinstance(error, web.HTTPException):
            return _of_aiohttp(error)
        if isinstance(error, http_exceptions.HttpProcessingError):
            return MalformedRequest()
        if isinstance(error, TimeoutError):
            return DeadlineExceeded()
        if isinstance(error, GalenError) and self._status(error) is not None and error.reason not in OUR_MISTAKES:
            return error
        log.error("unexpected error", exc_info=error)
        return Internal(trace_id)

    def answer(self, error: GalenError, trace_id: str) -> web.Response:
        """Returns the answer to a known error."""
        status = self._status(error) or 500
        problem = {
            "type": f"{TYPE_PREFIX}{error.domain}/{error.reason}",
            "title": error.reason.replace("_", " ").capitalize(),
            "status": status,
            "detail": error.message,
            "reason": error.reason,
            "trace_id": trace_id,
        }
        response = web.Response(status=status, text=json.dumps(problem) + "\n", content_type=MEDIA_TYPE)
        _add_headers(response, error)
        return response

    def _status(self, error: GalenError) -> int | None:
        rule = self._catalogue.rule(error.domain, error.reason)
        return rule.http_status if rule else None


def _of_aiohttp(error: web.HTTPException) -> GatewayError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(error.allowed_methods)
    if error.status == HTTPStatus.NOT_FOUND:
        return RouteNotFound()
    return MalformedBody(error.reason)


def _add_headers(response: web.Response, error: GalenError) -> None:
    if response.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed))
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif response.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers["Retry-After"] = "1"
    if isinstance(error, GatewayError) and error.closes:
        response.force_close()
