"""What is measured. Each measurement is made several times, in turns with the others, and its median is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.grpc.page_tokens import PageTokens
from tests.benchmarks import ledger_data, pgbench
from tests.benchmarks.ledger_data import SERVICE
from tests.benchmarks.measured import Measured, Measurement, measured_load, measured_script
from tests.benchmarks.servers import BenchmarkFailed, Server
from tests.benchmarks.workbench import Workbench

CONNECTIONS = 4
IN_FLIGHT = 128
BATCHES_IN_FLIGHT = 4
PGBENCH_CLIENTS = (8, 16, 32)
# Faster than anything here: so many requests are made for each second of a measurement, each with an id of its own.
REQUESTS_PER_S = 12_000
ONE_AT_A_TIME_REQUESTS_PER_S = 2_500
# Its policy admits it to all that is measured.
CALLER = "orders"


class Measurements:
    """Measures the parts of a workbench, `seconds` each time."""

    def __init__(self, bench: Workbench, seconds: float) -> None:
        self._bench = bench
        self._seconds = seconds
        self._token = bench.identities.service_token(CALLER)
        self._spread = ledger_data.spread(bench.accounts)

    def all(self) -> dict[str, Measurement]:
        """Returns them by name, in the order in which they are made."""
        bench, ledger, last = self._bench, self._bench.ledgers[:1], self._bench.accounts
        return {
            "echo": lambda: self._withdrawals([bench.echo], self._spread),
            "empty_write": lambda: self._withdrawals([bench.empty], self._spread),
            "withdraw": lambda: self._withdrawals(ledger, self._spread),
            "pgbench": lambda: self._pgbench(1, last),
            "withdraw_two": lambda: self._withdrawals(bench.ledgers, self._spread),
            "orm": lambda: self._withdrawals([bench.orm], self._spread),
            "withdraw_hot": lambda: self._withdrawals(ledger, ledger_data.hot),
            "pgbench_hot": lambda: self._pgbench(0, 0),
            "pairs": self._pairs,
            "batch": self._batches,
            "empty_read": lambda: self._reads(bench.empty),
            "read": lambda: self._reads(ledger[0]),
            "one_empty": lambda: self._withdrawals([bench.empty_anywhere], self._spread, in_flight=1),
            "one_withdraw": lambda: self._withdrawals([bench.ledger_anywhere], self._spread, in_flight=1),
            "one_statement": self._one_statement,
        }

    def pages(self, operations: int) -> Measurement:
        """Returns the measurement of pages from an account's history of so many operations, made for it."""
        account_id = ledger_data.seed_history(self._bench.uri, operations)
        page_tokens = PageTokens.from_file(self._bench.identities.page_token_key_file)
        count = round(ONE_AT_A_TIME_REQUESTS_PER_S * self._seconds)
        bodies = ledger_data.pages(page_tokens, account_id, operations, count)
        return lambda: self._load("ListOperations", [self._bench.ledger_anywhere], bodies, in_flight=1)

    def _withdrawals(self, servers: Sequence[Server], pick: Callable[[], str], in_flight: int = IN_FLIGHT) -> Measured:
        bodies = ledger_data.withdrawals(pick, self._count(in_flight))
        return self._load("WithdrawPoints", servers, bodies, in_flight=in_flight)

    def _reads(self, server: Server) -> Measured:
        return self._load("GetAccount", [server], ledger_data.reads(self._spread, self._count(IN_FLIGHT)))

    def _batches(self) -> Measured:
        """Counts the operations; latencies are those of calls."""
        bodies = ledger_data.batches(self._spread, self._count(IN_FLIGHT) // ledger_data.BATCH_SIZE)
        return self._load("BatchApply", self._bench.ledgers[:1], bodies, in_flight=BATCHES_IN_FLIGHT, each=ledger_data.BATCH_SIZE)

    def _pairs(self) -> Measured:
        """Reserves as often as the time is enough for, then captures all of it."""
        bodies = ledger_data.reservations(self._spread, self._count(IN_FLIGHT))
        reserved = self._load("ReservePoints", self._bench.ledgers[:1], bodies)
        captured = self._load("CapturePoints", self._bench.ledgers[:1], ledger_data.captures(self._bench.uri))
        return Measured(
            per_s=1 / (1 / reserved.per_s + 1 / captured.per_s),
            p50_ms=reserved.p50_ms + captured.p50_ms,
            p99_ms=reserved.p99_ms + captured.p99_ms,
            cpu_us={user: used + captured.cpu_us[user] for user, used in reserved.cpu_us.items()},
        )

    def _pgbench(self, first: int, last: int) -> Measured:
        """Takes the best of several numbers of clients."""
        found = [self._script(pgbench.WITHDRAW, clients, first, last) for clients in PGBENCH_CLIENTS]
        return max(found, key=lambda measured: measured.per_s)

    def _one_statement(self) -> Measured:
        return self._script(pgbench.ONE_STATEMENT, 1, 1, self._bench.accounts, latencies=True)

    def _script(self, script: str, clients: int, first: int, last: int, *, latencies: bool = False) -> Measured:
        before = self._bench.postgres_cpu_s()
        variables = {"first": first, "last": last}
        found = self._bench.pgbench.run(script, clients=clients, seconds=self._seconds, variables=variables, latencies=latencies)
        return measured_script(found, self._bench.postgres_cpu_s() - before)

    def _load(
        self, method: str, servers: Sequence[Server], bodies: Sequence[bytes], *, in_flight: int = IN_FLIGHT, each: int = 1
    ) -> Measured:
        """Makes the calls; raises BenchmarkFailed if one was refused."""
        before = self._cpu_s(servers)
        result = self._bench.load(
            [server.address for server in servers],
            SERVICE + method,
            self._token,
            bodies,
            connections=min(CONNECTIONS, in_flight),
            in_flight=in_flight,
            duration_s=self._seconds,
        )
        if result.errors_by_status or not result.calls:
            raise BenchmarkFailed(f"{method} failed: {result.errors_by_status}")
        return measured_load(result, before, self._cpu_s(servers), each)

    def _cpu_s(self, servers: Sequence[Server]) -> dict[str, float]:
        return {"server": sum(server.cpu_s for server in servers), "postgres": self._bench.postgres_cpu_s()}

    def _count(self, in_flight: int) -> int:
        return round(self._seconds * (ONE_AT_A_TIME_REQUESTS_PER_S if in_flight == 1 else REQUESTS_PER_S))
