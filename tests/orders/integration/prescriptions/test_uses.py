"""How orders use prescriptions up, each in its own transaction. The races fail when the rows are not locked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.prescriptions import add, count_use, give_back, lock_many
from services.orders.domain.errors import PrescriptionUsedUp
from services.orders.domain.prescriptions.prescription import Prescription, check_use
from tests.orders.world import a_prescription, add_order_row, new_customer, today

# All of them have a connection at the same time.
ORDERS = 8


async def stored(engine: AsyncEngine, prescription: Prescription) -> Prescription:
    async with engine.begin() as connection:
        assert await add(connection, prescription)
    return prescription


async def use(engine: AsyncEngine, customer_id: str, ids: Collection[UUID], *, start: asyncio.Barrier | None = None) -> UUID:
    """Does what the creation of an order does to its prescriptions, once all have come to the start; returns the order."""
    async with engine.begin() as connection:
        order_id = await add_order_row(connection, customer_id)
        if start is not None:
            await start.wait()
        found = await lock_many(connection, customer_id, ids)
        for prescription in found.values():
            check_use(prescription, prescription.skus[0], today())
        await count_use(connection, ids, order_id)
        return order_id


async def take_back(engine: AsyncEngine, order_id: UUID) -> None:
    async with engine.begin() as connection:
        await give_back(connection, order_id)


async def read(engine: AsyncEngine, prescription: Prescription) -> Prescription:
    async with engine.connect() as connection:
        return (await lock_many(connection, prescription.customer_id, [prescription.id]))[prescription.id]


async def test_the_last_use_of_a_prescription_goes_to_one_of_many_orders(engine: AsyncEngine) -> None:
    prescription = await stored(engine, a_prescription(refills=1, uses=1))

    start = asyncio.Barrier(ORDERS)

    async def order() -> str:
        try:
            await use(engine, prescription.customer_id, [prescription.id], start=start)
        except PrescriptionUsedUp:
            return "used up"
        return "used"

    assert Counter(await asyncio.gather(*(order() for _ in range(ORDERS)))) == {"used": 1, "used up": ORDERS - 1}
    after = await read(engine, prescription)
    assert (after.uses, after.version) == (2, 2)


async def test_orders_that_name_the_same_prescriptions_in_different_order_wait_for_each_other_without_a_deadlock(
    engine: AsyncEngine,
) -> None:
    customer_id = new_customer()
    all_of_them = [await stored(engine, a_prescription(customer_id=customer_id, refills=99)) for _ in range(6)]
    ids = [prescription.id for prescription in all_of_them]

    start = asyncio.Barrier(ORDERS)

    await asyncio.gather(*(use(engine, customer_id, ids[turn:] + ids[:turn], start=start) for turn in range(ORDERS)))

    assert [(await read(engine, one)).uses for one in all_of_them] == [ORDERS] * len(ids)


async def test_a_use_is_given_back_once(engine: AsyncEngine) -> None:
    customer_id = new_customer()
    kept, given = [await stored(engine, a_prescription(customer_id=customer_id, refills=5)) for _ in range(2)]
    await use(engine, customer_id, [kept.id, given.id])
    order_id = await use(engine, customer_id, [given.id, given.id])
    assert [(await read(engine, one)).uses for one in (kept, given)] == [1, 2]

    await asyncio.gather(*(take_back(engine, order_id) for _ in range(6)))
    await take_back(engine, order_id)

    assert [(await read(engine, one)).uses for one in (kept, given)] == [1, 1]


async def test_orders_with_the_same_prescriptions_give_them_back_at_once_without_a_deadlock(engine: AsyncEngine) -> None:
    customer_id = new_customer()
    all_of_them = [await stored(engine, a_prescription(customer_id=customer_id, refills=99)) for _ in range(60)]
    ids = [prescription.id for prescription in all_of_them]
    orders = [await use(engine, customer_id, ids) for turn in range(ORDERS)]
    start = asyncio.Barrier(ORDERS)

    async def end(order_id: UUID) -> None:
        async with engine.begin() as connection:
            await connection.execute(text("select 1"))
            await start.wait()
            await give_back(connection, order_id)

    await asyncio.gather(*map(end, orders))

    assert [(await read(engine, one)).uses for one in all_of_them] == [0] * len(ids)


async def test_an_order_without_prescriptions_uses_none_and_gives_none_back(engine: AsyncEngine) -> None:
    order_id = await use(engine, new_customer(), [])

    await take_back(engine, order_id)


async def test_a_prescription_is_found_under_its_owner_only(engine: AsyncEngine) -> None:
    prescription = await stored(engine, a_prescription())

    async with engine.connect() as connection:
        assert await lock_many(connection, new_customer(), [prescription.id]) == {}
        assert await lock_many(connection, prescription.customer_id, [prescription.id]) == {prescription.id: prescription}


async def test_a_number_is_given_once_to_a_customer_and_again_to_another(engine: AsyncEngine) -> None:
    first = await stored(engine, a_prescription(number="7"))

    async with engine.begin() as connection:
        assert not await add(connection, a_prescription(number="7", customer_id=first.customer_id))
        assert await add(connection, a_prescription(number="7"))
