"""What orders do to stock, in a transaction of theirs. After every test the rules of the location hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.domain.inventory.errors import LotNotFound, ReservationNotFound, ReservationStateRefused, StockShort
from services.orders.domain.inventory.shortage import ShortLine
from tests.orders.integration.inventory.conftest import CAUSE, Shop
from tests.orders.stock_rows import LevelRow, add_lot, days, movements


async def test_reserved_units_are_no_longer_available_and_still_on_hand(shop: Shop) -> None:
    sku, _ = await shop.medicine((10, days(100)))

    await shop.hold({sku: 4})

    assert await shop.level(sku) == LevelRow(on_hand=10, reserved=4)


async def test_of_a_cart_that_is_short_nothing_is_held_and_every_short_line_is_named(shop: Shop) -> None:
    plenty, _ = await shop.medicine((10, days(100)))
    scarce, _ = await shop.medicine((3, days(100)))
    await shop.hold({scarce: 1})

    with pytest.raises(StockShort) as refused:
        await shop.hold({plenty: 1, scarce: 3, "never-here": 2})

    assert set(refused.value.lines) == {ShortLine(scarce, 3, 2), ShortLine("never-here", 2, 0)}
    assert await shop.level(plenty) == LevelRow(10, 0)


async def test_a_refused_cart_leaves_the_transaction_as_it_was(shop: Shop) -> None:
    sku, _ = await shop.medicine((2, days(100)))
    async with shop.stock() as stock:
        later = datetime.now(UTC) + timedelta(minutes=5)
        with pytest.raises(StockShort):
            await stock.reserve(uuid4(), shop.location, {sku: 3}, order_id=None, expires_at=later, cause=CAUSE)
        await stock.reserve(uuid4(), shop.location, {sku: 2}, order_id=None, expires_at=later, cause=CAUSE)

    assert await shop.level(sku) == LevelRow(2, 2)


async def test_units_that_expired_and_were_not_moved_out_yet_are_not_held(shop: Shop) -> None:
    sku, _ = await shop.medicine((5, days(29)), (5, days(30)), min_remaining_shelf_days=30)

    with pytest.raises(StockShort) as refused:
        await shop.hold({sku: 6})
    await shop.hold({sku: 5})

    assert refused.value.lines == (ShortLine(sku, 6, 5),)


async def test_a_cart_of_200_lines_is_held_and_sold(shop: Shop) -> None:
    skus = [(await shop.medicine((2, days(100))))[0] for _ in range(200)]

    await shop.sold(dict.fromkeys(skus, 2))

    assert [await shop.level(sku) for sku in skus] == [LevelRow(0, 0)] * 200


async def test_a_sale_takes_the_lots_that_expire_first_and_binds_them(shop: Shop) -> None:
    sku, (late, soon, latest) = await shop.medicine((10, days(300)), (3, days(100)), (10, days(400)))
    held = await shop.hold({sku: 5})

    async with shop.stock() as stock:
        bound = await stock.commit(held, CAUSE)

    assert [(lot.lot_id, lot.quantity, lot.expires_on) for lot in bound] == [(soon, 3, days(100)), (late, 2, days(300))]
    assert await shop.units(soon, late, latest) == [0, 8, 10]
    assert await shop.level(sku) == LevelRow(18, 0)


async def test_a_sale_passes_over_lots_that_nobody_may_sell(shop: Shop) -> None:
    sku, (short, fit) = await shop.medicine((5, days(29)), (5, days(30)), min_remaining_shelf_days=30)
    async with shop.transaction() as connection:
        for state in ("QUARANTINED", "RECALLED", "EXPIRED"):
            await add_lot(connection, sku, 5, location=shop.location, expires_on=days(50), state=state)

    await shop.sold({sku: 5})

    assert await shop.units(short, fit) == [5, 0]


async def test_selling_again_changes_nothing_and_returns_the_same_lots(shop: Shop) -> None:
    sku, _ = await shop.medicine((3, days(10)), (3, days(20)))
    held = await shop.hold({sku: 4})
    async with shop.stock() as stock:
        first = await stock.commit(held, CAUSE)
    async with shop.stock() as stock:
        assert list(await stock.commit(held, CAUSE)) == list(first)

    assert await shop.level(sku) == LevelRow(2, 0)


async def test_what_was_lost_meanwhile_can_not_be_sold_and_stays_held(shop: Shop) -> None:
    sku, (lost, kept) = await shop.medicine((4, days(10)), (2, days(20)))
    other, _ = await shop.medicine((4, days(10)))
    held = await shop.hold({sku: 5, other: 4})
    await shop.set_state(lost, "RECALLED")

    async with shop.stock() as stock:
        with pytest.raises(StockShort) as refused:
            await stock.commit(held, CAUSE)
    with pytest.raises(StockShort) as no_more:
        await shop.hold({sku: 1})

    assert refused.value.lines == (ShortLine(sku, 5, 2),)
    assert no_more.value.lines == (ShortLine(sku, 1, 0),)
    assert await shop.level(sku) == LevelRow(2, 5)
    assert await shop.level(other) == LevelRow(4, 4)
    assert await shop.units(kept) == [2]


async def test_freed_units_are_available_again_once(shop: Shop) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await shop.hold({sku: 5})
    async with shop.stock() as stock:
        assert await stock.release(held, CAUSE)
        assert not await stock.release(held, CAUSE, expired=True)

    assert await shop.level(sku) == LevelRow(5, 0)
    await shop.hold({sku: 5})


async def test_a_reservation_that_has_ended_is_neither_sold_nor_extended(shop: Shop) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await shop.hold({sku: 5})
    async with shop.stock() as stock:
        await stock.release(held, CAUSE, expired=True)
        for refused in (stock.commit(held, CAUSE), stock.extend(held, datetime.now(UTC)), stock.restock(held, CAUSE)):
            with pytest.raises(ReservationStateRefused) as error:
                await refused
            assert error.value.metadata == {"state": "EXPIRED"}


async def test_a_sold_reservation_can_not_be_freed_and_an_unsold_one_not_restocked(shop: Shop) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    sold, held = await shop.sold({sku: 2}), await shop.hold({sku: 2})
    async with shop.stock() as stock:
        for refused in (stock.release(sold, CAUSE), stock.restock(held, CAUSE), stock.dispatch(held, CAUSE)):
            with pytest.raises(ReservationStateRefused):
                await refused


async def test_nobody_does_anything_with_a_reservation_that_is_not_there(shop: Shop) -> None:
    nothing = uuid4()
    async with shop.stock() as stock:
        for refused in (
            stock.commit(nothing, CAUSE),
            stock.release(nothing, CAUSE),
            stock.extend(nothing, datetime.now(UTC)),
            stock.restock(nothing, CAUSE),
            stock.swap(nothing, {}, CAUSE),
            stock.dispatch(nothing, CAUSE),
            stock.take_back(nothing, {}, CAUSE),
        ):
            with pytest.raises(ReservationNotFound):
                await refused
        assert await stock.bound(nothing) == []


async def test_a_hold_is_extended_and_never_shortened(shop: Shop) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await shop.hold({sku: 1})
    async with shop.transaction() as connection:
        stock, late = PostgresStock(connection), datetime(2100, 1, 1, tzinfo=UTC)
        await stock.extend(held, late)
        await stock.extend(held, datetime.now(UTC))
        found = await connection.exec_driver_sql("select expires_at from reservation where reservation_id = %s", (held,))
        assert found.scalar_one() == late


async def test_restocked_units_go_back_to_their_lots_once_and_to_no_level_where_the_lot_is_not_sold_any_more(shop: Shop) -> None:
    sku, (recalled, fine) = await shop.medicine((3, days(10)), (9, days(20)))
    sold = await shop.sold({sku: 5})
    await shop.set_state(recalled, "RECALLED")

    async with shop.stock() as stock:
        await stock.restock(sold, CAUSE)
        await stock.restock(sold, CAUSE)
        assert await stock.bound(sold) == []

    assert await shop.units(recalled, fine) == [3, 9]
    assert await shop.level(sku) == LevelRow(on_hand=9, reserved=0)


async def test_other_lots_are_packed_in_place_of_those_that_were_bound(shop: Shop) -> None:
    sku, (first, second) = await shop.medicine((4, days(10)), (4, days(20)))
    other, (kept,) = await shop.medicine((4, days(10)))
    sold = await shop.sold({sku: 3, other: 1})
    async with shop.stock() as stock:
        numbers = {lot.lot_id: lot.lot_number for lot in await stock.bound(sold)}
        number_of_second = await number(shop, second)

        bound = await stock.swap(sold, {sku: {numbers[first]: 1, number_of_second: 2}}, CAUSE)

    assert {(lot.lot_id, lot.quantity) for lot in bound} == {(first, 1), (second, 2), (kept, 1)}
    assert await shop.units(first, second, kept) == [3, 2, 3]
    assert await shop.level(sku) == LevelRow(5, 0)


async def test_a_recalled_lot_is_swapped_out_but_never_packed(shop: Shop) -> None:
    sku, (recalled, good) = await shop.medicine((4, days(10)), (4, days(20)))
    sold = await shop.sold({sku: 4})
    await shop.set_state(recalled, "RECALLED")
    async with shop.stock() as stock:
        with pytest.raises(LotNotFound) as refused:
            await stock.swap(sold, {sku: {await number(shop, recalled): 4}}, CAUSE)
        await stock.swap(sold, {sku: {await number(shop, good): 4}}, CAUSE)

    assert refused.value.metadata == {"sku": sku, "lot": await number(shop, recalled)}
    assert await shop.units(recalled, good) == [4, 0]
    assert await shop.level(sku) == LevelRow(0, 0)


async def test_only_lots_of_the_place_that_have_enough_and_keep_long_enough_are_packed(shop: Shop) -> None:
    sku, (bound, scarce, short) = await shop.medicine((4, days(60)), (2, days(70)), (9, days(29)), min_remaining_shelf_days=30)
    sold = await shop.sold({sku: 4})
    async with shop.transaction() as connection:
        elsewhere = await add_lot(connection, sku, 9)
    async with shop.stock() as stock:
        numbers = [await number(shop, lot) for lot in (scarce, short, elsewhere)]
        for packed in (*numbers, "no such lot"):
            with pytest.raises(LotNotFound):
                await stock.swap(sold, {sku: {packed: 3, await number(shop, bound): 1}}, CAUSE)
        with pytest.raises(ValueError, match="as many units"):
            await stock.swap(sold, {sku: {await number(shop, bound): 3}}, CAUSE)

    assert await shop.units(bound, scarce, short) == [0, 2, 9]


async def test_what_leaves_is_noted_and_changes_no_level(shop: Shop) -> None:
    sku, (first, second) = await shop.medicine((2, days(10)), (9, days(20)))
    sold = await shop.sold({sku: 3})
    async with shop.stock() as stock:
        await stock.dispatch(sold, CAUSE)

    async with shop.transaction() as connection:
        noted = [row for row in await movements(connection, sku, shop.location) if row.kind == "DISPATCH"]
    assert [(row.lot_id, row.on_hand_after, row.reserved_after, row.lot_delta) for row in noted] == [(first, 8, 0, 0), (second, 8, 0, 0)]


@pytest.mark.parametrize("state", ["RECALLED", "QUARANTINED"])
async def test_what_was_set_aside_after_it_was_sold_does_not_leave(shop: Shop, state: str) -> None:
    sku, (_, second) = await shop.medicine((2, days(10)), (9, days(20)))
    sold = await shop.sold({sku: 3})
    await shop.set_state(second, state)

    async with shop.stock() as stock:
        with pytest.raises(LotNotFound) as refused:
            await stock.dispatch(sold, CAUSE)

    assert refused.value.metadata == {"sku": sku, "lot": await number(shop, second)}
    async with shop.transaction() as connection:
        assert [row for row in await movements(connection, sku, shop.location) if row.kind == "DISPATCH"] == []


async def test_what_has_expired_after_it_was_sold_does_not_leave(shop: Shop) -> None:
    sku, (lot,) = await shop.medicine((5, days(0)))
    sold = await shop.sold({sku: 3})
    async with shop.stock() as stock:
        await stock.dispatch(sold, CAUSE)
    async with shop.transaction() as connection:
        await connection.exec_driver_sql("update stock_lot set expires_on = current_date - 1 where lot_id = %s", (lot,))

    async with shop.stock() as stock:
        with pytest.raises(LotNotFound):
            await stock.dispatch(sold, CAUSE)


async def test_units_that_come_back_go_to_lots_of_their_own_that_nobody_sells(shop: Shop) -> None:
    sku, (first, second) = await shop.medicine((2, days(10)), (9, days(20)))
    sold = await shop.sold({sku: 5})
    async with shop.stock() as stock:
        await stock.take_back(sold, {sku: 2}, CAUSE)
        await stock.take_back(sold, {sku: 2}, CAUSE)
        with pytest.raises(ValueError, match="more units"):
            await stock.take_back(sold, {sku: 2}, CAUSE)

    assert await shop.level(sku) == LevelRow(6, 0)
    assert await shop.units(first, second) == [0, 6]
    assert await returned(shop, sku) == {(await number(shop, first), "QUARANTINED", 1), (await number(shop, second), "QUARANTINED", 3)}


async def test_units_of_a_recalled_lot_come_back_as_recalled(shop: Shop) -> None:
    sku, (lot,) = await shop.medicine((5, days(10)))
    sold = await shop.sold({sku: 5})
    await shop.set_state(lot, "RECALLED")
    async with shop.stock() as stock:
        await stock.take_back(sold, {sku: 1}, CAUSE)

    assert await returned(shop, sku) == {(await number(shop, lot), "RECALLED", 1)}


async def test_every_change_leaves_movements_that_say_who_why_and_what_is_there_after(shop: Shop) -> None:
    sku, (first, second) = await shop.medicine((2, days(10)), (9, days(20)))
    await shop.sold({sku: 3})

    async with shop.transaction() as connection:
        told = [
            (row.kind, row.lot_id, row.on_hand_delta, row.reserved_delta, row.on_hand_after, row.reserved_after, row.lot_delta)
            for row in await movements(connection, sku, shop.location)
            if row.actor == CAUSE.actor and row.reference == CAUSE.reference and row.reason == CAUSE.reason
        ]
    assert told == [
        ("RESERVE", None, 0, 3, 11, 3, 0),
        ("COMMIT", first, -2, -2, 9, 1, -2),
        ("COMMIT", second, -1, -1, 8, 0, -1),
    ]


async def number(shop: Shop, lot_id: object) -> str:
    async with shop.engine.connect() as connection:
        found = await connection.exec_driver_sql("select lot_number from stock_lot where lot_id = %s", (lot_id,))
        text: str = found.scalar_one()
        return text


async def returned(shop: Shop, sku: str) -> set[tuple[str, str, int]]:
    async with shop.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "select lot_number, state, on_hand from stock_lot where sku = %s and location_id = %s and origin = 'RETURN'",
            (sku, shop.location),
        )
        return {(row.lot_number, row.state, row.on_hand) for row in found}
