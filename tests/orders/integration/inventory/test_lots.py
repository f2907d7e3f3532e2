"""Lots over the contract: received, corrected, set aside, listed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import pytest

from shared.testing.errors import refusal_of
from tests.orders.integration.inventory.conftest import CAUSE, Shop
from tests.orders.integration.inventory.desk import COUNTED, DESTROYED, EXPIRED, LOST, QUARANTINED, SELLABLE, Desk, day, request_id
from tests.orders.stock_rows import add_lot, add_medicine, days


async def test_a_lot_that_comes_in_is_on_hand_and_grows_when_more_of_it_comes(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()

    first = await desk.receive(sku, 7, days(100), lot_number="L 1", reference="note 5")
    again = await desk.receive(sku, 3, days(100), lot_number="L 1")

    assert (first.lot.sku, first.lot.lot_number, first.lot.on_hand, first.lot.state) == (sku, "L 1", 7, SELLABLE)
    assert (first.lot.expire_date.year, first.lot.expire_date.day) == (days(100).year, days(100).day)
    assert (first.level.on_hand, first.level.available) == (7, 7)
    assert again.lot.name == first.lot.name
    assert (again.lot.on_hand, again.level.on_hand) == (10, 10)
    assert again.lot.etag != first.lot.etag
    assert again.lot.receive_time == first.lot.receive_time
    assert await desk.lot(first.lot.name) == again.lot
    told = [(one.lot, one.on_hand_delta, one.on_hand_after, one.lot_delta, one.reference) for one in await desk.movements(sku=sku)]
    assert told == [(first.lot.name, 3, 10, 3, ""), (first.lot.name, 7, 7, 7, "note 5")]


async def test_what_can_not_be_sold_is_not_taken_in(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine(min_remaining_shelf_days=30)
    lot = (await desk.receive(sku, 5, days(30), lot_number="A")).lot

    other_day = await refusal_of(desk.receive(sku, 5, days(31), lot_number="A"))
    too_short = await refusal_of(desk.receive(sku, 5, days(29), lot_number="B"))
    no_sku = await refusal_of(desk.receive("nothing", 5, days(100)))
    no_place = await refusal_of(desk.receive(sku, 5, days(100), parent="locations/nowhere"))
    await desk.call("QuarantineLot", name=lot.name, reason="damp")
    set_aside = await refusal_of(desk.receive(sku, 5, days(30), lot_number="A"))

    assert (other_day.reason, other_day.metadata) == ("LOT_CONFLICT", {"expire_date": days(30).isoformat()})
    assert (too_short.reason, too_short.metadata) == ("LOT_STATE", {"state": "EXPIRED"})
    assert (no_sku.reason, no_sku.metadata) == ("SKU_NOT_FOUND", {"sku": "nothing"})
    assert no_place.reason == "LOCATION_NOT_FOUND"
    assert (set_aside.reason, set_aside.metadata) == ("LOT_STATE", {"state": "QUARANTINED"})
    assert {error.domain for error in (other_day, too_short, no_sku, no_place, set_aside)} == {"inventory.galen"}


async def test_a_count_or_a_loss_corrects_the_lot_and_its_level(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 10, days(100))).lot

    counted = await desk.adjust(lot.name, 10, counted=8, note="shelf 3")
    lost = await desk.adjust(lot.name, 8, delta=-3, reason=LOST)

    assert (counted.lot.on_hand, counted.level.on_hand) == (8, 8)
    assert (lost.lot.on_hand, lost.level.on_hand) == (5, 5)
    assert [one.reason for one in await desk.movements(sku=sku)] == ["LOST", "COUNTED: shelf 3", ""]
    assert (await desk.movements(sku=sku))[0].actor.startswith("customers/")


async def test_who_corrects_must_have_seen_what_is_known(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 10, days(100))).lot

    changed = await refusal_of(desk.adjust(lot.name, 9, counted=5))
    negative = await refusal_of(desk.adjust(lot.name, 10, delta=-11))

    assert (changed.code, changed.reason) == (grpc.StatusCode.ABORTED, "STOCK_CHANGED")
    assert changed.metadata == {"expected": "9", "actual": "10"}
    assert (negative.reason, negative.metadata) == ("STOCK_NEGATIVE", {"on_hand": "10"})
    assert (await desk.lot(lot.name)).on_hand == 10


async def test_a_loss_that_holds_did_not_know_of_leaves_less_than_nothing_to_sell(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 10, days(100))).lot
    await desk.hold({sku: 8})

    level = (await desk.adjust(lot.name, 10, counted=5)).level
    refused = await refusal_of(desk.hold({sku: 1}))

    assert (level.on_hand, level.reserved, level.available) == (5, 8, -3)
    assert (refused.reason, refused.metadata) == ("INSUFFICIENT_STOCK", {sku: "1/0"})


async def test_a_lot_is_set_aside_and_made_sellable_again(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 10, days(100))).lot

    aside = await desk.call("QuarantineLot", name=lot.name, reason="damp")
    twice = await refusal_of(desk.call("QuarantineLot", name=lot.name, reason="damp"))
    while_aside = await desk.adjust(lot.name, 10, delta=-1, reason=DESTROYED)
    back = await desk.call("ReleaseLot", name=lot.name, reason="dry")
    not_aside = await refusal_of(desk.call("ReleaseLot", name=lot.name, reason="dry"))

    assert (aside.lot.state, aside.lot.on_hand, aside.level.on_hand) == (QUARANTINED, 10, 0)
    assert (twice.reason, twice.metadata) == ("LOT_STATE", {"state": "QUARANTINED"})
    assert (while_aside.lot.on_hand, while_aside.level.on_hand) == (9, 0)
    assert (back.lot.state, back.level.on_hand) == (SELLABLE, 9)
    assert not_aside.metadata == {"state": "SELLABLE"}


async def test_returned_and_expired_lots_are_never_made_sellable_again(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((5, days(100)), min_remaining_shelf_days=30)
    sold = await shop.sold({sku: 5})
    async with shop.stock() as stock:
        await stock.take_back(sold, {sku: 2}, CAUSE)
    async with shop.transaction() as connection:
        short = await add_lot(connection, sku, 3, location=shop.location, expires_on=days(29), state="QUARANTINED")
    lots = (await desk.call("ListLots", parent=desk.parent, sku=sku, state=QUARANTINED)).lots
    returned = next(lot for lot in lots if lot.origin == 2)

    errors = [
        await refusal_of(desk.call("ReleaseLot", name=name, reason="fine")) for name in (returned.name, f"{desk.parent}/lots/{short}")
    ]

    assert [(error.reason, error.metadata) for error in errors] == [
        ("LOT_STATE", {"state": "QUARANTINED"}),
        ("LOT_STATE", {"state": "EXPIRED"}),
    ]


async def test_lots_are_listed_soonest_expiring_first_page_by_page(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((1, days(30)), (0, days(10)), (2, days(20)))
    other, lots = await shop.medicine((3, days(20)), (3, days(40)))
    await shop.set_state(lots[1], "EXPIRED")

    async def listed(**fields: object) -> list[tuple[str, int]]:
        found, token = [], ""
        while True:
            page = await desk.call("ListLots", parent=desk.parent, page_size=2, page_token=token, **fields)
            found += [(lot.sku, lot.on_hand) for lot in page.lots]
            token = page.next_page_token
            if not token:
                return found

    everything = await listed()
    assert (everything[0], everything[3:]) == ((sku, 0), [(sku, 1), (other, 3)])
    assert set(everything[1:3]) == {(sku, 2), (other, 3)}
    assert await listed(sku=sku) == [(sku, 0), (sku, 2), (sku, 1)]
    assert await listed(sku=sku, in_stock_only=True) == [(sku, 2), (sku, 1)]
    assert await listed(sku=sku, expiring_before=day(days(30))) == [(sku, 0), (sku, 2)]
    assert await listed(state=EXPIRED) == [(other, 3)]
    assert await listed(state=SELLABLE, sku=other) == [(other, 3)]
    assert await listed(sku="nothing") == []


async def test_a_lot_has_one_name(shop: Shop, desk: Desk) -> None:
    sku, (lot,) = await shop.medicine((1, days(30)))

    for name in (
        f"{desk.parent}/lots/{uuid4()}",
        f"{desk.parent}/lots/not-an-id",
        f"{desk.parent}/lots/{str(lot).upper()}",
        f"locations/main/lots/{lot}",
    ):
        for call in (desk.call("GetLot", name=name), desk.adjust(name, 1, counted=1), desk.call("QuarantineLot", name=name, reason="x")):
            assert (await refusal_of(call)).reason == "LOT_NOT_FOUND"
    assert (await desk.lot(f"{desk.parent}/lots/{lot}")).sku == sku


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("ReceiveLot", {"quantity": 0}, "quantity"),
        ("ReceiveLot", {"quantity": -5}, "quantity"),
        ("ReceiveLot", {"quantity": 1_000_000_001}, "quantity"),
        ("ReceiveLot", {"expire_date": {"year": 2030, "month": 2, "day": 30}}, "expire_date"),
        ("ReceiveLot", {"expire_date": {"year": 2030}}, "expire_date"),
        ("ReceiveLot", {"lot_number": "a\0b"}, "lot_number"),
        ("ReceiveLot", {"lot_number": "a" * 101}, "lot_number"),
        ("ReceiveLot", {"lot_number": ""}, "lot_number"),
        ("ReceiveLot", {"sku": "../x"}, "sku"),
        ("ReceiveLot", {"reference": "a\nb"}, "reference"),
        ("ReceiveLot", {"parent": "locations/a/b"}, "parent"),
        ("ReceiveLot", {"request_id": "1"}, "request_id"),
        ("AdjustStock", {}, "correction"),
        ("AdjustStock", {"counted": -1}, "counted"),
        ("AdjustStock", {"counted": 1, "reason": 0}, "reason"),
        ("AdjustStock", {"counted": 1, "reason": 99}, "reason"),
        ("AdjustStock", {"counted": 1, "expected_on_hand": -1}, "expected_on_hand"),
        ("AdjustStock", {"counted": 1, "note": "\x7f"}, "note"),
        ("QuarantineLot", {"reason": ""}, "reason"),
        ("ListLots", {"expiring_before": {"year": 2030, "month": 13, "day": 1}}, "expiring_before"),
        ("ListLots", {"state": 77}, "state"),
        ("ListLots", {"page_size": -1}, "page_size"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_field(desk: Desk, method: str, fields: dict[str, object], field: str) -> None:
    right: dict[str, dict[str, object]] = {
        "ReceiveLot": {"parent": desk.parent, "sku": "A", "lot_number": "L", "expire_date": day(days(9)), "quantity": 1},
        "AdjustStock": {"name": f"{desk.parent}/lots/x", "reason": COUNTED},
        "QuarantineLot": {"name": f"{desk.parent}/lots/x", "reason": "x"},
        "ListLots": {"parent": desk.parent},
    }

    refused = await refusal_of(desk.call(method, **{**right[method], **fields}))

    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refused.message.startswith(field)


async def test_a_page_token_of_another_list_is_refused(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine((1, days(30)), (1, days(10)))
    token = (await desk.call("ListLots", parent=desk.parent, page_size=1)).next_page_token

    for fields in ({"page_token": token, "sku": sku}, {"page_token": token[:-2] + "AA"}, {"page_token": "!"}):
        assert (await refusal_of(desk.call("ListLots", parent=desk.parent, **fields))).reason == "INVALID_PAGE_TOKEN"


async def test_a_repeat_has_the_same_answer_and_no_second_effect(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    key = request_id()
    first = await desk.receive(sku, 5, days(50), lot_number="L", request_id=key)
    await desk.adjust(first.lot.name, 5, counted=4)

    again = await desk.receive(sku, 5, days(50), lot_number="L", request_id=key)
    reused = await refusal_of(desk.receive(sku, 6, days(50), lot_number="L", request_id=key))

    assert again == first
    assert (reused.code, reused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (await desk.level(sku)).on_hand == 4


async def test_every_write_to_lots_can_be_repeated_at_the_same_time(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 5, days(50), lot_number="L")).lot
    for method, fields in (
        ("ReceiveLot", {"parent": desk.parent, "sku": sku, "lot_number": "L", "expire_date": day(days(50)), "quantity": 2}),
        ("AdjustStock", {"name": lot.name, "expected_on_hand": 7, "delta": -1, "reason": LOST}),
        ("QuarantineLot", {"name": lot.name, "reason": "damp"}),
        ("ReleaseLot", {"name": lot.name, "reason": "dry"}),
        ("RecallLot", {"sku": sku, "lot_number": "L", "reason": "glass"}),
    ):
        key = request_id()
        answers = await asyncio.gather(*(desk.call(method, **fields, request_id=key) for _ in range(4)))
        assert all(answer == answers[0] for answer in answers), method

    assert (await desk.lot(lot.name)).on_hand == 6


async def test_deliveries_of_one_lot_at_once_add_up(shop: Shop, desk: Desk) -> None:
    async with shop.transaction() as connection:
        sku = await add_medicine(connection)

    async def deliver() -> list[Any]:
        return [await desk.receive(sku, 1, days(50), lot_number="L") for _ in range(8)]

    answers = [answer for answers in await asyncio.gather(*(deliver() for _ in range(5))) for answer in answers]

    assert len({answer.lot.name for answer in answers}) == 1
    assert sorted(answer.level.on_hand for answer in answers) == list(range(1, 41))


async def test_of_two_who_correct_the_same_count_one_must_look_again(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    lot = (await desk.receive(sku, 10, days(100))).lot

    answers = await asyncio.gather(*(desk.adjust(lot.name, 10, delta=-1) for _ in range(8)), return_exceptions=True)

    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert (await desk.lot(lot.name)).on_hand == 9
