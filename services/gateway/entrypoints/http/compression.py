"""Answers are packed if the client asked for it and it pays."""

from __future__ import annotations

import re

from aiohttp import web

BYTES_MIN = 1024
_CODING = re.compile(r"\s*([\w*!#$%&'+.^`|~-]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?", re.ASCII | re.IGNORECASE)


def accepts_gzip(header: str) -> bool:
    """Tells whether an `Accept-Encoding` names gzip, or anything, with a weight above zero (RFC 9110, 12.5.3)."""
    weights = dict(_weights(header))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Packs an answer whose length is known, if it is long enough."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes) and len(response.body) >= BYTES_MIN:
        compress_stream(request, response)


def compress_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Packs an answer of unknown length."""
    response.headers["Vary"] = "Accept-Encoding"
    if accepts_gzip(",".join(request.headers.getall("Accept-Encoding", []))):
        response.enable_compression(web.ContentCoding.gzip)


def _weights(header: str) -> list[tuple[str, float]]:
    matches = (_CODING.fullmatch(part) for part in header.split(","))
    return [(match[1].lower(), _weight(match[2])) for match in matches if match]


def _weight(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
