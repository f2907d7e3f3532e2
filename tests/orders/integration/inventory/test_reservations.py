"""Reservations of no order, over the contract."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc

from shared.testing.errors import refusal_of
from tests.orders.integration.inventory.conftest import Shop
from tests.orders.integration.inventory.desk import COMMITTED, HELD, RELEASED, Desk, request_id, soon
from tests.orders.stock_rows import LevelRow, days
from tests.orders.world import add_order_row, new_customer


async def test_units_are_held_extended_and_sold(shop: Shop, desk: Desk) -> None:
    sku, (first, second) = await shop.medicine((2, days(10)), (9, days(20)))
    other, _ = await shop.medicine((5, days(10)))
    held = await desk.hold({sku: 3, other: 1})
    later = soon(days=29)

    extended = (await desk.call("ExtendReservation", name=held.name, expire_time=later)).reservation
    sooner = (await desk.call("ExtendReservation", name=held.name, expire_time=soon())).reservation
    sold = (await desk.call("CommitReservation", name=held.name)).reservation
    again = (await desk.call("CommitReservation", name=held.name)).reservation

    assert (held.state, held.location) == (HELD, desk.parent)
    assert [(line.sku, line.quantity, len(line.lots)) for line in held.lines] == sorted([(sku, 3, 0), (other, 1, 0)])
    assert extended.expire_time.ToMicroseconds() == later.ToMicroseconds()
    assert sooner.expire_time == extended.expire_time
    assert sold.state == COMMITTED
    lots = {line.sku: [(lot.lot.split("/")[-1], lot.quantity) for lot in line.lots] for line in sold.lines}
    assert lots[sku] == [(str(first), 2), (str(second), 1)]
    assert again == sold == (await desk.call("GetReservation", name=held.name)).reservation
    assert await shop.level(sku) == LevelRow(8, 0)
    assert {movement.reference for movement in await desk.movements(sku=sku)} == {"", held.name}


async def test_freed_units_are_freed_once(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await desk.hold({sku: 5})

    freed, again = [(await desk.call("ReleaseReservation", name=held.name)).reservation for _ in range(2)]

    assert freed.state == RELEASED
    assert again == freed
    assert await shop.level(sku) == LevelRow(5, 0)
    for method, fields in (("CommitReservation", {}), ("ExtendReservation", {"expire_time": soon()})):
        refused = await refusal_of(desk.call(method, name=held.name, **fields))
        assert (refused.reason, refused.metadata) == ("RESERVATION_STATE", {"state": "RELEASED"})


async def test_what_was_sold_is_not_freed(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await desk.hold({sku: 5})
    await desk.call("CommitReservation", name=held.name)

    for method, fields in (("ReleaseReservation", {}), ("ExtendReservation", {"expire_time": soon()})):
        refused = await refusal_of(desk.call(method, name=held.name, **fields))
        assert (refused.code, refused.metadata) == (grpc.StatusCode.FAILED_PRECONDITION, {"state": "COMMITTED"})


async def test_a_shortage_names_each_line_that_is_short(shop: Shop, desk: Desk) -> None:
    plenty, _ = await shop.medicine((50, days(10)))
    scarce = sorted([(await shop.medicine((1, days(10))))[0] for _ in range(2)])

    refused = await refusal_of(desk.hold({plenty: 5, **dict.fromkeys(scarce, 4), "never-here": 2}))

    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_STOCK")
    assert refused.metadata == {scarce[0]: "4/1", scarce[1]: "4/1", "never-here": "2/0"}
    assert await shop.level(plenty) == LevelRow(50, 0)


async def test_what_can_not_be_held_is_refused_before_anything_is(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((50, days(10)))
    twice = await refusal_of(desk.hold({}, lines=[{"sku": sku, "quantity": 1}, {"sku": sku, "quantity": 2}]))
    nowhere = await refusal_of(desk.hold({sku: 1}, location="locations/nowhere"))

    assert (twice.reason, twice.metadata) == ("DUPLICATE_SKU", {"sku": sku})
    assert nowhere.reason == "LOCATION_NOT_FOUND"
    for fields, field in (
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": f"A{number}", "quantity": 1} for number in range(201)]}, "lines"),
        ({"lines": [{"sku": sku, "quantity": 0}]}, "lines[0].quantity"),
        ({"lines": [{"sku": sku, "quantity": -1}]}, "lines[0].quantity"),
        ({"lines": [{"sku": sku, "quantity": 1_000_000_001}]}, "lines[0].quantity"),
        ({"expire_time": soon(days=31)}, "expire_time"),
        ({"expire_time": soon(days=-1)}, "expire_time"),
        ({"expire_time": None}, "expire_time"),
    ):
        refused = await refusal_of(desk.hold({sku: 1}, **fields))
        assert (refused.reason, refused.message.startswith(field)) == ("INVALID_REQUEST", True), refused.message
    assert await shop.level(sku) == LevelRow(50, 0)


async def test_the_most_that_can_be_asked_for_is_only_short(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))

    assert (await refusal_of(desk.hold({sku: 1_000_000_000}))).metadata == {sku: "1000000000/5"}


async def test_reservations_of_orders_belong_to_their_orders(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    async with shop.transaction() as connection:
        order_id = await add_order_row(connection, new_customer())
    name = f"reservations/{await shop.hold({sku: 2}, order_id=order_id)}"

    for method, fields in (("CommitReservation", {}), ("ReleaseReservation", {}), ("ExtendReservation", {"expire_time": soon()})):
        refused = await refusal_of(desk.call(method, name=name, **fields))
        assert (refused.reason, refused.metadata) == ("RESERVATION_STATE", {"state": "HELD"})
        assert "belongs to an order" in refused.message
    assert (await desk.call("GetReservation", name=name)).reservation.state == HELD


async def test_a_reservation_has_one_name(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    held = await desk.hold({sku: 1})

    for name in (f"reservations/{uuid4()}", "reservations/no", held.name.upper().replace("RESERVATIONS", "reservations")):
        for method in ("GetReservation", "CommitReservation", "ReleaseReservation"):
            assert (await refusal_of(desk.call(method, name=name))).reason == "RESERVATION_NOT_FOUND"


async def test_every_write_to_reservations_can_be_repeated_also_at_the_same_time(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((9, days(10)))
    key, end = request_id(), soon(days=2)
    held = await asyncio.gather(*(desk.hold({sku: 2}, request_id=key, expire_time=end) for _ in range(4)))
    reused = await refusal_of(desk.hold({sku: 3}, request_id=key, expire_time=end))

    assert all(one == held[0] for one in held)
    assert await shop.level(sku) == LevelRow(9, 2)
    assert reused.reason == "REQUEST_ID_REUSED"
    writes: list[tuple[str, dict[str, object]]] = [("ExtendReservation", {"expire_time": soon(days=3)}), ("CommitReservation", {})]
    for method, fields in writes:
        key = request_id()
        answers = await asyncio.gather(*(desk.call(method, name=held[0].name, request_id=key, **fields) for _ in range(4)))
        assert all(answer == answers[0] for answer in answers), method
    other, key = await desk.hold({sku: 1}), request_id()
    answers = await asyncio.gather(*(desk.call("ReleaseReservation", name=other.name, request_id=key) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
