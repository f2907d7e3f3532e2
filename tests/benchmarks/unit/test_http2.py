"""The generator's HTTP/2, byte by byte, against frames that a server may send though ours does not."""

from __future__ import annotations

import pytest

from tests.benchmarks import http2_frames as h2
from tests.benchmarks.http2_connection import Connection, LoadFailed

BLOCK = h2.request_block("localhost:1", "/t.T/Echo", "secret", 10)
WELCOME = h2.settings({})
OK_TRAILERS = b"\x40\x0bgrpc-status\x010"
# `grpc-status: 0` and `grpc-status: 16`, name and value Huffman-coded by hand (RFC 7541, appendix B).
HUFFMAN_OK = b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x81\x07"
HUFFMAN_UNAUTHENTICATED = b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x82\x0b\x9f"


class Calls:
    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.ended: list[str] = []

    def next_body(self, now: float) -> bytes | None:
        return self.bodies.pop(0) if self.bodies else None

    def put_back(self, body: bytes) -> None:
        self.bodies.append(body)

    def record(self, status: str, began: float, ended: float) -> None:
        self.ended.append(status)


def welcomed(calls: Calls, share: int = 10, receive_window: int = 1 << 20) -> tuple[Connection, bytes]:
    """Returns a connection whose calls have begun, and what it sent."""
    connection = Connection(calls, BLOCK, share, receive_window=receive_window)
    connection.greet()
    return connection, connection.receive(WELCOME, 0.0)


def trailers(stream: int, block: bytes = OK_TRAILERS) -> bytes:
    return h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, stream, block)


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Splits bytes into frames: type, flags, stream, payload."""
    found, at = [], 0
    while at < len(data):
        word, flags, stream = h2.FRAME_HEADER.unpack_from(data, at)
        begin = at + h2.FRAME_HEADER_SIZE
        at = begin + (word >> 8)
        found.append((word & 0xFF, flags, stream, data[begin:at]))
    return found


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (OK_TRAILERS, 0),
        (b"\x20\x88\x40\x0ccontent-type\x10application/grpc\x40\x0bgrpc-status\x019\x00\x0cgrpc-message\x02no", 9),
        (b"\x5f\x10application/grpc\x10\x0bgrpc-status\x0216", 16),
        (b"\x3f\xe1\x1f\x00\x0bgrpc-status\x0214", 14),
        (HUFFMAN_OK, 0),
        (HUFFMAN_UNAUTHENTICATED, 16),
        (b"\x88", None),
        (b"\x00\x0bgrpc-status\x0217", None),
        (b"\x00\x0bgrpc-status\x05hello", None),
        (b"", None),
    ],
)
def test_the_status_is_found_in_trailers_however_they_are_coded(block: bytes, code: int | None) -> None:
    assert h2.grpc_status(block) == code


def test_a_value_longer_than_one_byte_of_length_is_skipped() -> None:
    assert h2.grpc_status(b"\x00\x01a\x7f\x81\x01" + b"x" * 256 + OK_TRAILERS) == 0


def test_a_request_is_a_block_that_names_everything_and_a_message_with_its_length() -> None:
    calls = Calls(b"hello")
    _, sent = welcomed(calls)
    ack, headers, data = frames(sent)

    assert ack == (h2.SETTINGS, h2.ACK, 0, b"")
    assert headers == (h2.HEADERS, h2.END_HEADERS, 1, BLOCK)
    assert data == (h2.DATA, h2.END_STREAM, 1, b"\x00\x00\x00\x00\x05hello")
    assert BLOCK.startswith(b"\x83\x86\x04\x09/t.T/Echo\x01\x0blocalhost:1")
    assert BLOCK.endswith(b"\x1f\x08\x0dBearer secret")


def test_no_call_begins_before_the_server_has_spoken() -> None:
    connection = Connection(Calls(b"hello"), BLOCK, 1)

    assert [kind for kind, *_ in frames(connection.greet()[len(h2.PREFACE) :])] == [h2.SETTINGS, h2.WINDOW_UPDATE]
    assert not connection.finished


def test_frames_may_come_in_pieces() -> None:
    calls = Calls(b"hello")
    connection, _ = welcomed(calls)
    answer = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x88") + h2.frame(h2.DATA, 0, 1, b"x" * 20) + trailers(1)
    for place in range(len(answer)):
        assert not connection.finished
        connection.receive(answer[place : place + 1], 1.0)

    assert calls.ended == ["OK"]
    assert connection.finished


def test_each_answer_makes_room_for_a_call() -> None:
    connection, sent = welcomed(Calls(b"1", b"2", b"3"), share=2)
    assert [stream for kind, _, stream, _ in frames(sent) if kind == h2.DATA] == [1, 3]

    assert [stream for kind, _, stream, _ in frames(connection.receive(trailers(3), 1.0)) if kind == h2.DATA] == [5]
    assert connection.in_flight == 2


def test_the_server_decides_how_many_calls_are_in_flight() -> None:
    connection = Connection(Calls(b"1", b"2", b"3"), BLOCK, 3)
    connection.receive(h2.settings({h2.MAX_CONCURRENT_STREAMS: 2}), 0.0)

    assert connection.in_flight == 2


def test_trailers_with_padding_and_priority_are_read() -> None:
    calls = Calls(b"hello")
    connection, _ = welcomed(calls)
    payload = b"\x03" + b"\0\0\0\0\x10" + OK_TRAILERS + b"\0\0\0"
    connection.receive(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS | h2.PADDED | h2.PRIORITY, 1, payload), 1.0)

    assert calls.ended == ["OK"]


def test_trailers_in_several_frames_are_put_together() -> None:
    calls = Calls(b"hello")
    connection, _ = welcomed(calls)
    connection.receive(h2.frame(h2.HEADERS, h2.END_STREAM, 1, OK_TRAILERS[:3]), 1.0)
    connection.receive(h2.frame(h2.CONTINUATION, 0, 1, OK_TRAILERS[3:6]), 1.0)
    assert calls.ended == []
    connection.receive(h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1, OK_TRAILERS[6:]), 1.0)

    assert calls.ended == ["OK"]


def test_a_reset_and_trailers_without_a_status_are_counted_as_what_they_are() -> None:
    calls = Calls(b"1", b"2")
    connection, _ = welcomed(calls)
    connection.receive(h2.frame(h2.RST_STREAM, 0, 1, b"\0\0\0\x02") + trailers(3, b"\x88"), 1.0)

    assert calls.ended == ["RST_STREAM", "NO_STATUS"]


def test_a_call_that_the_server_has_not_looked_at_is_made_again() -> None:
    calls = Calls(b"1")
    connection, _ = welcomed(calls)
    again = frames(connection.receive(h2.frame(h2.RST_STREAM, 0, 1, b"\0\0\0\x07"), 1.0))

    assert (again[1][2], again[1][3][5:]) == (3, b"1")
    assert calls.ended == []


def test_a_ping_is_answered() -> None:
    connection, _ = welcomed(Calls(b"1"))

    assert connection.receive(h2.frame(h2.PING, 0, 0, b"12345678"), 1.0) == h2.frame(h2.PING, h2.ACK, 0, b"12345678")
    assert connection.receive(h2.frame(h2.PING, h2.ACK, 0, b"12345678"), 1.0) == b""


def test_no_more_is_sent_than_the_server_has_room_for() -> None:
    body = b"x" * 16_000
    connection, sent = welcomed(Calls(*[body] * 6))
    assert sum(len(payload) for kind, *_, payload in frames(sent) if kind == h2.DATA) == 4 * 16_005

    assert connection.receive(h2.window_update(0, 16_004 - (65_535 - 4 * 16_005)), 1.0) == b""
    (data,) = frames(connection.receive(h2.window_update(0, 1), 1.0))
    assert data[0:3] == (h2.DATA, h2.END_STREAM, 9)
    assert connection.receive(h2.window_update(9, 1_000_000), 1.0) == b""


def test_the_server_gets_its_room_back_when_half_of_it_is_used() -> None:
    connection, _ = welcomed(Calls(b"1"), receive_window=70_000)
    chunk = h2.frame(h2.DATA, 0, 1, b"x" * 15_000)

    assert connection.receive(chunk * 2, 1.0) == b""
    assert connection.receive(chunk, 1.0) == h2.window_update(0, 45_000)


def test_after_a_goodbye_only_calls_that_the_server_looked_at_are_awaited() -> None:
    calls = Calls(b"1", b"2", b"3", b"4")
    connection, _ = welcomed(calls, share=3)
    assert connection.receive(h2.frame(h2.GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + b"\0" * 4), 1.0) == b""
    assert connection.in_flight == 3
    connection.receive(h2.frame(h2.GOAWAY, 0, 0, b"\0\0\0\x01" + b"\0" * 4), 1.0)

    assert connection.in_flight == 1
    assert calls.bodies == [b"4", b"2", b"3"]
    assert connection.receive(trailers(1), 1.0) == b""
    assert connection.finished
    assert calls.ended == ["OK"]


def test_a_connection_ended_for_a_fault_fails_the_load() -> None:
    connection, _ = welcomed(Calls(b"1"))

    with pytest.raises(LoadFailed, match="too_many_pings"):
        connection.receive(h2.frame(h2.GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_pings"), 1.0)


def test_a_server_whose_streams_have_little_room_is_refused() -> None:
    with pytest.raises(LoadFailed):
        Connection(Calls(b"1"), BLOCK, 1).receive(h2.settings({h2.INITIAL_WINDOW_SIZE: 100}), 0.0)


def test_a_body_that_needs_two_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="one frame"):
        welcomed(Calls(b"x" * 16_380))
