"""Trace ids: taken from the caller's W3C `traceparent`, or made here; passed on to peers; on every log line and internal error."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import NamedTuple

TRACEPARENT = "traceparent"
_PATTERN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


class Span(NamedTuple):
    """Where in a trace we are: the ids and flags of https://www.w3.org/TR/trace-context."""

    trace_id: int
    span_id: int
    flags: int


current_span: ContextVar[Span | None] = ContextVar("current_span", default=None)


def start_span(traceparent: str | None) -> Span:
    """Begins a span of the caller's trace, or of a new one, and makes it current."""
    match = _PATTERN.fullmatch(traceparent) if traceparent else None
    trace_id, flags = (int(match[1], 16), int(match[3], 16)) if match else (0, _SAMPLED)
    # Ids need to be unique, not secret.
    span = Span(trace_id or random.getrandbits(128), random.getrandbits(64), flags)
    current_span.set(span)
    return span


def traceparent() -> str | None:
    """Returns the header that continues the current trace, None outside of one."""
    span = current_span.get()
    return None if span is None else f"00-{trace_id_text(span)}-{span.span_id:016x}-{span.flags:02x}"


def trace_id_text(span: Span) -> str:
    return f"{span.trace_id:032x}"
