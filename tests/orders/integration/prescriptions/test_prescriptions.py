"""Prescriptions over gRPC."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import prescription_service_pb2 as messages
from galen.orders.v1.medicine_pb2 import SCHEDULE_II, SCHEDULE_III
from galen.orders.v1.prescription_service_pb2_grpc import PrescriptionServiceStub
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.prescriptions import count_use, lock_many
from services.orders.domain.prescriptions.prescription import parse_name
from services.orders.domain.prescriptions.rules import months_after
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.catalogue_client import Catalogue, Prescriptions, days_ago, fields_of, medicine, paper
from tests.orders.world import add_order_row, new_customer

CALLERS = 8
NOTHING = "3f1e6a52-9b0c-4d7e-8a41-2c5d6e7f8091"


def day(message: Any) -> date:
    return date(message.year, message.month, message.day)


async def test_a_prescription_is_kept_as_it_was_given(own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str) -> None:
    issued_on, expires_on = days_ago(3), days_ago(-40)
    given = paper(sku, issue_date=fields_of(issued_on), expire_date=fields_of(expires_on), refills=3, prescriber="Dr. Žižek")

    created = await own.create(customer_id, given)

    assert created.name.startswith(f"customers/{customer_id}/prescriptions/")
    assert (created.number, created.prescriber, created.refills, list(created.skus)) == (given.number, given.prescriber, 3, [sku])
    assert (day(created.issue_date), day(created.expire_date)) == (issued_on, expires_on)
    assert (created.uses, created.revoked, created.etag) == (0, False, '"1"')
    assert await own.get(created.name) == await pharmacist.get(created.name) == created


async def test_what_only_we_say_of_a_prescription_is_not_taken_from_the_caller(own: Prescriptions, customer_id: str, sku: str) -> None:
    given = paper(sku, name="customers/x/prescriptions/y", uses=7, revoked=True, etag='"9"')

    created = await own.create(customer_id, given)

    assert (created.uses, created.revoked, created.etag) == (0, False, '"1"')
    assert created.name.startswith(f"customers/{customer_id}/prescriptions/")


async def test_the_last_day_follows_from_the_schedule_where_none_is_given(
    own: Prescriptions, catalogue: Catalogue, customer_id: str, sku: str
) -> None:
    controlled = await catalogue.create(medicine(rx_required=True, schedule=SCHEDULE_III))

    a_year, half = await own.create(customer_id, paper(sku)), await own.create(customer_id, paper(sku, controlled.sku, refills=5))

    assert day(a_year.expire_date) == months_after(days_ago(0), 12)
    assert day(half.expire_date) == months_after(days_ago(0), 6)


async def test_a_prescription_that_breaks_a_rule_of_its_schedules_is_refused(
    own: Prescriptions, catalogue: Catalogue, customer_id: str, sku: str
) -> None:
    second = (await catalogue.create(medicine(schedule=SCHEDULE_II))).sku
    third = (await catalogue.create(medicine(schedule=SCHEDULE_III, withdrawn=True))).sku
    too_late = fields_of(months_after(days_ago(0), 6) + timedelta(days=1))

    for wrong in (
        *(paper(second, refills=1), paper(sku, second, refills=1), paper(third, refills=6), paper(sku, third, expire_date=too_late)),
        *(paper(sku, issue_date=fields_of(days_ago(-1))), paper(sku, expire_date=fields_of(days_ago(1)))),
    ):
        refusal = await refusal_of(own.create(customer_id, wrong))
        assert (refusal.code, refusal.reason, bool(refusal.message)) == (
            *(grpc.StatusCode.INVALID_ARGUMENT, "PRESCRIPTION_INVALID"),
            True,
        )
    assert list((await own.page(customer_id)).prescriptions) == []


async def test_a_prescription_is_for_medicines_of_the_catalogue(own: Prescriptions, customer_id: str, sku: str) -> None:
    refusal = await refusal_of(own.create(customer_id, paper(sku, "NOTHING")))

    assert (refusal.code, refusal.reason, refusal.metadata) == (grpc.StatusCode.NOT_FOUND, "MEDICINE_NOT_FOUND", {"sku": "NOTHING"})


async def test_a_number_is_given_once_to_a_customer(own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str) -> None:
    first = await own.create(customer_id, paper(sku))

    refusal = await refusal_of(pharmacist.create(customer_id, paper(sku, number=first.number)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PRESCRIPTION_EXISTS")
    assert (await pharmacist.create(new_customer(), paper(sku, number=first.number))).number == first.number


async def test_a_repeat_is_answered_as_the_first(own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str) -> None:
    given, request_id, revoke_id = paper(sku), str(uuid4()), str(uuid4())
    created = await own.create(customer_id, given, request_id=request_id)
    revoked = await pharmacist.revoke(created.name, request_id=revoke_id)

    assert await own.create(customer_id, given, request_id=request_id) == created
    assert await pharmacist.revoke(created.name, request_id=revoke_id) == revoked
    assert (await refusal_of(own.create(customer_id, paper(sku), request_id=request_id))).reason == "REQUEST_ID_REUSED"
    assert (await refusal_of(pharmacist.revoke(created.name, reason="lost", request_id=revoke_id))).reason == "REQUEST_ID_REUSED"


async def test_one_recording_sent_by_many_at_once_is_done_once(own: Prescriptions, customer_id: str, sku: str) -> None:
    given, request_id = paper(sku), str(uuid4())

    answers = await asyncio.gather(*(own.create(customer_id, given, request_id=request_id) for _ in range(CALLERS)))

    assert all(answer == answers[0] for answer in answers)
    assert list((await own.page(customer_id)).prescriptions) == [answers[0]]


async def test_one_number_recorded_by_many_at_once_is_given_to_one(own: Prescriptions, customer_id: str, sku: str) -> None:
    """Fails when the number is not unique for a customer."""

    async def create() -> str:
        try:
            await own.create(customer_id, paper(sku, number="7"))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "recorded"

    assert Counter(await asyncio.gather(*(create() for _ in range(CALLERS)))) == {"recorded": 1, "ALREADY_EXISTS": CALLERS - 1}


async def test_prescriptions_are_listed_newest_first_in_pages(
    own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str
) -> None:
    created = [await own.create(customer_id, paper(sku)) for _ in range(5)]
    await pharmacist.create(new_customer(), paper(sku))

    first = await own.page(customer_id, page_size=2)
    second = await own.page(customer_id, page_size=2, page_token=first.next_page_token)
    third = await own.page(customer_id, page_size=2, page_token=second.next_page_token)

    assert [one for page in (first, second, third) for one in page.prescriptions] == created[::-1]
    assert (len(third.prescriptions), third.next_page_token) == (1, "")
    assert list((await pharmacist.page(customer_id)).prescriptions) == created[::-1]


async def test_a_page_token_is_good_for_its_own_list_only(
    own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str
) -> None:
    for _ in range(2):
        await own.create(customer_id, paper(sku))
    token = (await own.page(customer_id, page_size=1)).next_page_token

    for wrong in (pharmacist.page(new_customer(), page_token=token), own.page(customer_id, page_token="AAAA")):
        assert (await refusal_of(wrong)).reason == "INVALID_PAGE_TOKEN"


async def test_a_revoked_prescription_stays_and_tells_who_revoked_it_and_why(
    own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str, engine: AsyncEngine
) -> None:
    created = await own.create(customer_id, paper(sku))

    revoked = await pharmacist.revoke(created.name, reason="forged")
    again = await pharmacist.revoke(created.name, reason="once more")

    assert (revoked.revoked, revoked.etag) == (True, '"2"')
    assert again == revoked == await own.get(created.name)
    async with engine.connect() as connection:
        query = text("select recorded_by, revoked_by, revoke_reason from prescription where number = :number")
        kept = (await connection.execute(query, {"number": created.number})).one()
    assert tuple(kept) == (f"customers/{customer_id}", "customers/pharmacist", "forged")


async def test_a_revocation_keeps_the_uses_that_are_counted_meanwhile(
    own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str, engine: AsyncEngine
) -> None:
    """Fails when the row is not locked: the revocation would store the uses that it read before it had to wait."""
    created = await own.create(customer_id, paper(sku))
    _, prescription_id = parse_name(created.name)

    async with engine.begin() as connection:
        await lock_many(connection, customer_id, [prescription_id])
        await count_use(connection, [prescription_id], await add_order_row(connection, customer_id))
        revoking = asyncio.create_task(pharmacist.revoke(created.name))
        await someone_waits(connection)

    assert ((await revoking).uses, (await own.get(created.name)).uses, (await own.get(created.name)).revoked) == (1, 1, True)


async def someone_waits(connection: AsyncConnection) -> None:
    """Waits until another session waits for a lock of this one."""
    blocked = text("select count(*) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))")
    async with asyncio.timeout(5):
        while not (await connection.execute(blocked)).scalar_one():  # noqa: ASYNC110  nobody tells us when
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("prescription", ["nothing", NOTHING, NOTHING.upper(), NOTHING.replace("-", "")])
async def test_nothing_is_found_where_no_prescription_is(
    own: Prescriptions, pharmacist: Prescriptions, customer_id: str, prescription: str
) -> None:
    name = f"customers/{customer_id}/prescriptions/{prescription}"

    for call in (own.get(name), pharmacist.revoke(name)):
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "PRESCRIPTION_NOT_FOUND")


@pytest.mark.parametrize(
    "changes",
    [
        {"number": ""},
        {"number": "a\0"},
        {"number": "a" * 101},
        {"prescriber": ""},
        {"prescriber": "a\x7f"},
        {"issue_date": None},
        {"issue_date": {}},
        {"issue_date": {"year": 2024}},
        {"issue_date": {"year": 2025, "month": 2, "day": 29}},
        {"issue_date": {"year": 2025, "month": 13, "day": 1}},
        {"issue_date": {"year": -1, "month": 1, "day": 1}},
        {"issue_date": {"year": 10_000, "month": 1, "day": 1}},
        {"issue_date": {"year": 2**31 - 1, "month": 2**31 - 1, "day": -(2**31)}},
        {"expire_date": {}},
        {"expire_date": {"year": 2030, "month": 4, "day": 31}},
        {"refills": -1},
        {"refills": 100},
        {"skus": []},
        {"skus": ["A", "A"]},
        {"skus": ["a/b"]},
        {"skus": [f"S{number}" for number in range(51)]},
        {"uses": -1},
    ],
    ids=str,
)
async def test_a_prescription_that_breaks_the_rules_is_refused(own: Prescriptions, customer_id: str, changes: dict[str, Any]) -> None:
    refusal = await refusal_of(own.create(customer_id, paper(**({"skus": ["A"]} | changes))))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert f"prescription.{next(iter(changes))}" in refusal.message


@pytest.mark.parametrize("issue_date", [{"year": 1, "month": 1, "day": 1}, {"year": 2024, "month": 2, "day": 29}], ids=str)
async def test_any_day_of_the_past_is_a_day_of_issue(own: Prescriptions, customer_id: str, sku: str, issue_date: dict[str, int]) -> None:
    created = await own.create(customer_id, paper(sku, issue_date=issue_date))

    assert (await own.get(created.name)).issue_date == created.issue_date
    assert fields_of(day(created.issue_date)) == issue_date


@pytest.mark.parametrize("customer", ["", "-", "a b", "a/b", "a" * 65])
async def test_a_prescription_is_somebodys(pharmacist: Prescriptions, customer: str) -> None:
    assert (await refusal_of(pharmacist.create(customer, paper("A")))).reason == "INVALID_REQUEST"


async def test_a_revocation_needs_a_reason(pharmacist: Prescriptions, customer_id: str) -> None:
    for reason in ("", "a\n", "a" * 501):
        refusal = await refusal_of(pharmacist.revoke(f"customers/{customer_id}/prescriptions/{NOTHING}", reason=reason))
        assert refusal.reason == "INVALID_REQUEST"


async def test_customers_see_and_record_their_own_only(own: Prescriptions, pharmacist: Prescriptions, customer_id: str, sku: str) -> None:
    other = new_customer()
    theirs = await pharmacist.create(other, paper(sku))
    under_own_name = theirs.name.replace(other, customer_id)

    for call in (
        own.create(other, paper(sku)),
        own.get(theirs.name),
        own.page(other),
        own.get(f"customers/{other}/prescriptions/{NOTHING}"),
    ):
        assert (await refusal_of(call)).code is grpc.StatusCode.PERMISSION_DENIED
    assert (await refusal_of(own.get(under_own_name))).reason == "PRESCRIPTION_NOT_FOUND"
    assert (await refusal_of(pharmacist.revoke(under_own_name))).reason == "PRESCRIPTION_NOT_FOUND"


async def test_pharmacists_and_administrators_revoke_and_nobody_else(
    orders_server: ServedService, identities: Identities, own: Prescriptions, customer_id: str, sku: str
) -> None:
    created = await own.create(customer_id, paper(sku))
    staff = Prescriptions(orders_server.channel, identities.customer("sam", roles=("customer", "staff")))
    admin = Prescriptions(orders_server.channel, identities.customer("ada", roles=("customer", "admin")))

    for caller in (own, staff):
        assert (await refusal_of(caller.revoke(created.name))).code is grpc.StatusCode.PERMISSION_DENIED
    assert (await admin.revoke(created.name)).revoked


async def test_services_and_strangers_have_no_business_with_prescriptions(orders_server: ServedService, identities: Identities) -> None:
    stub, request_id, name = PrescriptionServiceStub(orders_server.channel), str(uuid4()), f"customers/ann/prescriptions/{NOTHING}"
    calls: list[tuple[Any, Any]] = [
        (
            stub.CreatePrescription,
            messages.CreatePrescriptionRequest(parent="customers/ann", prescription=paper("A"), request_id=request_id),
        ),
        (stub.GetPrescription, messages.GetPrescriptionRequest(name=name)),
        (stub.ListPrescriptions, messages.ListPrescriptionsRequest(parent="customers/ann")),
        (stub.RevokePrescription, messages.RevokePrescriptionRequest(name=name, reason="why", request_id=request_id)),
    ]

    for method, request in calls:
        denied = await refusal_of(method(request, metadata=identities.service("accrual"), timeout=5))
        unknown = await refusal_of(method(request, timeout=5))
        assert (denied.code, unknown.code) == (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
