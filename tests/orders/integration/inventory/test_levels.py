"""Locations, levels, movements and the comparison of them all, over the contract; and who may call what."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc
import psycopg
import pytest
from galen.inventory.v1 import inventory_service_pb2 as messages
from galen.inventory.v1 import stock_pb2

from services.orders.adapters.postgres.tables import SCHEMA
from shared.postgres.conninfo import service_conninfo
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from tests.orders.integration.inventory.conftest import Shop
from tests.orders.integration.inventory.desk import LOST, Desk, day, request_id, soon
from tests.orders.stock_rows import days


async def test_a_location_is_added_once(desk: Desk) -> None:
    key, new_id = request_id(), f"shop-{uuid4().hex[:8]}"
    wanted = {"location_id": new_id, "display_name": "Old Town", "request_id": key}
    together = await asyncio.gather(*(desk.call("CreateLocation", **wanted) for _ in range(4)))
    added, again = together[0].location, (await desk.call("CreateLocation", **wanted)).location
    taken = await refusal_of(desk.call("CreateLocation", location_id=new_id, display_name="Old Town"))
    reused = await refusal_of(desk.call("CreateLocation", location_id=new_id, display_name="New Town", request_id=key))

    assert (added.name, added.display_name) == (f"locations/{new_id}", "Old Town")
    assert [one.location for one in together] == [added] * 4
    assert again == added
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "LOCATION_EXISTS")
    assert reused.reason == "REQUEST_ID_REUSED"


async def test_locations_are_listed_by_name_page_by_page_and_main_is_there_from_the_start(desk: Desk) -> None:
    names, token = [], ""
    while True:
        page = await desk.call("ListLocations", page_size=3, page_token=token)
        assert len(page.locations) <= 3
        names += [location.name for location in page.locations]
        token = page.next_page_token
        if not token:
            break

    assert names == sorted(names)
    assert "locations/main" in names
    assert desk.parent in names


@pytest.mark.parametrize("location_id", ["", "-", "UPPER", "a b", "a/b", "x" * 41, "ä"])
async def test_a_location_has_an_id_that_fits_into_names(desk: Desk, location_id: str) -> None:
    refused = await refusal_of(desk.call("CreateLocation", location_id=location_id, display_name="A"))

    assert refused.message.startswith("location_id")


async def test_levels_are_read_in_the_order_that_was_asked_and_zero_where_there_was_nothing(shop: Shop, desk: Desk) -> None:
    first, _ = await shop.medicine((5, days(10)))
    second, _ = await shop.medicine((6, days(10)))
    await shop.hold({first: 2})

    levels = (await desk.call("BatchGetStockLevels", parent=desk.parent, skus=[second, "never", first, second])).levels

    assert [(level.name, level.on_hand, level.reserved, level.available) for level in levels] == [
        (desk.level_name(second), 6, 0, 6),
        (desk.level_name("never"), 0, 0, 0),
        (desk.level_name(first), 5, 2, 3),
        (desk.level_name(second), 6, 0, 6),
    ]
    assert await desk.level(first) == levels[2]
    nowhere = await refusal_of(desk.call("BatchGetStockLevels", parent="locations/nowhere", skus=["A"]))
    assert nowhere.reason == "LOCATION_NOT_FOUND"
    for name in (desk.level_name("never"), "locations/nowhere/stockLevels/A"):
        assert (await refusal_of(desk.call("GetStockLevel", name=name))).reason == "STOCK_NOT_FOUND"


async def test_a_level_is_low_from_its_reorder_point_down(shop: Shop, desk: Desk) -> None:
    low, (lot,) = await shop.medicine((5, days(10)))
    high, _ = await shop.medicine((6, days(10)))
    unwatched, _ = await shop.medicine((0, days(10)))
    empty, _ = await shop.medicine()
    for sku in (low, high, empty):
        await desk.call("UpdateStockLevel", name=desk.level_name(sku), reorder_point=4)

    async def listed(**fields: object) -> list[str]:
        found, token = [], ""
        while True:
            page = await desk.call("ListStockLevels", parent=desk.parent, page_size=2, page_token=token, **fields)
            found += [level.sku for level in page.levels]
            token = page.next_page_token
            if not token:
                return found

    assert await listed() == sorted([low, high, unwatched, empty])
    assert await listed(low_only=True) == [empty]
    await shop.hold({low: 1})
    assert await listed(low_only=True) == sorted([empty, low])
    await desk.adjust(f"{desk.parent}/lots/{lot}", 5, delta=-5, reason=LOST)
    assert await listed(low_only=True) == sorted([empty, low])
    await desk.call("UpdateStockLevel", name=desk.level_name(empty), reorder_point=0)
    assert await listed(low_only=True) == [low]


@pytest.mark.parametrize("method", ["ListStockLevels", "ListLots", "ListStockMovements"])
async def test_a_list_of_a_place_that_does_not_exist_is_not_an_empty_one(shop: Shop, desk: Desk, method: str) -> None:
    assert (await desk.call(method, parent=desk.parent)).next_page_token == ""
    refused = await refusal_of(desk.call(method, parent="locations/nowhere"))

    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "LOCATION_NOT_FOUND")


async def test_setting_a_reorder_point_needs_a_place_and_a_medicine_and_changes_nothing_else(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)))
    before, key = await desk.level(sku), request_id()

    wanted = {"name": desk.level_name(sku), "reorder_point": 3, "request_id": key}
    together = await asyncio.gather(*(desk.call("UpdateStockLevel", **wanted) for _ in range(4)))
    after, again = together[0].level, (await desk.call("UpdateStockLevel", **wanted)).level

    assert (after.on_hand, after.reorder_point) == (5, 3)
    assert after.etag != before.etag
    assert [one.level for one in together] == [after] * 4
    assert again == after
    no_sku = await refusal_of(desk.call("UpdateStockLevel", name=desk.level_name("nothing"), reorder_point=3))
    nowhere = await refusal_of(desk.call("UpdateStockLevel", name=f"locations/nowhere/stockLevels/{sku}", reorder_point=3))
    reused = await refusal_of(desk.call("UpdateStockLevel", name=desk.level_name(sku), reorder_point=4, request_id=key))
    assert [error.reason for error in (no_sku, nowhere, reused)] == ["SKU_NOT_FOUND", "LOCATION_NOT_FOUND", "REQUEST_ID_REUSED"]


async def test_movements_are_listed_newest_first_of_a_sku_or_a_lot(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    other, _ = await shop.medicine((1, days(5)))
    lot = (await desk.receive(sku, 5, days(10))).lot
    later = (await desk.receive(sku, 5, days(20))).lot
    await shop.sold({sku: 6})

    async def listed(**fields: object) -> list[stock_pb2.StockMovement]:
        found, token = [], ""
        while True:
            page = await desk.call("ListStockMovements", parent=desk.parent, page_size=2, page_token=token, **fields)
            found += page.movements
            token = page.next_page_token
            if not token:
                return found

    numbers = [movement.number for movement in await listed()]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 6
    kinds = [stock_pb2.MovementKind.Name(one.kind).removeprefix("MOVEMENT_KIND_") for one in await listed(sku=sku)]
    assert kinds == ["COMMIT", "COMMIT", "RESERVE", "RECEIVE", "RECEIVE"]
    assert [one.lot_delta for one in await listed(lot=lot.name)] == [-5, 5]
    assert [one.lot_delta for one in await listed(lot=later.name, sku=sku)] == [-1, 5]
    assert [one.sku for one in await listed(sku=other)] == [other]
    for fields in ({"lot": f"{desk.parent}/lots/nothing"}, {"lot": f"locations/main/lots/{lot.name.split('/')[-1]}"}, {"sku": "nothing"}):
        assert await listed(**fields) == []


async def test_stock_that_adds_up_has_no_differences(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(10)), (5, days(20)))
    await desk.call("UpdateStockLevel", name=desk.level_name((await shop.medicine())[0]), reorder_point=3)
    await shop.sold({sku: 6})
    await shop.hold({sku: 3})

    assert await desk.reconcile() == ([], 2)
    assert (await desk.reconcile("locations/-"))[1] > 2
    assert (await refusal_of(read_all(desk, "locations/nowhere"))).reason == "LOCATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("damage", "rule", "expected", "actual"),
    [
        ("update stock_level set reserved = 4", "RESERVED_IS_SUM_OF_HELD_LINES", 3, 4),
        ("update stock_level set on_hand = 11", "ON_HAND_IS_SUM_OF_SELLABLE_LOTS", 10, 11),
        ("update stock_level set on_hand = 11", "LEVEL_IS_LAST_MOVEMENT", 10, 11),
        ("update stock_level set reserved = 2", "LEVEL_IS_LAST_MOVEMENT", 3, 2),
        ("update stock_lot set on_hand = 9", "LOT_IS_SUM_OF_MOVEMENTS", 10, 9),
        ("update stock_lot set state = 'RECALLED'", "ON_HAND_IS_SUM_OF_SELLABLE_LOTS", 0, 10),
        ("update reservation set state = 'RELEASED'", "RESERVED_IS_SUM_OF_HELD_LINES", 0, 3),
    ],
)
async def test_whoever_writes_past_the_service_is_noticed(
    shop: Shop, desk: Desk, damage: str, rule: str, expected: int, actual: int
) -> None:
    sku, _ = await shop.medicine((10, days(10)))
    await shop.hold({sku: 3})
    async with shop.transaction() as connection:
        await connection.exec_driver_sql(f"{damage} where location_id = %s", (shop.location,))

    differences, compared = await desk.reconcile()

    async with shop.transaction() as connection:
        for repair in (
            "update stock_level set on_hand = 10, reserved = 3",
            "update stock_lot set on_hand = 10, state = 'SELLABLE'",
            "update reservation set state = 'HELD'",
        ):
            await connection.exec_driver_sql(f"{repair} where location_id = %s", (shop.location,))
    assert compared == 1
    assert (desk.level_name(sku), messages.StockRule.Value(f"STOCK_RULE_{rule}"), expected, actual) in [
        (one.level, one.rule, one.expected, one.actual) for one in differences
    ]


async def test_a_comparison_sees_one_moment_while_stock_moves(shop: Shop, desk: Desk) -> None:
    skus = [(await shop.medicine((50, days(10))))[0] for _ in range(3)]

    async def trade() -> None:
        for _ in range(10):
            await shop.sold(dict.fromkeys(skus, 1))

    trading = asyncio.gather(*(trade() for _ in range(3)))
    seen = [await desk.reconcile() for _ in range(15)]
    await trading

    assert seen == [([], 3)] * 15


READERS = ("staff", "pharmacist", "admin")
CALLS: list[tuple[str, dict[str, object], tuple[str, ...]]] = [
    ("CreateLocation", {"location_id": "x", "display_name": "X"}, ("admin",)),
    ("ListLocations", {}, ("customer", *READERS)),
    ("GetStockLevel", {"name": "locations/main/stockLevels/no"}, (*READERS, "services/orders")),
    ("BatchGetStockLevels", {"parent": "locations/main", "skus": ["no"]}, (*READERS, "services/orders")),
    ("ListStockLevels", {"parent": "locations/main"}, READERS),
    ("UpdateStockLevel", {"name": "locations/main/stockLevels/no"}, ("staff", "admin")),
    ("ReceiveLot", {"parent": "locations/main", "sku": "no", "lot_number": "L", "expire_date": day(days(9)), "quantity": 1}, READERS),
    ("GetLot", {"name": "locations/main/lots/no"}, READERS),
    ("ListLots", {"parent": "locations/main"}, READERS),
    ("AdjustStock", {"name": "locations/main/lots/no", "counted": 1, "reason": LOST}, READERS),
    ("QuarantineLot", {"name": "locations/main/lots/no", "reason": "x"}, READERS),
    ("ReleaseLot", {"name": "locations/main/lots/no", "reason": "x"}, ("pharmacist", "admin")),
    ("RecallLot", {"sku": "no", "lot_number": "x", "reason": "x"}, ("pharmacist", "admin")),
    ("ListStockMovements", {"parent": "locations/main"}, READERS),
    (
        "CreateReservation",
        {"location": "locations/main", "lines": [{"sku": "no", "quantity": 1}], "expire_time": soon(days=1)},
        ("admin", "services/orders"),
    ),
    ("GetReservation", {"name": "reservations/no"}, (*READERS, "services/orders")),
    ("ExtendReservation", {"name": "reservations/no", "expire_time": soon(days=1)}, ("admin", "services/orders")),
    ("CommitReservation", {"name": "reservations/no"}, ("admin", "services/orders")),
    ("ReleaseReservation", {"name": "reservations/no"}, ("admin", "services/orders")),
]
CALLERS = ("customer", "staff", "pharmacist", "admin", "services/orders", "services/gateway")


@pytest.mark.parametrize(("method", "fields", "allowed"), CALLS, ids=[method for method, _, _ in CALLS])
async def test_only_who_may_call_is_served(
    desk: Desk, identities: Identities, method: str, fields: dict[str, object], allowed: tuple[str, ...]
) -> None:
    if method == "CreateLocation":
        fields = {**fields, "location_id": f"x-{uuid4().hex[:8]}"}
    for caller in CALLERS:
        kind, _, name = caller.partition("/")
        metadata = identities.service(name) if kind == "services" else identities.customer(str(uuid4()), roles=(caller,))
        code = await code_of(desk.seen_by(metadata), method, fields)
        assert (code is not grpc.StatusCode.PERMISSION_DENIED) == (caller in allowed), (caller, code)
    assert await code_of(desk.seen_by(()), method, fields) is grpc.StatusCode.UNAUTHENTICATED
    assert await code_of(desk.seen_by((("authorization", "Bearer x.y.z"),)), method, fields) is grpc.StatusCode.UNAUTHENTICATED


async def test_streams_too_serve_only_who_may_call(desk: Desk, identities: Identities) -> None:
    def metadata(role: str) -> Desk:
        return desk.seen_by(identities.customer(str(uuid4()), roles=(role,)))

    for role in ("customer", "pharmacist"):
        assert (await refusal_of(read_all(metadata(role), desk.parent))).code is grpc.StatusCode.PERMISSION_DENIED
        assert (await refusal_of(metadata(role).import_rows([]))).code is grpc.StatusCode.PERMISSION_DENIED
    for role in ("staff", "admin"):
        assert (await metadata(role).reconcile())[1] == 0
        assert await metadata(role).import_rows([]) == []
    assert (await desk.seen_by(identities.service("orders")).reconcile())[1] == 0


async def test_the_service_can_not_rewrite_what_has_moved(desk: Desk, database_uri: str, orders_role: str) -> None:
    with psycopg.connect(service_conninfo(database_uri, schema=SCHEMA, role=orders_role)) as connection:
        for statement in ("update reservation_line set quantity = 1", "delete from stock_lot", "delete from stock_level"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


async def read_all(desk: Desk, parent: str) -> object:
    return await desk.reconcile(parent)


async def code_of(desk: Desk, method: str, fields: dict[str, object]) -> grpc.StatusCode:
    try:
        await desk.call(method, **fields)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
