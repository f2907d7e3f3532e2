"""Who may pay, see and give back; names of things that are not there; lists in pages; hostile requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order

from shared.testing.errors import refusal_of
from shared.testing.identities import Metadata
from tests.orders.counter import Crew
from tests.orders.orders_client import Orders
from tests.orders.refunding import give_back, through
from tests.orders.till import TIMEOUT_S, VISA, Till

ABSENT = "01a20255-3a32-7095-9f84-08da3203bb33"
CARD = payment_pb2.PAYMENT_METHOD_CARD
DENIED = grpc.StatusCode.PERMISSION_DENIED
# What a call is made of, for an order of a customer.
REQUESTS: dict[str, Callable[[str], Any]] = {
    "StartPayment": lambda order: messages.StartPaymentRequest(order=order, method=CARD, card=VISA, request_id=str(uuid4())),
    "GetPayment": lambda order: messages.GetPaymentRequest(name=f"{order}/payments/{ABSENT}"),
    "ListPayments": lambda order: messages.ListPaymentsRequest(parent=order),
    "CreateRefund": lambda order: messages.CreateRefundRequest(order=order, reason="r", request_id=str(uuid4())),
    "GetRefund": lambda order: messages.GetRefundRequest(name=f"{order}/refunds/{ABSENT}"),
    "InspectPayment": lambda order: messages.InspectPaymentRequest(name=f"{order}/payments/{ABSENT}"),
    "ResolveQuarantine": lambda order: messages.ResolveQuarantineRequest(
        name=f"{order}/payments/{ABSENT}",
        decision=payment_pb2.QUARANTINE_DECISION_ACCEPT,
        etag='"1"',
        reason="r",
        request_id=str(uuid4()),
    ),
    "ListRefunds": lambda order: messages.ListRefundsRequest(parent=order),
}
OPEN_TO = {
    "StartPayment": {"owner", "staff", "admin"},
    "GetPayment": {"owner", "staff", "pharmacist", "admin"},
    "ListPayments": {"owner", "staff", "pharmacist", "admin"},
    "CreateRefund": {"staff", "admin"},
    "GetRefund": {"owner", "staff", "pharmacist", "admin"},
    "InspectPayment": {"staff", "admin"},
    "ResolveQuarantine": {"admin"},
    "ListRefunds": {"owner", "staff", "pharmacist", "admin"},
}


async def called(till: Till, method: str, request: Any, metadata: Metadata) -> Any:
    return await getattr(till.payments, method)(request, metadata=metadata, timeout=TIMEOUT_S)


def callers(till: Till, crew: Crew) -> dict[str, Metadata]:
    people = {"owner": crew.customer.metadata, "stranger": till.counter.person().metadata}
    roles = {role: till.identities.customer(str(uuid4()), roles=(role,)) for role in ("staff", "pharmacist", "admin")}
    services = {name: till.identities.service(name) for name in ("orders", "accrual", "gateway")}
    return people | roles | services


@pytest.mark.parametrize("method", REQUESTS)
async def test_a_method_is_open_to_those_that_its_policy_names(till: Till, crew: Crew, method: str) -> None:
    for who, metadata in callers(till, crew).items():
        order = await till.counter.ordered(crew.customer)
        try:
            await called(till, method, REQUESTS[method](order.name), metadata)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
        assert (code is not DENIED) is (who in OPEN_TO[method]), (who, code)


@pytest.mark.parametrize("method", [*REQUESTS, "ReconcilePayments"])
async def test_nobody_in_particular_is_let_in_nowhere(till: Till, crew: Crew, method: str) -> None:
    expired = till.identities.customer(crew.customer.id, lifetime=timedelta(seconds=-60))
    for metadata in ((), (("authorization", "Bearer nonsense"),), expired):
        if method == "ReconcilePayments":
            answer = reconciled(till, metadata)
        else:
            answer = called(till, method, REQUESTS[method](f"{crew.customer.name}/orders/{ABSENT}"), metadata)
        assert (await refusal_of(answer)).code == grpc.StatusCode.UNAUTHENTICATED


async def reconciled(till: Till, metadata: Metadata) -> list[messages.ReconcilePaymentsResponse]:
    request = messages.ReconcilePaymentsRequest()
    request.start_time.GetCurrentTime()
    return [answer async for answer in till.payments.ReconcilePayments(request, metadata=metadata, timeout=TIMEOUT_S)]


async def test_only_admins_and_the_service_itself_compare_books(till: Till, crew: Crew) -> None:
    for who, metadata in callers(till, crew).items():
        if who in ("admin", "orders"):
            assert [answer.payments_compared for answer in await reconciled(till, metadata)] == [0]
        else:
            assert (await refusal_of(reconciled(till, metadata))).code == DENIED, who


@pytest.mark.parametrize("method", REQUESTS)
@pytest.mark.parametrize("order_id", [ABSENT, "none", "-", "0" * 64, "01A20255-3A32-7095-9F84-08DA3203BB33"])
async def test_what_is_not_there_is_not_found_whatever_it_is_called(till: Till, crew: Crew, method: str, order_id: str) -> None:
    call = called(till, method, REQUESTS[method](f"{crew.customer.name}/orders/{order_id}"), crew.admin.metadata)

    assert (await refusal_of(call)).code == grpc.StatusCode.NOT_FOUND


async def test_what_is_anothers_or_of_another_order_is_not_found_under_this_name(till: Till, crew: Crew) -> None:
    stranger = till.counter.person()
    order, others = await till.counter.ordered(crew.customer), await till.counter.ordered(stranger)
    payment = await till.pay(crew.customer, order)
    refund = await through(till, crew, order, amount_minor=100)
    own_of_stranger = f"{stranger.name}/orders/{order.name.rpartition('/')[2]}"
    for method, request in [
        *((method, make(own_of_stranger)) for method, make in REQUESTS.items() if "owner" in OPEN_TO[method]),
        ("GetPayment", messages.GetPaymentRequest(name=payment.name.replace(order.name, others.name))),
        ("GetRefund", messages.GetRefundRequest(name=refund.name.replace(order.name, others.name))),
        ("GetPayment", messages.GetPaymentRequest(name=f"{others.name}/payments/x")),
        ("GetRefund", messages.GetRefundRequest(name=f"{others.name}/refunds/{uuid4()}")),
    ]:
        assert (await refusal_of(called(till, method, request, stranger.metadata))).code == grpc.StatusCode.NOT_FOUND, method
    refused = await refusal_of(called(till, "CreateRefund", REQUESTS["CreateRefund"](own_of_stranger), crew.staff.metadata))
    assert refused.reason == "ORDER_NOT_FOUND"


@pytest.mark.parametrize(
    "fields",
    [
        {"order": ""},
        {"order": "orders/1"},
        {"order": "customers/a/orders/b/c"},
        {"order": "customers/a\x00/orders/b"},
        {"method": payment_pb2.PAYMENT_METHOD_UNSPECIFIED},
        {"method": 99},
        {"points_minor": -1},
        {"points_minor": -(2**63)},
        {"card": "pm card"},
        {"card": "x" * 101},
        {"card": "pm_card_visa\r\nIdempotency-Key: 1"},
        {"request_id": ""},
        {"request_id": "1"},
    ],
    ids=str,
)
async def test_a_payment_that_is_none_is_refused(till: Till, crew: Crew, fields: dict[str, Any]) -> None:
    order = await till.counter.ordered(crew.customer)
    request: dict[str, Any] = {"order": order.name, "method": CARD, "card": VISA, "request_id": str(uuid4())} | fields

    call = called(till, "StartPayment", messages.StartPaymentRequest(**request), crew.staff.metadata)

    assert (await refusal_of(call)).code == grpc.StatusCode.INVALID_ARGUMENT
    assert till.simulator.intents(order_id=order.name.rpartition("/")[2]) == []


@pytest.mark.parametrize("card", ["pm_nobody_knows", "pi_1", "0"])
async def test_a_card_that_the_provider_does_not_know_is_a_payment_that_failed(till: Till, crew: Crew, card: str) -> None:
    order = await till.counter.ordered(crew.customer)

    payment = await till.pay(crew.customer, order, card=card)

    assert (payment.state, bool(payment.failure)) == (payment_pb2.PAYMENT_STATE_FAILED, True)
    assert (await till.pay(crew.customer, order)).state == payment_pb2.PAYMENT_STATE_CAPTURED


async def test_payments_and_refunds_are_listed_newest_first_in_pages(till: Till, crew: Crew) -> None:
    order = await till.counter.ordered(crew.customer)
    payments = [await till.pay(crew.customer, order, card="pm_card_chargeDeclined") for _ in range(4)] + [
        await till.pay(crew.customer, order)
    ]
    refunds = [await give_back(till, crew.staff, order, amount_minor=1) for _ in range(5)]

    made: dict[str, list[str]] = {"Payments": [one.name for one in payments], "Refunds": [one.name for one in refunds]}

    for method, names in made.items():
        for size in (1, 2, 5, 1000):
            pages = await all_pages(till, crew.customer, order, method, size)
            assert [name for page in pages for name in page] == list(reversed(names))
            assert {len(page) for page in pages[:-1]} <= {size}
            assert len(pages) == -(-5 // size)


async def all_pages(till: Till, who: Orders, order: Order, method: str, size: int) -> list[list[str]]:
    pages, token = [], ""
    while True:
        answer = await listed(till, who, order, method, page_size=size, page_token=token)
        pages.append([one.name for one in getattr(answer, method.lower())])
        token = answer.next_page_token
        if not token:
            return pages


async def listed(till: Till, who: Orders, order: Order, method: str, **fields: Any) -> Any:
    return await called(till, f"List{method}", getattr(messages, f"List{method}Request")(parent=order.name, **fields), who.metadata)


@pytest.mark.parametrize("method", ["Payments", "Refunds"])
async def test_a_token_that_was_made_for_something_else_or_by_somebody_else_is_refused(till: Till, crew: Crew, method: str) -> None:
    order, other = await till.counter.ordered(crew.customer), await till.counter.ordered(crew.customer)
    for _ in range(2):
        await till.pay(crew.customer, order, card="pm_card_chargeDeclined")
    await till.pay(crew.customer, order)
    for _ in range(2):
        await give_back(till, crew.staff, order, amount_minor=1)
    token = (await listed(till, crew.customer, order, method, page_size=1)).next_page_token
    assert token
    foreign = (await listed(till, crew.customer, order, "Payments" if method == "Refunds" else "Refunds", page_size=1)).next_page_token
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")

    for wanted, bad in ((other, token), (order, foreign), (order, forged), (order, "%%%"), (order, "A")):
        assert (await refusal_of(listed(till, crew.customer, wanted, method, page_token=bad))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal_of(listed(till, crew.customer, order, method, page_size=-1))).code == grpc.StatusCode.INVALID_ARGUMENT
