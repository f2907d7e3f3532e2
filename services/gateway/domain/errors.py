"""What the edge refuses by itself, a class per reason of `galen.gateway.v1.ErrorReason`; the HTTP statuses stand there."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from shared.errors import GalenError


class GatewayError(GalenError):
    """A refusal of the edge. After some, what is left of the request makes the connection useless: `closes`."""

    domain = "gateway.galen"
    closes: ClassVar[bool] = False


class MalformedRequest(GatewayError):
    reason = "MALFORMED_REQUEST"
    closes = True

    def __init__(self) -> None:
        super().__init__("the request line or the headers can not be read, or are too large")


class MalformedBody(GatewayError):
    reason = "MALFORMED_BODY"


class WrongMediaType(GatewayError):
    """The public contract knows 400 for a wrong format, not 415."""

    reason = "WRONG_MEDIA_TYPE"

    def __init__(self, wanted: str) -> None:
        super().__init__(f"the body must be {wanted}")


class InvalidHeader(GatewayError):
    reason = "INVALID_HEADER"


class RouteNotFound(GatewayError):
    reason = "ROUTE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is nothing at this path")


class MethodNotAllowed(GatewayError):
    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"this path allows {', '.join(sorted(allowed))}")
        self.allowed = allowed


class BodyTooSlow(GatewayError):
    reason = "BODY_TOO_SLOW"
    closes = True

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


class BodyTooLarge(GatewayError):
    reason = "BODY_TOO_LARGE"
    closes = True

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"a body has at most {bytes_max} bytes, unpacked")


class UnknownContentEncoding(GatewayError):
    reason = "UNKNOWN_CONTENT_ENCODING"

    def __init__(self) -> None:
        super().__init__("a body may be encoded with gzip and nothing else")


class OrderNumberInvalid(GatewayError):
    reason = "ORDER_NUMBER_INVALID"

    def __init__(self) -> None:
        super().__init__("an order number is 1 to 255 digits that pass the Luhn check")


class InvalidAmount(GatewayError):
    reason = "INVALID_AMOUNT"


class InsufficientPoints(GatewayError):
    reason = "INSUFFICIENT_POINTS"

    def __init__(self) -> None:
        super().__init__("fewer points are available than were asked for")


class ClientGone(GatewayError):
    reason = "CLIENT_GONE"
    closes = True

    def __init__(self) -> None:
        super().__init__("the connection ended before the request did")
