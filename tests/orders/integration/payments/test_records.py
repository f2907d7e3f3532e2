"""What is recorded of a payment by what was seen of it last: nothing that others recorded meanwhile is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from galen.orders.v1 import payment_pb2

from deploy.local.payment_sim.faults import Fault as Ordered
from deploy.local.payment_sim.faults import FaultKind as Trouble
from deploy.local.payment_sim.faults import Operation
from services.orders.application.payments.ports import Draft, Known, PaymentRecords
from services.orders.domain.payments import changes
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Card, Wish
from shared.clock import SystemClock
from tests.orders.counter import Crew
from tests.orders.integration.payments.test_given_up import id_of
from tests.orders.shop import eventually
from tests.orders.till import Till

DRIVERS = 8


@pytest.fixture(autouse=True)
def _no_messages(till: Till) -> None:
    """Nobody else is to record anything."""
    till.simulator.set_faults(Ordered(Trouble.LOST, operation=Operation.WEBHOOK))


@pytest.fixture
def records(till: Till) -> PaymentRecords:
    return till.container.paying().records()


async def asked(till: Till, crew: Crew) -> payment_pb2.Payment:
    """A payment that its payer has to confirm."""
    return await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")


def said(kind: FactKind, amount_minor: int = 0, reference: str = "one") -> Fact:
    return Fact(kind, reference, SystemClock().now() + timedelta(seconds=5), amount_minor, "EUR" if amount_minor else "", "as a test says")


async def test_a_payment_that_is_as_it_was_seen_last_is_recorded_as_if_it_had_been_read_again(
    till: Till, crew: Crew, records: PaymentRecords
) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    draft = Draft(lambda now: changes.with_intent(now, now.intent, "secret"), (said(FactKind.ACTION_REQUIRED),))

    recorded = await records.record(last.payment.id, draft, last)

    assert recorded.payment.version == last.payment.version + 1
    assert (recorded.payment.client_secret, recorded.payment.card_standing) == ("secret", Card.ACTION_REQUIRED)
    assert recorded.payment.updated_at > last.payment.updated_at
    assert set(recorded.facts) == {*last.facts, *draft.facts}
    assert as_set(await records.read(last.payment.id)) == as_set(recorded)


async def test_what_others_recorded_meanwhile_stays(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    await records.record(last.payment.id, Draft(lambda now: changes.given_up(now, Wish.GIVE_UP)))

    recorded = await records.record(last.payment.id, Draft(lambda now: changes.with_intent(now, now.intent, "secret")), last)

    assert (recorded.payment.wish, recorded.payment.client_secret) == (Wish.GIVE_UP, "secret")
    assert as_set(await records.read(last.payment.id)) == as_set(recorded)


async def test_a_fact_without_an_effect_yet_counts_for_who_did_not_see_it(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    total = last.payment.card_minor
    early = await records.record(last.payment.id, Draft(facts=(said(FactKind.REFUNDED, 100),)))
    assert early.payment == last.payment

    recorded = await records.record(last.payment.id, Draft(facts=(said(FactKind.CAPTURED, total),)), last)

    assert (recorded.payment.captured_minor, recorded.payment.refunded_minor) == (total, 100)


async def test_a_fact_that_somebody_is_just_adding_is_waited_for(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    payment_id, taken = last.payment.id, said(FactKind.CAPTURED, last.payment.card_minor)
    async with till.counter.engine.begin() as other:
        await other.exec_driver_sql("select from payment where payment_id = %s for update", (payment_id,))
        recording = asyncio.create_task(records.record(payment_id, Draft(facts=(taken,)), last))
        await waited_for(till)
        await other.exec_driver_sql(
            "insert into payment_fact (payment_id, kind, reference, at, amount_minor, currency, detail)"
            " values (%s, 'REFUNDED', 're', clock_timestamp(), 100, 'EUR', '')",
            (payment_id,),
        )

    assert (await recording).payment.refunded_minor == 100


async def test_a_fact_that_is_known_is_no_news(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last, fact = await records.read(id_of(await asked(till, crew))), said(FactKind.PROCESSING)
    last = await records.record(last.payment.id, Draft(facts=(fact, fact)), last)
    again = await records.record(last.payment.id, Draft(facts=(replace(fact, detail="in other words"),)), last)

    assert again.facts == last.facts
    assert as_set(await records.read(last.payment.id)) == as_set(again)


async def test_a_version_that_a_crash_made_come_again_is_another(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    gives_up = "update payment set wish = 2, updated_at = clock_timestamp() where payment_id = %s returning 1"
    await till.counter.rows(gives_up, last.payment.id)

    recorded = await records.record(last.payment.id, Draft(facts=(said(FactKind.PROCESSING),)), last)

    assert (recorded.payment.wish, recorded.payment.card_standing) == (Wish.GIVE_UP, Card.PROCESSING)


async def test_drivers_that_record_at_once_lose_nothing(till: Till, crew: Crew, records: PaymentRecords) -> None:
    last = await records.read(id_of(await asked(till, crew)))
    drafts = [Draft(facts=(said(FactKind.CAPTURED, 1, reference=str(number)),)) for number in range(DRIVERS)]

    recorded = await asyncio.gather(*(records.record(last.payment.id, draft, last) for draft in drafts))

    now = await records.read(last.payment.id)
    assert set(now.facts) == {*last.facts, *(fact for draft in drafts for fact in draft.facts)}
    assert sorted(one.payment.version for one in recorded) == [last.payment.version + place for place in range(1, DRIVERS + 1)]
    assert now.payment.captured_minor == DRIVERS


async def test_only_what_the_provider_says_again_need_not_reach_the_disk_at_once(till: Till, crew: Crew, records: PaymentRecords) -> None:
    """Before somebody is asked for something, that they are has to be there after any crash."""
    last = await records.read(id_of(await asked(till, crew)))
    async with noting_durability(till):
        last = await records.record(last.payment.id, Draft(facts=(said(FactKind.PROCESSING),)), last)
        await records.record(last.payment.id, Draft(lambda now: changes.given_up(now, Wish.GIVE_UP)), last)

        noted = await till.counter.rows("select setting from durability order by number")

    assert [row.setting for row in noted] == ["off", "on"]


@asynccontextmanager
async def noting_durability(till: Till) -> AsyncIterator[None]:
    """Notes whether each change of a payment waits for the disk, until the block ends."""
    prepare = """
        create table durability (number int generated always as identity, setting text);
        grant insert on durability to public;
        create function note_durability() returns trigger language plpgsql as
            $$begin insert into durability (setting) values (current_setting('synchronous_commit')); return null; end$$;
        create trigger note_durability after update on payment for each row execute function note_durability()"""
    clear = "drop trigger note_durability on payment; drop function note_durability; drop table durability"
    async with till.counter.engine.begin() as connection:
        for statement in prepare.split(";\n"):
            await connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        async with till.counter.engine.begin() as connection:
            for statement in clear.split("; "):
                await connection.exec_driver_sql(statement)


async def waited_for(till: Till) -> None:
    """Returns when somebody waits for a payment's lock."""
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%%from payment%%' and pid <> pg_backend_pid()"

    async def is_waiting() -> bool:
        return bool(await till.counter.rows(query))

    assert await eventually(is_waiting)


def as_set(known: Known) -> tuple[object, ...]:
    """Facts come in no order."""
    return known.payment, known.order, Counter(known.facts)
