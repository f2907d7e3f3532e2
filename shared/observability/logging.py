"""Structured logs on stdout: readable on a terminal, JSON otherwise; configured once, before the first gRPC object exists.

(Changing logging while gRPC runs can dead-lock it: grpc/grpc#43421.)
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

import structlog

from shared.observability.line_writer import LineWriter, utc_now_text
from shared.observability.tracing import current_span, trace_id_text

SECRET_WORDS = ("password", "token", "secret", "authorization", "private_key")


def configure_logging(service: str, *, output: str, level: str) -> Callable[[], None]:
    """Sends every log line of the process, ours and the libraries', through one format. `output` is auto, console or json.

    Returns what writes the lines that are kept for a moment; the end of the interpreter does so, too.
    """
    readable = output == "console" or (output == "auto" and sys.stdout.isatty())
    shared: list[Any] = [structlog.processors.add_log_level, _stamp, _add_origin(service, readable=readable), _redact]
    if not readable:
        shared.append(structlog.processors.format_exc_info)
    renderer: Any = _console() if readable else _json()
    writer = LineWriter(sys.stdout)
    atexit.register(writer.flush)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout) if readable else lambda *_names: writer,
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(logging.StreamHandler(sys.stdout) if readable else _LinesOfLibraries(writer), shared, renderer)
    return writer.flush


def _console() -> Any:
    """Returns the readable form. Tracebacks are plain: the pretty ones show the values of variables, passwords among them."""
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=30, exception_formatter=structlog.dev.plain_traceback)


def _json() -> Any:
    """Returns the form for programs, with one encoder for all lines: `json.dumps` makes one for each."""
    encode = json.JSONEncoder(default=repr).encode
    return lambda _logger, _method, event: encode(event)


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = utc_now_text()
    return event


class _LinesOfLibraries(logging.Handler):
    """Puts the lines of libraries, which are warnings at least, among ours."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.error(self.format(record))
        except Exception:  # noqa: BLE001  as the handlers of the library do it: who logs must not fail for it
            self.handleError(record)


def _adopt_libraries(handler: logging.Handler, shared: list[Any], renderer: Any) -> None:
    final = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=final, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _add_origin(service: str, *, readable: bool) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        span = current_span.get()
        if span is not None:
            event.setdefault("trace_id", trace_id_text(span))
        if not readable:
            event["service"] = service
        return event

    return add


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if _is_secret(key):
            event[key] = "[redacted]"
    return event


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET_WORDS)
