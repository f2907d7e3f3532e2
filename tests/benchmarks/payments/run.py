"""Measures how long a payer waits for a payment to start, and tells what came of it."""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from galen.balance.v1 import balance_service_pb2
from galen.orders.v1 import payment_pb2, payment_service_pb2

from deploy.local.payment_sim.testing import API_KEY
from shared.testing.servers import free_port
from tests.benchmarks.figures import Held, compare
from tests.benchmarks.http2_load import percentile_ms
from tests.benchmarks.machine import describe
from tests.benchmarks.measured import Measured
from tests.benchmarks.open_loop import OpenLoop, open_loop
from tests.benchmarks.orders import data
from tests.benchmarks.orders.workbench import OrdersBench, orders_workbench
from tests.benchmarks.payments.figures import FIGURES, PER_S, PROVIDER_MS, PROVIDER_WAITS_MS, TITLES, TOGETHER
from tests.benchmarks.report import PAYMENTS, Run, Section, write
from tests.benchmarks.servers import BenchmarkFailed, Server, postgres_cpu_s, provider_served, served

EMPTY = ("-m", "tests.benchmarks.server", "empty")
WORKER = ("-m", "services.orders", "worker")
GATEWAY = ("-m", "services.gateway", "serve")
WEBHOOK_SECRET = "whsec_of_the_bench"
START = "/galen.orders.v1.PaymentService/StartPayment"
EMPTY_CALL = "/galen.balance.v1.BalanceService/WithdrawPoints"
CARD = payment_pb2.PAYMENT_METHOD_CARD
SETTLED_WITHIN_S = 60.0
WARM_UP = 20
MAKERS = 8
JOBS_LEFT = "select exists (select from orders.procrastinate_jobs where status in ('todo', 'doing'))"
COLUMNS = {
    "server": "server",
    "worker": "worker",
    "postgres": "PostgreSQL",
    "gateway": "gateway",
    "provider": "provider",
    "generator": "generator",
}
INTRODUCTION = """\
{per_s} calls a second in an open loop: each is sent when it is due, and its latency counts from then. The provider is a process of its own
(`galen payment-sim`) that answers in {provider_ms} ms and sends its webhooks through the gateway; orders is a process that serves and one
that works off jobs, feed, messages and looks, unless one does both. Every call goes through the whole chain, commits the payment, asks the
provider and commits what it said; with a card it goes on until the order is PAID. An empty call goes through the same chain to a handler
that does nothing. {rounds} measurements of {seconds:g} s of each, made in turns, counted together.
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PaymentsPlan:
    """What to measure."""

    seconds: float
    rounds: int
    only: set[str]


def measure_payments(plan: PaymentsPlan, command: str, folder: Path, output: Path, say: Say) -> Sequence[Held]:
    """Measures in `folder`, writes into `output`; returns the figures. Raises BenchmarkFailed."""
    say("making orders to pay")
    samples: dict[str, list[_Sample]] = {name: [] for name in TITLES if name in plan.only}
    with orders_workbench(folder) as bench:
        for names in (samples.keys() - TOGETHER, samples.keys() & TOGETHER):
            with _till(bench, folder, has_worker=not names & TOGETHER) as till:
                _measure(till, {name: taken for name, taken in samples.items() if name in names}, plan, say)
        run = Run(command, describe(folder), bench.postgres_settings)
    measured = {name: _measured(name, taken) for name, taken in samples.items()}
    figures = compare(measured, FIGURES)
    introduction = INTRODUCTION.format(per_s=PER_S, provider_ms=PROVIDER_MS, rounds=plan.rounds, seconds=plan.seconds)
    write(output, run, Section(PAYMENTS, introduction, "", TITLES, COLUMNS, measured, figures, FIGURES))
    return figures


@dataclass(frozen=True, slots=True)
class _Sample:
    """A run of the generator, and the seconds of CPU that were used meanwhile, by who used them."""

    load: OpenLoop
    cpu_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Till:
    """The servers, and orders that wait to be paid. Without a worker the server works off its jobs itself."""

    bench: OrdersBench
    orders: Server
    worker: Server | None
    provider: Server
    gateway: Server
    empty: Server

    def sample(self, name: str, count: int) -> _Sample:
        """Raises BenchmarkFailed if a call was refused."""
        if name == "provider":
            with provider_served(self.bench.folder, latency_s=PROVIDER_WAITS_MS / 1000, settings={}) as alone:
                return _Sample(_asked(alone.address, count), {})
        server = self.empty if name == "start_empty" else self.orders
        path, bodies = (EMPTY_CALL, _empties(count)) if name == "start_empty" else (START, self._starts(name, count))
        before = self._cpu_s(server)
        load = open_loop(server.address, path, self.bench.token, bodies, per_s=PER_S)
        if load.failures:
            raise BenchmarkFailed(f"{path} failed {len(load.failures)} times: {load.failures[0]}")
        after = self._cpu_s(server)
        return _Sample(load, {user: after[user] - before[user] for user in before} | {"generator": load.cpu_s})

    def _cpu_s(self, server: Server) -> dict[str, float]:
        worker = {"worker": self.worker.cpu_s} if self.worker else {}
        others = {"postgres": postgres_cpu_s(self.bench.postgres), "gateway": self.gateway.cpu_s, "provider": self.provider.cpu_s}
        return {"server": server.cpu_s, **worker, **others}

    def _starts(self, name: str, count: int) -> list[bytes]:
        """Makes that many orders and returns the requests that start their payments, when nothing of before is left to do."""
        self.bench.call("CreateOrder", self.bench.orders, data.carts(data.spread, count), in_flight=MAKERS)
        self._settle()
        card = "pm_card_visa" if name == "start_charged" else ""
        query = """select customer_id, order_id from orders.customer_order o where state = 1
                   and not exists (select from orders.payment p where p.order_id = o.order_id) limit %s"""
        with psycopg.connect(self.bench.uri) as connection:
            rows = connection.execute(query, (count,)).fetchall()
        if len(rows) < count:
            raise BenchmarkFailed("there are too few orders to pay")
        return [
            payment_service_pb2.StartPaymentRequest(
                order=f"customers/{customer}/orders/{order}", method=CARD, card=card, request_id=str(uuid4())
            ).SerializeToString()
            for customer, order in rows
        ]

    def _settle(self) -> None:
        """Waits until all jobs are done: whoever makes orders does not work them off."""
        until = time.monotonic() + SETTLED_WITHIN_S
        with psycopg.connect(self.bench.uri, autocommit=True) as connection:
            while connection.execute(JOBS_LEFT).fetchone() != (False,):
                if time.monotonic() > until:
                    raise BenchmarkFailed("jobs are not worked off")
                time.sleep(0.1)


def _measured(name: str, samples: Sequence[_Sample]) -> Measured:
    latencies_s = sorted(latency for sample in samples for latency in sample.load.latencies_s)
    users = {"start_empty": {"server", "generator"}}.get(name, set(samples[0].cpu_s))
    cpu_us = {user: 1e6 * sum(sample.cpu_s[user] for sample in samples) / len(latencies_s) for user in COLUMNS if user in users}
    elapsed_s = sum(sample.load.elapsed_s for sample in samples)
    return Measured(len(latencies_s) / elapsed_s, percentile_ms(latencies_s, 0.5), percentile_ms(latencies_s, 0.99), cpu_us)


def _asked(address: str, count: int) -> OpenLoop:
    """Makes that many intents, one after the other."""
    form = urllib.parse.urlencode({"amount": 500, "currency": "eur"})
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/x-www-form-urlencoded"}
    began, latencies_s = time.perf_counter(), []
    with closing(http.client.HTTPConnection(address)) as connection:
        for _ in range(count):
            asked = time.perf_counter()
            connection.request("POST", "/v1/payment_intents", form, headers)
            connection.getresponse().read()
            latencies_s.append(time.perf_counter() - asked)
    return OpenLoop(latencies_s, [], time.perf_counter() - began, 0.0)


@contextmanager
def _till(bench: OrdersBench, folder: Path, *, has_worker: bool) -> Iterator[_Till]:
    key, secrets, edge = folder / "provider.key", folder / "webhooks.secret", f"127.0.0.1:{free_port()}"
    key.write_text(API_KEY)
    secrets.write_text(WEBHOOK_SECRET)
    webhooks = {"PAYMENT_SIM_WEBHOOK_URL": f"http://{edge}/webhooks/payments", "PAYMENT_SIM_WEBHOOK_SECRETS_FILE": str(secrets)}
    with ExitStack() as stack:
        provider = stack.enter_context(provider_served(folder, latency_s=PROVIDER_WAITS_MS / 1000, settings=webhooks))
        settings = {
            "BACKGROUND_WORK": str(not has_worker).lower(),
            "PAYMENT_PROVIDER_ADDRESS": f"http://{provider.address}",
            "PAYMENT_PROVIDER_KEY_FILE": str(key),
            "PAYMENT_WEBHOOK_SECRETS_FILE": str(secrets),
        }
        orders = stack.enter_context(bench.serving(bench.uri, **settings))
        working = {**bench.settings, "DATABASE_URI": bench.uri, **settings}
        worker = stack.enter_context(served(WORKER, folder, working)) if has_worker else None
        gateway = stack.enter_context(served(GATEWAY, folder, {**bench.settings, "RUN_ADDRESS": edge, "ORDERS_ADDRESS": orders.address}))
        empty = stack.enter_context(served(EMPTY, folder, {**bench.settings, "DATABASE_URI": bench.uri}))
        yield _Till(bench, orders, worker, provider, gateway, empty)


def _measure(till: _Till, samples: Mapping[str, list[_Sample]], plan: PaymentsPlan, say: Say) -> None:
    """Adds samples of each, in turns, after a few calls that are not counted."""
    for name in samples:
        till.sample(name, WARM_UP)
    for number in range(1, plan.rounds + 1):
        for name, taken in samples.items():
            taken.append(till.sample(name, round(PER_S * plan.seconds)))
            last = _measured(name, taken[-1:])
            say(f"{number}/{plan.rounds} {TITLES[name]}: p50 {last.p50_ms:.2f} ms, p99 {last.p99_ms:.2f} ms")


def _empties(count: int) -> list[bytes]:
    return [
        balance_service_pb2.WithdrawPointsRequest(
            account="programs/main/accounts/bench", amount=1, order_number="18", request_id=str(uuid4())
        ).SerializeToString()
        for _ in range(count)
    ]
