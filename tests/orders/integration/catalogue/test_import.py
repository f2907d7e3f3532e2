"""Imports: a row after the other, each for itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import catalog_service_pb2 as catalog
from galen.orders.v1.money_pb2 import Money

from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.catalogue_client import Catalogue, medicine, row

CREATED, UPDATED, SAME, REJECTED = (
    catalog.IMPORT_OUTCOME_CREATED,
    catalog.IMPORT_OUTCOME_UPDATED,
    catalog.IMPORT_OUTCOME_SAME,
    catalog.IMPORT_OUTCOME_REJECTED,
)


async def test_each_row_is_answered_in_turn_and_a_wrong_one_keeps_no_other_back(staff: Catalogue) -> None:
    new, old, same = medicine(), await staff.create(medicine()), await staff.create(medicine(withdrawn=True))
    changed = medicine(sku=old.sku, form="gel", price=Money(currency_code="EUR", amount_minor=7))

    answers = await staff.import_rows([row(new), row(medicine(display_name="")), row(changed), row(same), row(medicine(sku="a/b"))])

    assert [(answer.row, answer.outcome) for answer in answers] == [(1, CREATED), (2, REJECTED), (3, UPDATED), (4, SAME), (5, REJECTED)]
    assert [answer.sku for answer in answers[2:]] == [old.sku, same.sku, "a/b"]
    assert [(answer.reason, bool(answer.message)) for answer in answers] == [
        *(("", False), ("INVALID_REQUEST", True), ("", False), ("", False), ("INVALID_REQUEST", True))
    ]
    assert "medicine.sku" in answers[4].message
    assert (await staff.get(new.sku)).etag == '"1"'
    assert ((await staff.get(old.sku)).form, (await staff.get(old.sku)).etag) == ("gel", '"2"')
    assert await staff.get(same.sku) == same


async def test_a_row_that_breaks_several_rules_is_told_all_of_them(staff: Catalogue) -> None:
    wrong = medicine(form="\0", max_per_order=-1, price=Money(currency_code="euro", amount_minor=1))

    answer, nothing = await staff.import_rows([row(wrong), catalog.ImportMedicinesRequest()])

    assert all(path in answer.message for path in ("medicine.form", "medicine.max_per_order", "medicine.price.currency_code"))
    assert (nothing.outcome, nothing.sku, nothing.reason) == (REJECTED, "", "INVALID_REQUEST")
    assert "request_id" in nothing.message


async def test_a_row_replaces_all_that_was_there(staff: Catalogue) -> None:
    old = await staff.create(medicine(rx_required=True, max_per_period=2, period_days=3, withdrawn=True))

    await staff.import_rows([row(medicine(sku=old.sku))])

    after = await staff.get(old.sku)
    assert (after.rx_required, after.max_per_period, after.period_days, after.withdrawn) == (False, 0, 0, False)


async def test_a_dry_run_tells_what_would_be_done_and_does_nothing(staff: Catalogue) -> None:
    old, new, request_id = await staff.create(medicine()), medicine(), str(uuid4())
    changed = medicine(sku=old.sku, form="gel")
    rows = [
        *(row(new, dry_run=True, request_id=request_id), row(changed, dry_run=True), row(old, dry_run=True)),
        *(row(medicine(form="\0"), dry_run=True), row(medicine(sku=old.sku, etag='"7"'), dry_run=True)),
    ]

    answers = await staff.import_rows(rows)

    assert [answer.outcome for answer in answers] == [CREATED, UPDATED, SAME, REJECTED, REJECTED]
    assert answers[4].reason == "ETAG_MISMATCH"
    assert await staff.get(old.sku) == old
    assert (await refusal_of(staff.get(new.sku))).reason == "MEDICINE_NOT_FOUND"
    assert [answer.outcome for answer in await staff.import_rows([row(new, request_id=request_id)])] == [CREATED]


async def test_rows_sent_again_have_the_same_outcome_and_no_second_effect(staff: Catalogue) -> None:
    old = await staff.create(medicine())
    rows = [row(medicine()), row(medicine(sku=old.sku, form="gel"))]
    first = await staff.import_rows(rows)
    later = await staff.update(medicine(sku=old.sku, form="cream"), "form")

    assert await staff.import_rows(rows) == first
    assert await staff.get(old.sku) == later


async def test_a_request_id_that_was_used_for_another_row_rejects_the_row(staff: Catalogue) -> None:
    request_id = str(uuid4())

    answers = await staff.import_rows([row(medicine(), request_id=request_id), row(medicine(), request_id=request_id), row(medicine())])

    assert [(answer.outcome, answer.reason) for answer in answers] == [(CREATED, ""), (REJECTED, "REQUEST_ID_REUSED"), (CREATED, "")]


async def test_an_etag_guards_a_row_against_overwriting_what_it_did_not_know(staff: Catalogue) -> None:
    read = await staff.create(medicine())
    await staff.update(medicine(sku=read.sku, form="cream"), "form")
    read.strength = "1 %"

    stale, unguarded = await staff.import_rows([row(read), row(medicine(sku=read.sku))])

    assert (stale.outcome, stale.reason, unguarded.outcome) == (REJECTED, "ETAG_MISMATCH", UPDATED)


async def test_streams_that_import_the_same_medicines_at_once_create_each_of_them_once(staff: Catalogue) -> None:
    """Fails when the race for a new SKU is not settled: then a stream breaks, or a medicine is created twice."""
    skus = [medicine().sku for _ in range(10)]

    async def outcomes(turn: int) -> list[catalog.ImportMedicinesResponse]:
        return await staff.import_rows([row(medicine(sku=sku, max_per_order=turn)) for sku in skus])

    answers = [answer for stream in await asyncio.gather(*map(outcomes, range(6))) for answer in stream]

    found = Counter((answer.sku, answer.outcome) for answer in answers)
    assert all((found[sku, CREATED], found[sku, UPDATED]) == (1, 5) for sku in skus)
    assert {(await staff.get(sku)).etag for sku in skus} == {'"6"'}


async def test_the_same_stream_sent_twice_at_once_is_done_once(staff: Catalogue) -> None:
    rows = [row(medicine()) for _ in range(10)]

    first, second = await asyncio.gather(staff.import_rows(rows), staff.import_rows(rows))

    assert first == second
    assert {answer.outcome for answer in first} == {CREATED}


async def test_a_long_stream_is_imported_to_its_end(staff: Catalogue) -> None:
    count = 1_000

    answers = await staff.import_rows(row(medicine(display_name=f"Bulk {number}")) for number in range(count))

    assert [(answer.row, answer.outcome) for answer in answers] == [(number + 1, CREATED) for number in range(count)]


async def test_a_stream_that_is_given_up_keeps_what_was_answered(staff: Catalogue) -> None:
    first, second = medicine(), medicine()
    call: Any = staff.stub.ImportMedicines(metadata=staff.metadata, timeout=10)
    await call.write(row(first))
    assert (await call.read()).outcome == CREATED
    call.cancel()

    assert (await staff.get(first.sku)).sku == first.sku
    assert [answer.outcome for answer in await staff.import_rows([row(first), row(second)])] == [SAME, CREATED]


async def test_an_empty_stream_is_answered_with_nothing(staff: Catalogue) -> None:
    assert await staff.import_rows([]) == []


@pytest.mark.parametrize("roles", [("customer",), ("customer", "pharmacist")], ids=str)
async def test_only_staff_and_administrators_import(orders_server: ServedService, identities: Identities, roles: tuple[str, ...]) -> None:
    nobody = Catalogue(orders_server.channel, ())
    refused = Catalogue(orders_server.channel, identities.customer(str(uuid4()), roles=roles))

    assert (await refusal_of(nobody.import_rows([row(medicine())]))).code is grpc.StatusCode.UNAUTHENTICATED
    assert (await refusal_of(refused.import_rows([row(medicine())]))).code is grpc.StatusCode.PERMISSION_DENIED
