"""Trace ids: taken from the caller's W3C `traceparent`, or made here; passed on to peers; on every log line and internal error."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar

from opentelemetry.trace import SpanContext, TraceFlags, format_span_id, format_trace_id

TRACEPARENT = "traceparent"
_PATTERN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

current_span: ContextVar[SpanContext | None] = ContextVar("current_span", default=None)


def start_span(traceparent: str | None) -> SpanContext:
    """Begins a span of the caller's trace, or of a new one, and makes it current."""
    match = _PATTERN.fullmatch(traceparent) if traceparent else None
    trace_id = int(match[1], 16) if match else 0
    flags = TraceFlags(int(match[3], 16)) if match else TraceFlags(TraceFlags.SAMPLED)
    # Ids need to be unique, not secret.
    span = SpanContext(trace_id or random.getrandbits(128), random.getrandbits(64), is_remote=False, trace_flags=flags)
    current_span.set(span)
    return span


def traceparent() -> str | None:
    """Returns the header that continues the current trace, None outside of one."""
    span = current_span.get()
    if span is None:
        return None
    return f"00-{format_trace_id(span.trace_id)}-{format_span_id(span.span_id)}-{span.trace_flags:02x}"


def trace_id_text(span: SpanContext) -> str:
    return format_trace_id(span.trace_id)
