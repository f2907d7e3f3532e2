"""The load generator: gRPC calls as HTTP/2 frames made beforehand, sent in a closed loop from one process.

A gRPC client for Python costs more than the servers that are to be measured, and ready-made generators send one body only, which a ledger
answers from memory. This one sends another body with each call and costs microseconds a call; `LoadResult.cpu_s` tells how much.
"""

from __future__ import annotations

import math
import multiprocessing
import selectors
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from tests.benchmarks.http2_connection import STATUS_NAMES, Connection, LoadFailed
from tests.benchmarks.http2_frames import request_block

OK = STATUS_NAMES[0]
CALL_TIMEOUT_S = 10
# Calls end by their own timeout before that.
STALLED_AFTER_S = 2.0 * CALL_TIMEOUT_S
READ_SIZE = 1 << 18
# With many calls in flight answers are looked for once in a while: a wake-up for each would cost several times what the answer does.
MANY_IN_FLIGHT = 16
WAKE_UP_EVERY_S = 0.001
BUCKETS_PER_DOUBLING = 4


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a load. `calls` ended OK; `errors_by_status` counts the others: by status, RST_STREAM or NO_STATUS.

    `histogram` counts all calls by latency: (upper bound in ms, calls). `cpu_s` is what the generator itself used, in seconds.
    """

    calls: int
    errors_by_status: dict[str, int]
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    histogram: list[tuple[float, int]]
    longest_ms: float

    @property
    def per_s(self) -> float:
        """How many calls ended OK in a second."""
        return self.calls / self.elapsed_s

    @property
    def cpu_s_per_1000(self) -> float:
        """What the generator costs: seconds of CPU for 1000 calls."""
        return 1000 * self.cpu_s / max(1, self.calls + sum(self.errors_by_status.values()))


class Load(Protocol):
    """`run_load`, here or in another process."""

    def __call__(
        self,
        addresses: str | Sequence[str],
        path: str,
        token: str,
        bodies: Iterable[bytes],
        *,
        connections: int,
        in_flight: int,
        duration_s: float = math.inf,
        count: int | None = None,
    ) -> LoadResult: ...


def run_load(
    addresses: str | Sequence[str],
    path: str,
    token: str,
    bodies: Iterable[bytes],
    *,
    connections: int,
    in_flight: int,
    duration_s: float = math.inf,
    count: int | None = None,
) -> LoadResult:
    """Makes unary calls of `path` with these serialised messages, `in_flight` at a time over all connections, dealt out to the addresses.

    Sends no more after `duration_s`, after `count` calls or when the bodies are used up, whichever comes first, and ends with the last
    answer. `bodies` should be a list: making them would be measured, too. Blocks.
    Raises LoadFailed, OSError, and ValueError for a body that needs two frames.
    """
    targets = [addresses] if isinstance(addresses, str) else list(addresses)
    run = _Run(islice(bodies, count), duration_s)
    pause_s = WAKE_UP_EVERY_S if in_flight >= MANY_IN_FLIGHT else 0.0
    with selectors.DefaultSelector() as selector:
        lines: list[_Line] = []
        try:
            for place in range(min(connections, in_flight)):
                share = in_flight // connections + (place < in_flight % connections)
                lines.append(_Line(selector, run, targets[place % len(targets)], path, token, share))
            _drive(selector, run, lines, pause_s)
        finally:
            for line in lines:
                line.close()
    return run.result()


@contextmanager
def load_process() -> Iterator[Load]:
    """A process of its own for loads, used by this one and none other: yields what runs a load there."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:

        def run_there(addresses: str | Sequence[str], path: str, token: str, bodies: Iterable[bytes], **limits: object) -> LoadResult:
            return process.submit(run_load, addresses, path, token, bodies, **limits).result()  # type: ignore[arg-type]

        yield run_there


def _drive(selector: selectors.BaseSelector, run: _Run, lines: Sequence[_Line], pause_s: float) -> None:
    run.begin()
    for line in lines:
        line.begin()
    while selector.get_map():
        ready = selector.select(STALLED_AFTER_S)
        if not ready:
            raise LoadFailed(f"no answer for {STALLED_AFTER_S:g} s")
        now = time.perf_counter()
        for key, _ in ready:
            key.data.turn(now)
        if pause_s:
            time.sleep(pause_s)


class _Run:
    """What the connections of a load share: what to send, until when, and what came of it."""

    def __init__(self, bodies: Iterable[bytes], duration_s: float) -> None:
        self._bodies = iter(bodies)
        self._put_back: deque[bytes] = deque()
        self._duration_s = duration_s
        self._stop_at = math.inf
        self._began_at = self._ended_at = self._cpu_began_s = 0.0
        self._latencies_s = array("d")
        self._statuses: Counter[str] = Counter()

    def begin(self) -> None:
        self._cpu_began_s = time.process_time()
        self._began_at = self._ended_at = time.perf_counter()
        self._stop_at = self._began_at + self._duration_s

    def next_body(self, now: float) -> bytes | None:
        if now >= self._stop_at:
            return None
        return self._put_back.popleft() if self._put_back else next(self._bodies, None)

    def put_back(self, body: bytes) -> None:
        self._put_back.append(body)

    def record(self, status: str, began: float, ended: float) -> None:
        self._latencies_s.append(ended - began)
        self._statuses[status] += 1
        self._ended_at = ended

    def result(self) -> LoadResult:
        cpu_s = time.process_time() - self._cpu_began_s
        latencies_s = sorted(self._latencies_s)
        return LoadResult(
            calls=self._statuses[OK],
            errors_by_status={status: count for status, count in self._statuses.items() if status != OK},
            elapsed_s=max(self._ended_at - self._began_at, 1e-9),
            p50_ms=percentile_ms(latencies_s, 0.50),
            p99_ms=percentile_ms(latencies_s, 0.99),
            cpu_s=cpu_s,
            histogram=histogram_ms(latencies_s),
            longest_ms=percentile_ms(latencies_s, 1),
        )


class _Line:
    """A share of the calls over one connection, and over another when the server ends it in good order."""

    def __init__(self, selector: selectors.BaseSelector, run: _Run, address: str, path: str, token: str, share: int) -> None:
        self._selector = selector
        self._run = run
        self._share = share
        self._block = request_block(address, path, token, CALL_TIMEOUT_S)
        host, _, port = address.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._unsent = b""
        self._connect()

    def begin(self) -> None:
        self._send(self._connection.greet())

    def turn(self, now: float) -> None:
        """Takes what came and sends what follows."""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:  # woken because there is room to send
            self._send(b"")
            return
        if not data:
            raise LoadFailed(f"the server hung up with {self._connection.in_flight} calls in flight")
        self._send(self._connection.receive(data, now))
        if self._connection.finished:
            self._end_connection()

    def close(self) -> None:
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=CALL_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._connection = Connection(self._run, self._block, self._share)

    def _end_connection(self) -> None:
        """Ends a connection that has done its work, and goes on over another if there is more to send: then the server said goodbye."""
        self._selector.unregister(self._socket)
        self._socket.close()
        self._unsent = b""
        now = time.perf_counter()
        body = self._run.next_body(now)
        if body is not None:
            self._run.put_back(body)
            self._connect()
            self.begin()

    def _send(self, data: bytes) -> None:
        """Sends as much as there is room for; the rest when there is room again."""
        waited = bool(self._unsent)
        data = self._unsent + data if waited else data
        if data:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            self._unsent = data[sent:]
        if waited or self._unsent:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            self._selector.modify(self._socket, events, self)


def percentile_ms(ordered_s: Sequence[float], share: float) -> float:
    """Returns the nearest-rank percentile of seconds in order, in milliseconds; 0 of none."""
    return 1000 * ordered_s[max(0, math.ceil(share * len(ordered_s)) - 1)] if ordered_s else 0.0


def histogram_ms(latencies_s: Iterable[float]) -> list[tuple[float, int]]:
    """Counts latencies in buckets that grow by a quarter of a doubling: (upper bound in ms, how many), without the empty ones."""
    places = Counter(math.ceil(BUCKETS_PER_DOUBLING * math.log2(max(latency_s * 1000, 1e-3))) for latency_s in latencies_s)
    return [(2 ** (place / BUCKETS_PER_DOUBLING), places[place]) for place in sorted(places)]
