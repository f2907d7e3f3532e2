"""One HTTP/2 connection that makes gRPC calls in a closed loop, without the socket: bytes that came go in, bytes to send come out."""

from __future__ import annotations

import struct
from collections import deque
from typing import Protocol

import grpc

from tests.benchmarks import http2_frames as h2

STATUS_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
NO_STATUS, RESET = "NO_STATUS", "RST_STREAM"
# Room that the peer is given: for a stream all there can be, for a connection this much, given again when half of it is used.
RECEIVE_WINDOW = 1 << 24
STATUSES_REMEMBERED_MAX = 1000


class LoadFailed(Exception):
    """The load could not be kept up: a connection broke, or a server refused to speak on."""


class Calls(Protocol):
    """What to send, and what came of it."""

    def next_body(self, now: float) -> bytes | None:
        """Returns the message of the next call; None if there are to be no more."""

    def put_back(self, body: bytes) -> None:
        """Takes a message that was sent but that the server says it did not look at."""

    def record(self, status: str, began: float, ended: float) -> None:
        """Counts a call that ended, with its status by name, NO_STATUS or RST_STREAM."""


class Connection:
    """Keeps `share` calls in flight for as long as `calls` has more. `block` is the header block of them all.

    All methods raise LoadFailed when the server ends the connection with an error or can't take such calls.
    """

    def __init__(self, calls: Calls, block: bytes, share: int, *, receive_window: int = RECEIVE_WINDOW) -> None:
        self._calls = calls
        self._headers_begin = h2.frame(h2.HEADERS, h2.END_HEADERS, 0, block)[:5]
        self._block = block
        self._share = share
        self._receive_window = receive_window
        self._received = 0
        self._send_window = h2.INITIAL_WINDOW
        self._next_stream = 1
        self._open: dict[int, tuple[float, bytes]] = {}  # began when, with which body
        self._out: list[bytes] = []
        self._blocked: deque[bytes] = deque()  # waits for the peer to make room
        self._unread = b""
        self._partial: tuple[int, bytes] | None = None  # flags and beginning of a header block that goes on
        self._statuses: dict[bytes, str] = {}  # by trailers, which are nearly always the same
        self._welcomed = self._goodbye = False

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer."""
        return len(self._open)

    @property
    def finished(self) -> bool:
        """Whether all that was sent is answered and no more will be."""
        return not self._open and (self._welcomed or self._goodbye)

    def greet(self) -> bytes:
        """Returns the first bytes to send. Calls begin when the server has said how many it takes."""
        own = {h2.HEADER_TABLE_SIZE: 0, h2.ENABLE_PUSH: 0, h2.INITIAL_WINDOW_SIZE: h2.WINDOW_MAX}
        more = self._receive_window - h2.INITIAL_WINDOW
        return h2.PREFACE + h2.settings(own) + (h2.window_update(0, more) if more > 0 else b"")

    def receive(self, data: bytes, now: float) -> bytes:
        """Takes what came; returns what to send."""
        data = self._unread + data if self._unread else data
        at, end = 0, len(data)
        while at + h2.FRAME_HEADER_SIZE <= end:
            word, flags, stream = h2.FRAME_HEADER.unpack_from(data, at)
            begin = at + h2.FRAME_HEADER_SIZE
            following = begin + (word >> 8)
            if following > end:
                break
            kind = word & 0xFF
            if kind == h2.DATA:
                self._received += word >> 8
            elif kind == h2.HEADERS and flags & h2.END_HEADERS:
                if flags & h2.END_STREAM:
                    self._end_call(stream, self._status(h2.block_of(flags, data[begin:following])), now)
            elif kind != h2.WINDOW_UPDATE or stream == 0:
                self._take_rare(kind, flags, stream, data[begin:following], now)
            at = following
        self._unread = data[at:]
        return self._send_more(now)

    def _status(self, block: bytes) -> str:
        name = self._statuses.get(block)
        if name is None:
            code = h2.grpc_status(block)
            name = NO_STATUS if code is None else STATUS_NAMES[code]
            if len(self._statuses) < STATUSES_REMEMBERED_MAX:
                self._statuses[block] = name
        return name

    def _end_call(self, stream: int, status: str, now: float) -> None:
        call = self._open.pop(stream, None)
        if call is not None:
            self._calls.record(status, call[0], now)

    def _send_more(self, now: float) -> bytes:
        if self._received > self._receive_window // 2:
            self._out.append(h2.window_update(0, self._received))
            self._received = 0
        while len(self._open) < self._share and self._welcomed and not self._goodbye:
            body = self._calls.next_body(now)
            if body is None:
                break
            self._open[self._next_stream] = now, body
            self._write_call(h2.message(body))
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _write_call(self, message: bytes) -> None:
        number = self._next_stream
        self._next_stream += 2
        self._out += (self._headers_begin, number.to_bytes(4, "big"), self._block)
        data = h2.frame(h2.DATA, h2.END_STREAM, number, message)
        if self._blocked or len(message) > self._send_window:
            self._blocked.append(data)
        else:
            self._send_window -= len(message)
            self._out.append(data)

    def _take_rare(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> None:
        """Takes the frames that don't come with every call."""
        if kind == h2.WINDOW_UPDATE:
            self._send_window += int.from_bytes(payload, "big")
            self._send_blocked()
        elif kind == h2.PING and not flags & h2.ACK:
            self._out.append(h2.frame(h2.PING, h2.ACK, 0, payload))
        elif kind == h2.SETTINGS and not flags & h2.ACK:
            self._take_settings(h2.read_settings(payload))
        elif kind == h2.RST_STREAM:
            self._take_reset(stream, int.from_bytes(payload, "big"), now)
        elif kind == h2.GOAWAY:
            self._take_goodbye(payload)
        elif kind in (h2.HEADERS, h2.CONTINUATION):
            self._take_partial(kind, flags, stream, payload, now)

    def _send_blocked(self) -> None:
        while self._blocked and len(self._blocked[0]) - h2.FRAME_HEADER_SIZE <= self._send_window:
            data = self._blocked.popleft()
            self._send_window -= len(data) - h2.FRAME_HEADER_SIZE
            self._out.append(data)

    def _take_settings(self, theirs: dict[int, int]) -> None:
        if theirs.get(h2.INITIAL_WINDOW_SIZE, h2.INITIAL_WINDOW) < h2.FRAME_SIZE_MAX:
            raise LoadFailed("the server's streams have less room than a request may need")
        self._welcomed = True
        self._share = min(self._share, theirs.get(h2.MAX_CONCURRENT_STREAMS, self._share))
        self._out.append(h2.frame(h2.SETTINGS, h2.ACK, 0))

    def _take_reset(self, stream: int, error: int, now: float) -> None:
        if error == h2.REFUSED_STREAM and stream in self._open:
            self._calls.put_back(self._open.pop(stream)[1])
        else:
            self._end_call(stream, RESET, now)

    def _take_goodbye(self, payload: bytes) -> None:
        """Sends no more calls here. Those that the server did not look at are made again elsewhere."""
        last, error = struct.unpack_from(">II", payload)
        if error:
            raise LoadFailed(f"the server ended the connection with error {error}: {payload[8:]!r}")
        self._goodbye = True
        for stream in [stream for stream in self._open if stream > last]:
            self._calls.put_back(self._open.pop(stream)[1])

    def _take_partial(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> None:
        """Puts a header block together that comes in several frames."""
        if kind == h2.HEADERS:
            self._partial = flags, h2.block_of(flags, payload)
        elif self._partial is not None:
            begun, block = self._partial
            self._partial = begun, block + payload
            if flags & h2.END_HEADERS:
                self._partial = None
                if begun & h2.END_STREAM:
                    self._end_call(stream, self._status(block + payload), now)
