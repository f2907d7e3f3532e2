"""A soak: the payment provider fails by chance, customers do what they like, and the orders process is killed now and then.

Afterwards, when everything has come to its end, all books agree. `make test-chaos` runs it for five minutes; SOAK_S says how long,
SOAK_SEED which chance. The same seed makes the same faults and wishes, though not the same races.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections import Counter as Tally
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.accrual_sim.rewards import RewardType
from deploy.local.payment_sim.chaos import ChaosSettings
from deploy.local.payment_sim.testing import API_KEY, WEBHOOK_SECRET, SimulatorHandle, running_simulator
from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, free_port, served
from tests.chaos.shoppers import Market, Shopper
from tests.gateway.serving import served_gateway
from tests.orders.books import account_findings, money_of_books, money_of_provider, payment_differences, stock_differences
from tests.orders.counter import open_counter
from tests.orders.customers_peer import people_served
from tests.orders.earning import accrual_served
from tests.orders.orders_process import orders_process
from tests.orders.shop import QUICK, owner_engine, shop_database
from tests.orders.till import Till, eventually

SOAK_S = float(os.environ.get("SOAK_S", "300"))
SEED = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
SHOPPERS = 8
# Between two kills.
LIVES_S = (2.0, 12.0)
# Looks at what nobody tells of come after half a minute.
DRAIN_S = 240.0
UNDER_WAY = """
select (select count(*) from payment where state < 6) as payments, (select count(*) from refund where state = 1) as refunds,
       (select count(*) from customer_order where state in (1, 7) or pending_operation <> 0) as orders,
       (select count(*) from webhook_event where state in ('NEW', 'WAITING')) as messages,
       (select count(*) from procrastinate_jobs where status in ('todo', 'doing')) as jobs
"""
# What a soak must have seen to have been one.
SEEN = ("order", "pay", "refund", "CancelOrder", "ApproveOrder", "HandOverOrder", "AcceptReturn", "pay again", "killed")


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(seed=SEED) as simulator:
        yield simulator


@pytest.fixture
def soak_settings(
    postgres_server_uri: str, identities: Identities, simulator: SimulatorHandle, balance_server: ServedService, tmp_path: Path
) -> Iterator[OrdersSettings]:
    """Of a process whose payers, reviewers and answers are soon overdue."""
    for name, text in (("token", identities.service_token("orders")), ("key", API_KEY), ("secrets", WEBHOOK_SECRET)):
        (tmp_path / name).write_text(text)
    with shop_database(postgres_server_uri) as (uri, role):
        yield OrdersSettings(
            grpc_address=f"127.0.0.1:{free_port()}",
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            service_token_file=tmp_path / "token",
            balance_address=balance_server.address,
            accrual_address=f"127.0.0.1:{free_port()}",
            payment_provider_address=simulator.url,
            payment_provider_key_file=tmp_path / "key",
            payment_webhook_secrets_file=tmp_path / "secrets",
            payment_provider_timeout_s=1.0,
            payment_look_every_s=1.0,
            payment_due_s=8.0,
            review_due_s=8.0,
            **QUICK,
        )


@pytest_asyncio.fixture
async def till(
    soak_settings: OrdersSettings, simulator: SimulatorHandle, balance_server: ServedService, identities: Identities, tmp_path: Path
) -> AsyncIterator[Till]:
    """The whole world but the orders process: the till's own server looks and prepares only."""
    async with AsyncExitStack() as stack:
        people = await stack.enter_async_context(people_served())
        accrual = accrual_served(soak_settings.accrual_address, soak_settings.database_uri, balance_server.address, identities, tmp_path)
        await (await stack.enter_async_context(accrual)).register_reward("Paracetamol", 7, RewardType.PERCENT)
        gateway = served_gateway(
            jwks_file=identities.jwks_file,
            customers_address=balance_server.address,
            accrual_address=balance_server.address,
            balance_address=balance_server.address,
            orders_address=soak_settings.grpc_address,
        )
        edge = await stack.enter_async_context(gateway)
        simulator.send_webhooks_to(f"{edge.url}/webhooks/payments")
        container = OrdersContainer(settings=_settings_of(soak_settings, people.port, background_work=False))
        server = await stack.enter_async_context(served(service_parts(container)))
        engine = await stack.enter_async_context(owner_engine(soak_settings))
        counter = await open_counter(server, identities, people, container.ordering().payment_steps(), engine)
        yield Till(counter, server, container, simulator, BalanceServiceStub(balance_server.channel), identities)


def _settings_of(settings: OrdersSettings, people: int, *, background_work: bool) -> OrdersSettings:
    return settings.model_copy(update={"customers_address": f"127.0.0.1:{people}", "background_work": background_work})


@pytest.mark.timeout(SOAK_S + DRAIN_S + 120)
async def test_after_hours_of_trouble_all_books_agree(
    till: Till, soak_settings: OrdersSettings, simulator: SimulatorHandle, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\na soak of {SOAK_S:g} s, SOAK_SEED={SEED}")
    chance, settings = random.Random(SEED), _settings_of(soak_settings, till.counter.people.port, background_work=True)
    async with grpc.aio.insecure_channel(settings.grpc_address, options=[("grpc.max_reconnect_backoff_ms", 500)]) as channel:
        skus = [await till.counter.medicine(100_000, price_minor=price) for price in (499, 1003, 77, 2500)]
        rx_skus = [await till.counter.medicine(100_000, price_minor=price, rx_required=True) for price in (333, 1999)]
        scarce = await till.counter.medicine(20, price_minor=650)
        market = Market(till, channel, (*skus, scarce), tuple(rx_skus))
        await soaked(market, settings, chance)
    async with orders_process("serve", settings, fault_at="", address=settings.grpc_address) as process:
        simulator.simulator.behave(replace(simulator.simulator.behaviour, chaos=None))
        await process.serves()
        await drained(till)
        await check_books(till)
    with capsys.disabled():
        print(", ".join(f"{what}: {count}" for what, count in sorted(market.tally.items())))
    assert [what for what in SEEN if not market.tally[what]] == []


async def soaked(market: Market, settings: OrdersSettings, chance: random.Random) -> None:
    simulator = market.till.simulator.simulator
    simulator.behave(replace(simulator.behaviour, chaos=ChaosSettings(SEED)))
    end = asyncio.get_running_loop().time() + SOAK_S

    async def shopping(shopper: Shopper) -> None:
        while asyncio.get_running_loop().time() < end:
            await shopper.shop()

    killing = asyncio.create_task(killed_now_and_then(settings, random.Random(chance.random()), market.tally))
    try:
        shoppers = [Shopper(market, random.Random(chance.random())) for _ in range(SHOPPERS)]
        await asyncio.gather(*map(shopping, shoppers))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def killed_now_and_then(settings: OrdersSettings, chance: random.Random, tally: Tally[str]) -> None:
    """Runs one process after the other; each is killed when its time has come."""
    while True:
        async with orders_process("serve", settings, fault_at="", address=settings.grpc_address) as process:
            await process.serves()
            await asyncio.sleep(chance.uniform(*LIVES_S))
        tally["killed"] += 1


async def drained(till: Till) -> None:
    async def is_quiet() -> bool:
        (row,) = await till.counter.rows(UNDER_WAY)
        return not any(row)

    assert await eventually(is_quiet, DRAIN_S), (await till.counter.rows(UNDER_WAY), await left_over(till))


async def left_over(till: Till) -> list[object]:
    """What a failed soak shows."""
    payments = "select payment_id, state, wish, card_standing, points_standing, settled, quarantined, look_at from payment where state < 6"
    jobs = "select task_name, status::text, attempts, args, scheduled_at from procrastinate_jobs where status in ('todo', 'doing')"
    orders = "select order_id, state, pending_operation from customer_order where state in (1, 7) or pending_operation <> 0"
    return [await till.counter.rows(f"{query} limit 10") for query in (payments, jobs, orders)]


async def check_books(till: Till) -> None:
    assert await payment_differences(till) == []
    assert await money_of_books(till) == money_of_provider(till)
    assert await stock_differences(till) == []
    assert await till.counter.broken_rules() == []
    assert await account_findings(till) == []
    quarantined = "select count(*) as n from payment where quarantined"
    assert (await till.counter.rows(quarantined))[0].n == 0
