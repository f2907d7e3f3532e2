"""Reads request bodies: bounded in time and size, unpacked under the same bound, so that a small bomb does not become a large one.

aiohttp is told not to unpack (`auto_decompress`): it knows deflate too, and answers with statuses of its own.
"""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import http_exceptions, web

from services.gateway.domain.errors import BodyTooLarge, BodyTooSlow, ClientGone, MalformedBody, UnknownContentEncoding, WrongMediaType
from services.gateway.entrypoints.http.budget import Budget

GZIP_WINDOW = 16 + zlib.MAX_WBITS  # a gzip header and trailer are expected and checked


class Bodies:
    """`bytes_max` holds for what is sent and for what it unpacks to."""

    def __init__(self, bytes_max: int, limit_s: float, budget: Budget) -> None:
        self._bytes_max = bytes_max
        self._limit_s = limit_s
        self._budget = budget

    async def read(self, request: web.Request, *, media_type: str) -> bytes:
        """Returns the body. A request that doesn't say what it sends is given the benefit of the doubt.

        Raises WrongMediaType, UnknownContentEncoding, BodyTooLarge, BodyTooSlow, MalformedBody, ClientGone.
        """
        if "Content-Type" in request.headers and request.content_type != media_type:
            raise WrongMediaType(media_type)
        packed = _is_gzip(request.headers.getall("Content-Encoding", []))
        body = await self._received(request)
        self._budget.start()
        return unpacked(body, self._bytes_max) if packed else body

    async def _received(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._bytes_max:
            raise BodyTooLarge(self._bytes_max)
        try:
            async with asyncio.timeout(self._limit_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise BodyTooLarge(self._bytes_max) from error
        except TimeoutError as error:
            raise BodyTooSlow from error
        except (web.RequestPayloadError, http_exceptions.HttpProcessingError) as error:
            raise MalformedBody("the body is not what its headers promise") from error
        except ConnectionError as error:
            raise ClientGone from error


def _is_gzip(values: list[str]) -> bool:
    codings = [coding.strip().lower() for value in values for coding in value.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if codings not in ([], ["gzip"], ["x-gzip"]):
        raise UnknownContentEncoding
    return bool(codings)


def unpacked(packed: bytes, bytes_max: int) -> bytes:
    """Returns the content of one or more gzip members. Raises BodyTooLarge before more than `bytes_max` are unpacked, MalformedBody."""
    content = bytearray()
    while packed:
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            content += member.decompress(packed, bytes_max - len(content) + 1)
        except zlib.error as error:
            raise MalformedBody("the body is not gzip") from error
        if len(content) > bytes_max:
            raise BodyTooLarge(bytes_max)
        if not member.eof:
            raise MalformedBody("the gzip body is cut short")
        packed = member.unused_data
    return bytes(content)
