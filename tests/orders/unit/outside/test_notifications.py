"""What is told of an event, to whom, and how a webhook is signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.orders.adapters.notifications.signature import sign
from services.orders.adapters.notifications.smtp import message_of
from services.orders.adapters.notifications.webhook import document_of
from services.orders.domain.notifications.notification import Channel, is_told, notification_of
from services.orders.domain.ordering.model import (
    SYSTEM,
    Contact,
    EventKind,
    Fulfilment,
    Order,
    OrderEvent,
    PointsState,
    State,
)
from tests.orders.unit.ordering.orders import a_line

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CODE = "424242"
READY = Order(
    id=UUID("0198f3f2-7c1e-7a3b-9f55-5e7f1c2d3b4a"),
    customer_id="ada",
    number="1234567890123452",
    state=State.READY,
    location_id="main",
    currency="EUR",
    lines=(),
    fulfilment=Fulfilment.PICKUP,
    contact=Contact("Ada Lovelace", "+44 20 7946 0000", "ada@example.org"),
    delivery_address=None,
    note="ring twice",
    created_at=NOW,
    updated_at=NOW,
    pickup_code=CODE,
    tracking_number="TR-77",
    events=4,
)


def an_event(to_state: State = State.READY, kind: EventKind = EventKind.STATE_CHANGED, **changes: Any) -> OrderEvent:
    event = OrderEvent(READY.id, 4, kind, State.PREPARING, to_state, SYSTEM, "", {}, NOW)
    return replace(event, **changes)


def test_every_event_has_words_and_a_name_that_receivers_know_it_by() -> None:
    for kind in EventKind:
        for state in State:
            notification = notification_of(READY, an_event(state, kind, details={"sku": "IBU-400", "lot": "L-77"}))
            assert notification.id == f"customers/ada/orders/{READY.id}/events/4"
            assert notification.subject.startswith("Your order 1234567890123452 ")
            assert notification.subject in notification.body
    assert notification_of(READY, an_event(State.SHIPPED)).body == "Your order 1234567890123452 is on its way.\nTracking number: TR-77"
    cancelled = notification_of(READY, an_event(State.CANCELLED, reason="out of stock"))
    assert cancelled.body == "Your order 1234567890123452 was cancelled.\nReason: out of stock"


def test_who_has_something_of_a_recalled_lot_is_told_what_and_nobody_else_is() -> None:
    order = replace(READY, state=State.COMPLETED, lines=(a_line("IBU-400"), a_line("ASP-1", display_name="Aspirin")))
    event = an_event(State.COMPLETED, EventKind.LOT_RECALLED, reason="glass in it", details={"sku": "IBU-400", "lot": "L-77"})

    notification = notification_of(order, event)

    assert notification.body.endswith("has a medicine of a lot that was recalled.\nReason: glass in it")
    assert (
        message_of(notification, "shop@example.org")
        .get_content()
        .endswith("The medicine: Ibuprofen 400 mg\nThe lot number on its box: L-77\n")
    )
    assert "L-77" not in document_of(notification).decode()


def test_points_are_told_in_whole_and_hundredths() -> None:
    earned = replace(READY, points_state=PointsState.GRANTED, points_minor=1205)
    assert notification_of(earned, an_event(kind=EventKind.POINTS_GRANTED)).body.endswith("has earned points.\nPoints: 12.05")
    none = replace(READY, points_state=PointsState.NONE)
    assert notification_of(none, an_event(kind=EventKind.POINTS_GRANTED)).body.endswith("earns no points.")


def test_the_pickup_code_is_in_nothing_but_the_customers_own_mail() -> None:
    notification = notification_of(READY, an_event())
    assert CODE in message_of(notification, "shop@example.org").get_content()
    assert CODE not in document_of(notification).decode()
    assert CODE not in notification.body + notification.subject + repr(notification)


@pytest.mark.parametrize(
    "order",
    [replace(READY, state=State.COMPLETED), replace(READY, state=State.CANCELLED), replace(READY, fulfilment=Fulfilment.DELIVERY)],
    ids=["collected", "cancelled", "delivered"],
)
def test_a_code_that_is_of_no_use_any_more_is_told_to_nobody(order: Order) -> None:
    assert notification_of(order, an_event()).confidential == ""


def test_mail_is_for_customers_with_an_address_about_what_concerns_them() -> None:
    without = replace(READY, contact=Contact("Ada", "", ""))
    assert is_told(Channel.SMTP, READY, an_event())
    assert not is_told(Channel.SMTP, without, an_event())
    assert not is_told(Channel.SMTP, READY, an_event(kind=EventKind.CLAIMED))
    for channel in (Channel.LOG, Channel.WEBHOOK):
        assert is_told(channel, without, an_event(kind=EventKind.CLAIMED))


def test_a_mail_is_addressed_dated_and_known_by_its_event() -> None:
    message = message_of(notification_of(READY, an_event()), "shop@example.org")
    assert (message["From"], message["To"]) == ("shop@example.org", "ada@example.org")
    assert message["Message-ID"] == f"<{READY.id}.4@example.org>"
    assert message["Date"] == "Wed, 04 Mar 2026 05:06:07 +0000"


@pytest.mark.parametrize("address", ["ada@example.org\nBcc: all@example.org", "ada@example.org\r\n\r\nhello", "a\x00b@example.org"])
def test_an_address_can_add_no_header_and_no_text(address: str) -> None:
    order = replace(READY, contact=Contact("Ada", "", address))
    try:
        message = message_of(notification_of(order, an_event()), "shop@example.org")
    except ValueError:
        return
    assert message["Bcc"] is None
    assert "hello" not in message.get_content()
    assert "\n" not in str(message["To"]).rstrip()


def test_the_posted_document_says_what_happened_and_not_to_whom() -> None:
    document = json.loads(document_of(notification_of(READY, an_event(State.SHIPPED))))
    assert document == {
        "id": f"customers/ada/orders/{READY.id}/events/4",
        "kind": "STATE_CHANGED",
        "order": f"customers/ada/orders/{READY.id}",
        "order_number": "1234567890123452",
        "from_state": "PREPARING",
        "to_state": "SHIPPED",
        "create_time": "2026-03-04T05:06:07+00:00",
        "text": "Your order 1234567890123452 is on its way.\nTracking number: TR-77",
    }


def test_the_signature_is_that_of_time_and_body() -> None:
    """Made by hand: printf '1700000000.<body>' | openssl dgst -sha256 -hmac 'whsec-of-the-test'."""
    body = b'{"id":"customers/ada/orders/1/events/1"}'
    expected = "dfdcd19371c327b74d29e8578fcf03b1dea752771460d03c7a733d9cbeda7b80"
    assert sign(b"whsec-of-the-test", 1700000000, body) == f"t=1700000000,v1={expected}"
