"""As much of HTTP/2 (RFC 9113) and HPACK (RFC 7541) as it takes to make gRPC calls whose bytes were made beforehand.

Requests name their headers in full, from the static table or as literals, so the same bytes do for every call. The peer is told to use
no dynamic table, so each of its header blocks can be read by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Length (3 bytes) and type (1 byte) in one number, flags, stream.
FRAME_HEADER = struct.Struct(">IBI")
FRAME_HEADER_SIZE = FRAME_HEADER.size

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 2, 3, 4
# The error of a call that the server has not looked at.
REFUSED_STREAM = 7
INITIAL_WINDOW = 65_535
WINDOW_MAX = 2**31 - 1
# What a peer accepts in one frame unless it says otherwise.
FRAME_SIZE_MAX = 16_384

# The entries of the static table that requests use.
_AUTHORITY, _METHOD_POST, _PATH, _SCHEME_HTTP, _AUTHORIZATION, _CONTENT_TYPE = 1, 3, 4, 6, 23, 31
# A literal that enters no table, and one that no intermediary may ever put in one: for secrets.
_NOT_INDEXED, _NEVER_INDEXED = 0x00, 0x10


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return FRAME_HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    return dict(struct.iter_unpack(">HI", payload))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def request_block(authority: str, path: str, token: str, timeout_s: int) -> bytes:
    """Returns the header block of a unary gRPC call."""
    return b"".join(
        (
            _integer(_METHOD_POST, 7, 0x80),
            _integer(_SCHEME_HTTP, 7, 0x80),
            _literal(_PATH, path),
            _literal(_AUTHORITY, authority),
            _literal("te", "trailers"),
            _literal(_CONTENT_TYPE, "application/grpc"),
            _literal("grpc-timeout", f"{timeout_s}S"),
            _literal(_AUTHORIZATION, f"Bearer {token}", _NEVER_INDEXED),
        )
    )


def message(body: bytes) -> bytes:
    """Returns a serialised message as gRPC sends it: uncompressed, with its length before it. Raises ValueError if it needs two frames."""
    if len(body) + 5 > FRAME_SIZE_MAX:
        raise ValueError(f"a request of {len(body)} bytes does not fit into one frame")
    return b"\0" + len(body).to_bytes(4, "big") + body


def block_of(flags: int, payload: bytes) -> bytes:
    """Returns the header block in a HEADERS frame, without padding and priority."""
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if flags & PRIORITY else payload


def grpc_status(block: bytes) -> int | None:
    """Returns the gRPC status code in a header block; None if there is none that can be read."""
    for name, value in _fields(block):
        if name in _GRPC_STATUS_NAMES:
            return _STATUS_VALUES.get(value)
    return None


def _literal(name: int | str, value: str, kind: int = _NOT_INDEXED) -> bytes:
    head = _integer(name, 4, kind) if isinstance(name, int) else bytes([kind]) + _string(name)
    return head + _string(value)


def _string(text: str) -> bytes:
    return _integer(len(text), 7, 0) + text.encode("ascii")


def _integer(value: int, bits: int, pattern: int) -> bytes:
    """Writes a number whose first byte begins with `pattern` and has `bits` bits left for it (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([pattern | value])
    rest, encoded = value - limit, bytearray([pattern | limit])
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(encoded) + bytes([rest])


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Reads such a number; returns it and where it ends."""
    limit = (1 << bits) - 1
    value, shift = block[at] & limit, 0
    at += 1
    if value < limit:
        return value, at
    while True:
        value += (block[at] & 0x7F) << shift
        shift += 7
        at += 1
        if block[at - 1] < 0x80:
            return value, at


Text = tuple[bool, bytes]
"""A string of a header block: whether it is Huffman-coded, and its bytes as they are there."""


def _read_text(block: bytes, at: int) -> tuple[Text, int]:
    size, begin = _read_integer(block, at, 7)
    return (block[at] >= 0x80, block[begin : begin + size]), begin + size


def _fields(block: bytes) -> Iterator[tuple[Text | None, Text]]:
    """Yields the literal fields of a block; the name is None if it is a table's."""
    at = 0
    while at < len(block):
        first = block[at]
        if first >= 0x80:  # a whole field of a table
            _, at = _read_integer(block, at, 7)
        elif first & 0xE0 == 0x20:  # a new size of the dynamic table
            _, at = _read_integer(block, at, 5)
        else:
            index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            name, at = (None, at) if index else _read_text(block, at)
            value, at = _read_text(block, at)
            yield name, value


# The Huffman codes (RFC 7541, appendix B) of the characters of `grpc-status: 16`.
_CODES = {
    **dict(zip("012", ("00000", "00001", "00010"), strict=True)),
    **dict(zip("3456789", (f"{code:06b}" for code in range(0b011001, 0b100000)), strict=True)),
    **dict(zip("-acgprstu", ("010110", "00011", "00100", "100110", "101011", "101100", "01000", "01001", "101101"), strict=True)),
}


def _huffman(text: str) -> bytes:
    bits = "".join(_CODES[character] for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


_GRPC_STATUS_NAMES: frozenset[Text] = frozenset({(False, b"grpc-status"), (True, _huffman("grpc-status"))})
_STATUS_VALUES: dict[Text, int] = {(False, str(code).encode()): code for code in range(17)}
_STATUS_VALUES |= {(True, _huffman(str(code))): code for code in range(17)}
