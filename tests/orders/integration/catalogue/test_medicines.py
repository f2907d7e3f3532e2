"""The catalogue over gRPC: kept by staff, read by all."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import catalog_service_pb2 as catalog
from galen.orders.v1.catalog_service_pb2_grpc import CatalogServiceStub
from galen.orders.v1.medicine_pb2 import SCHEDULE_II, SCHEDULE_IV, Medicine
from galen.orders.v1.money_pb2 import Money

from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.catalogue_client import Catalogue, medicine

CALLERS = 8
EVERYTHING: dict[str, Any] = {
    "form": "capsule",
    "strength": "5 mg",
    "price": Money(currency_code="USD", amount_minor=0),
    "rx_required": True,
    "schedule": SCHEDULE_IV,
    "max_per_order": 2,
    "max_per_period": 4,
    "period_days": 30,
    "min_remaining_shelf_days": 14,
    "cold_chain": True,
    "withdrawn": True,
}


async def test_a_medicine_is_kept_as_it_was_given(staff: Catalogue, customer: Catalogue) -> None:
    given = medicine(display_name="Diazepam «ä»", **EVERYTHING)

    created = await staff.create(given)

    assert (created.name, created.etag) == (f"medicines/{given.sku}", '"1"')
    assert created.create_time == created.update_time
    assert all(getattr(created, field.name) == value for field, value in given.ListFields())
    assert await staff.get(given.sku) == await customer.get(given.sku) == created


async def test_a_sku_is_given_once(staff: Catalogue) -> None:
    created = await staff.create(medicine())

    refusal = await refusal_of(staff.create(medicine(sku=created.sku, display_name="Another")))

    assert (refusal.code, refusal.reason, refusal.metadata) == (grpc.StatusCode.ALREADY_EXISTS, "MEDICINE_EXISTS", {"sku": created.sku})
    assert await staff.get(created.sku) == created


async def test_a_repeated_creation_is_answered_as_the_first_even_after_a_change(staff: Catalogue) -> None:
    wanted, request_id = medicine(), str(uuid4())
    created = await staff.create(wanted, request_id=request_id)
    await staff.update(Medicine(sku=wanted.sku, strength="600 mg"))

    assert await staff.create(wanted, request_id=request_id) == created
    assert (await refusal_of(staff.create(medicine(), request_id=request_id))).reason == "REQUEST_ID_REUSED"


async def test_one_creation_sent_by_many_at_once_is_done_once(staff: Catalogue) -> None:
    wanted, request_id = medicine(), str(uuid4())

    answers = await asyncio.gather(*(staff.create(wanted, request_id=request_id) for _ in range(CALLERS)))

    assert all(answer == answers[0] for answer in answers)


async def test_one_sku_created_by_many_at_once_is_given_to_one(staff: Catalogue) -> None:
    async def create(sku: str) -> str:
        try:
            await staff.create(medicine(sku=sku))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "created"

    found = Counter(await asyncio.gather(*map(create, [medicine().sku] * CALLERS)))

    assert found == {"created": 1, "ALREADY_EXISTS": CALLERS - 1}


async def test_what_is_named_is_changed_and_nothing_else(staff: Catalogue) -> None:
    created = await staff.create(medicine(**(EVERYTHING | {"withdrawn": False})))

    after = await staff.update(Medicine(sku=created.sku, price=Money(currency_code="EUR", amount_minor=0), form="syrup"), "price")

    assert (after.price, after.etag) == (Money(currency_code="EUR", amount_minor=0), '"2"')
    assert await staff.get(created.sku) == after
    after.price.CopyFrom(created.price)
    after.etag = created.etag
    after.update_time.CopyFrom(created.update_time)
    assert after == created


@pytest.mark.parametrize("path", sorted({*EVERYTHING, "display_name"} - {"max_per_period", "period_days"}))
async def test_each_field_can_be_changed_by_itself(staff: Catalogue, path: str) -> None:
    created = await staff.create(medicine())
    wanted = Medicine(sku=created.sku, **{path: (EVERYTHING | {"display_name": "Advil"})[path]})

    assert getattr(await staff.update(wanted), path) == getattr(wanted, path) != getattr(created, path)


async def test_a_field_that_is_named_and_unset_is_cleared(staff: Catalogue) -> None:
    created = await staff.create(medicine(**EVERYTHING))
    paths = sorted(EVERYTHING.keys() - {"price"})

    after = await staff.update(Medicine(sku=created.sku), *paths)

    assert {field.name for field, _ in after.ListFields()} == {
        *("name", "sku", "display_name", "price", "etag", "create_time", "update_time")
    }


@pytest.mark.parametrize("path", ["display_name", "price"])
async def test_what_every_medicine_has_can_not_be_cleared(staff: Catalogue, path: str) -> None:
    created = await staff.create(medicine())

    refusal = await refusal_of(staff.update(Medicine(sku=created.sku), path))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert f"medicine.{path}" in refusal.message
    assert await staff.get(created.sku) == created


@pytest.mark.parametrize("path", ["max_per_period", "period_days"])
async def test_a_limit_and_its_period_go_together_after_a_partial_change_too(staff: Catalogue, path: str) -> None:
    created = await staff.create(medicine(max_per_period=10, period_days=30))

    refusal = await refusal_of(staff.update(Medicine(sku=created.sku), path))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert "max_per_period and period_days" in refusal.message
    assert await staff.get(created.sku) == created
    assert (await staff.update(Medicine(sku=created.sku), "max_per_period", "period_days")).period_days == 0


async def test_a_change_of_an_older_state_is_refused_and_a_repeat_of_one_that_was_done_is_not(staff: Catalogue) -> None:
    created, request_id = await staff.create(medicine()), str(uuid4())
    wanted = Medicine(sku=created.sku, form="gel", etag=created.etag)
    changed = await staff.update(wanted, request_id=request_id)

    refusal = await refusal_of(staff.update(Medicine(sku=created.sku, form="cream", etag=created.etag)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert await staff.update(wanted, request_id=request_id) == changed == await staff.get(created.sku)
    other = staff.update(Medicine(sku=created.sku, form="cream"), request_id=request_id)
    assert (await refusal_of(other)).reason == "REQUEST_ID_REUSED"


async def test_of_many_changes_of_one_state_one_is_done(staff: Catalogue) -> None:
    """Fails when the row is not locked: then all of them find the state that they know."""
    created = await staff.create(medicine())

    async def change(number: int) -> str:
        try:
            await staff.update(Medicine(sku=created.sku, form=f"form {number}", etag=created.etag))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "changed"

    assert Counter(await asyncio.gather(*map(change, range(CALLERS)))) == {"changed": 1, "ABORTED": CALLERS - 1}
    assert (await staff.get(created.sku)).etag == '"2"'


async def test_changes_of_different_fields_at_once_are_all_kept(staff: Catalogue) -> None:
    """Fails when the row is not locked: a change would be lost in the state that another one read."""
    created = await staff.create(medicine())
    wanted = {"form": "gel", "strength": "1 %", "display_name": "Voltaren", "max_per_order": 3, "cold_chain": True, "rx_required": True}

    await asyncio.gather(*(staff.update(Medicine(sku=created.sku, **{path: value})) for path, value in wanted.items()))  # type: ignore[arg-type]

    after = await staff.get(created.sku)
    assert {path: getattr(after, path) for path in wanted} == wanted
    assert after.etag == f'"{1 + len(wanted)}"'


async def test_what_the_catalogue_does_not_have_is_not_found(staff: Catalogue) -> None:
    for call in (staff.get("NOTHING"), staff.update(Medicine(sku="NOTHING", form="gel"))):
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason, refusal.metadata) == (grpc.StatusCode.NOT_FOUND, "MEDICINE_NOT_FOUND", {"sku": "NOTHING"})


@pytest.mark.parametrize(
    "changes",
    [
        {"sku": ""},
        {"sku": "-a"},
        {"sku": "a/b"},
        {"sku": "a" * 41},
        {"sku": "a\n"},
        {"display_name": ""},
        {"display_name": "a\0b"},
        {"display_name": "a" * 201},
        {"form": "\x1b"},
        {"strength": "a" * 101},
        {"price": None},
        {"price": Money(currency_code="EUR", amount_minor=-1)},
        {"price": Money(currency_code="EUR", amount_minor=1_000_000_001)},
        {"price": Money(currency_code="eur", amount_minor=1)},
        {"price": Money(amount_minor=1)},
        {"schedule": 5},
        {"schedule": -1},
        {"max_per_order": -1},
        {"max_per_order": 100_001},
        {"max_per_period": 1},
        {"period_days": 1},
        {"max_per_period": 1_000_001, "period_days": 1},
        {"period_days": 3661, "max_per_period": 1},
        {"min_remaining_shelf_days": -1},
        {"etag": "e" * 65},
    ],
    ids=str,
)
async def test_a_medicine_that_breaks_the_rules_is_refused(staff: Catalogue, changes: dict[str, Any]) -> None:
    refusal = await refusal_of(staff.create(medicine(**changes)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("paths", [[], ["sku"], ["name"], ["etag"], ["price.amount_minor"], ["nothing"], ["*"]], ids=str)
async def test_a_change_of_what_can_not_be_changed_is_refused(staff: Catalogue, paths: list[str]) -> None:
    request = catalog.UpdateMedicineRequest(medicine=medicine(), request_id=str(uuid4()))
    request.update_mask.paths.extend(paths)

    assert (await refusal_of(staff.stub.UpdateMedicine(request, metadata=staff.metadata, timeout=5))).reason == "INVALID_REQUEST"


async def test_the_list_goes_by_sku_page_by_page_and_shows_what_was_withdrawn_to_staff_who_ask(
    staff: Catalogue, customer: Catalogue
) -> None:
    prefix = f"0{uuid4().hex[:10]}"  # comes first in the list
    skus = [f"{prefix}-{number}" for number in range(5)]
    for sku in reversed(skus):
        await staff.create(medicine(sku=sku, withdrawn=sku.endswith(("1", "4"))))

    async def listed(caller: Catalogue, **fields: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while not found or (token and any(sku.startswith(prefix) for sku in found[-2:])):
            page = await caller.page(page_size=2, page_token=token, **fields)
            assert len(page.medicines) == 2 or not page.next_page_token
            found += [one.sku for one in page.medicines]
            token = page.next_page_token
        return [sku for sku in found if sku.startswith(prefix)]

    for_sale = [skus[0], skus[2], skus[3]]
    assert await listed(staff) == await listed(customer) == await listed(customer, show_withdrawn=True) == for_sale
    assert await listed(staff, show_withdrawn=True) == skus


async def test_a_page_token_is_good_for_its_own_list_only(staff: Catalogue) -> None:
    for _ in range(2):
        await staff.create(medicine())
    token = (await staff.page(page_size=1)).next_page_token

    for fields in (
        {"page_token": token, "show_withdrawn": True},
        {"page_token": "AAAA"},
        {"page_token": token[:-2]},
        {"page_token": "\u20ac"},
    ):
        assert (await refusal_of(staff.page(**fields))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal_of(staff.page(page_size=-1))).reason == "INVALID_REQUEST"


async def test_who_is_not_staff_changes_nothing_and_who_is_nobody_reads_nothing(
    orders_server: ServedService, identities: Identities
) -> None:
    stub = CatalogServiceStub(orders_server.channel)
    writes: list[tuple[Any, Any]] = [
        (stub.CreateMedicine, catalog.CreateMedicineRequest(medicine=medicine(), request_id=str(uuid4()))),
        (stub.UpdateMedicine, catalog.UpdateMedicineRequest(medicine=medicine(), request_id=str(uuid4()))),
    ]
    reads: list[tuple[Any, Any]] = [
        (stub.GetMedicine, catalog.GetMedicineRequest(name="medicines/A")),
        (stub.ListMedicines, catalog.ListMedicinesRequest()),
        (stub.SearchMedicines, catalog.SearchMedicinesRequest(query="a")),
    ]
    strangers = [identities.service("balance"), identities.service("orders")]

    for metadata, methods in [(identities.customer(str(uuid4())), writes), *((stranger, writes + reads) for stranger in strangers)]:
        for method, request in methods:
            assert (await refusal_of(method(request, metadata=metadata, timeout=5))).code is grpc.StatusCode.PERMISSION_DENIED
    for method, request in writes + reads:
        assert (await refusal_of(method(request, timeout=5))).code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("role", ["staff", "pharmacist", "admin"])
async def test_everyone_of_the_pharmacy_keeps_the_catalogue(orders_server: ServedService, identities: Identities, role: str) -> None:
    caller = Catalogue(orders_server.channel, identities.customer(str(uuid4()), roles=("customer", role)))
    created = await caller.create(medicine(withdrawn=True))

    assert (await caller.update(Medicine(sku=created.sku, schedule=SCHEDULE_II))).schedule == SCHEDULE_II
