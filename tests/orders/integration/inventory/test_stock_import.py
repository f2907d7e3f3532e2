"""Lots that come in by a stream, judged row by row."""

from __future__ import annotations

from typing import Any

from galen.inventory.v1 import inventory_service_pb2 as messages

from shared.testing.errors import refusal_of
from tests.orders.integration.inventory.conftest import Shop
from tests.orders.integration.inventory.desk import Desk, day, request_id
from tests.orders.stock_rows import days


async def test_rows_are_imported_each_for_itself_and_answered_in_their_order(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    good = import_row(desk, sku, lot_number="A", quantity=5)
    rows = [
        good,
        import_row(desk, "nothing"),
        import_row(desk, sku, quantity=0),
        import_row(desk, sku, expire_date={"year": 2031, "month": 2, "day": 31}),
        import_row(desk, sku, lot_number="A", quantity=2),
        good,
        import_row(desk, sku, lot_number="B", request_id=good.request_id),
        import_row(desk, sku, parent="locations/nowhere"),
    ]

    answers = await desk.import_rows(rows)

    assert [answer.row for answer in answers] == list(range(1, 9))
    assert [(answer.sku, answer.lot_number) for answer in answers] == [(row.sku, row.lot_number) for row in rows]
    assert [answer.reason for answer in answers] == [
        *("", "SKU_NOT_FOUND", "INVALID_REQUEST", "INVALID_REQUEST", "", "", "REQUEST_ID_REUSED", "LOCATION_NOT_FOUND")
    ]
    assert {answer.outcome for answer in answers if not answer.reason} == {messages.STOCK_IMPORT_OUTCOME_RECEIVED}
    assert {answer.outcome for answer in answers if answer.reason} == {messages.STOCK_IMPORT_OUTCOME_REJECTED}
    assert answers[2].message.startswith("quantity")
    assert answers[3].message.startswith("expire_date")
    assert (await desk.level(sku)).on_hand == 7


async def test_a_dry_run_judges_rows_and_changes_nothing(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    row = import_row(desk, sku, dry_run=True)

    answers = await desk.import_rows([row, import_row(desk, "nothing", dry_run=True)])
    refused = await refusal_of(desk.level(sku))
    row.dry_run = False
    done = await desk.import_rows([row])

    assert [answer.reason for answer in answers] == ["", "SKU_NOT_FOUND"]
    assert refused.reason == "STOCK_NOT_FOUND"
    assert (done[0].reason, (await desk.level(sku)).on_hand) == ("", row.quantity)


def import_row(desk: Desk, sku: str, **fields: object) -> messages.ImportStockRequest:
    values: dict[str, Any] = {"parent": desk.parent, "sku": sku, "lot_number": "L", "expire_date": day(days(90)), "quantity": 3}
    return messages.ImportStockRequest(**{**values, "request_id": request_id(), **fields})
