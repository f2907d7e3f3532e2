"""What can be wrong with a request before any service is asked: faults of HTTP itself, or of what the routes of this edge expect.

EdgeError               domain `gateway.galen`; the HTTP status stands here, since no contract of a service knows these
+-- MalformedRequest, MalformedBody, WrongMediaType, InvalidHeader (400)
+-- RouteNotFound (404), MethodNotAllowed (405)
+-- BodyTooSlow (408), BodyTooLarge (413), UnknownEncoding (415)
+-- InvalidAmount (422)
+-- ClientGone (499, seen in logs and metrics only)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from shared.errors import GalenError


class EdgeError(GalenError):
    """A refusal of the edge. After some, what is left of the request makes the connection useless: `closes`."""

    domain = "gateway.galen"
    http_status: ClassVar[int] = 400
    closes: ClassVar[bool] = False


class MalformedRequest(EdgeError):
    reason = "MALFORMED_REQUEST"
    closes = True

    def __init__(self) -> None:
        super().__init__("the request line or the headers can not be read, or are too large")


class MalformedBody(EdgeError):
    reason = "MALFORMED_BODY"


class WrongMediaType(EdgeError):
    """The public contract knows 400 for a wrong format, not 415."""

    reason = "WRONG_MEDIA_TYPE"

    def __init__(self, wanted: str) -> None:
        super().__init__(f"the body must be {wanted}")


class InvalidHeader(EdgeError):
    reason = "INVALID_HEADER"


class RouteNotFound(EdgeError):
    reason = "ROUTE_NOT_FOUND"
    http_status = 404

    def __init__(self) -> None:
        super().__init__("there is nothing at this path")


class MethodNotAllowed(EdgeError):
    reason = "METHOD_NOT_ALLOWED"
    http_status = 405

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"this path allows {', '.join(sorted(allowed))}")
        self.allowed = allowed


class BodyTooSlow(EdgeError):
    reason = "BODY_TOO_SLOW"
    http_status = 408
    closes = True

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


class BodyTooLarge(EdgeError):
    reason = "BODY_TOO_LARGE"
    http_status = 413
    closes = True

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"a body has at most {bytes_max} bytes, unpacked")


class UnknownEncoding(EdgeError):
    reason = "UNKNOWN_CONTENT_ENCODING"
    http_status = 415

    def __init__(self) -> None:
        super().__init__("a body may be encoded with gzip and nothing else")


class InvalidAmount(EdgeError):
    reason = "INVALID_AMOUNT"
    http_status = 422


class ClientGone(EdgeError):
    reason = "CLIENT_GONE"
    http_status = 499
    closes = True

    def __init__(self) -> None:
        super().__init__("the connection ended before the request did")
