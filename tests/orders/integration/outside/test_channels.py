"""Each channel with a real server at its other end: what arrives, and what a failure is taken for."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator

import pytest

from services.orders.adapters.notifications.log import LogNotifier
from services.orders.adapters.notifications.smtp import Encryption, MailServer, SmtpNotifier
from services.orders.adapters.notifications.webhook import WebhookNotifier
from services.orders.application.notifications.ports import NotDelivered, Undeliverable
from services.orders.domain.notifications.notification import Notification
from services.orders.domain.ordering.model import EventKind, State
from shared.clock import SystemClock
from shared.testing.servers import free_port
from tests.orders.mail_server import MailServerHandle, mail_server
from tests.orders.webhook_receiver import Receiver, webhook_receiver
from tests.orders.world import NOW

SECRET = b"whsec-of-the-test"
NOTIFICATION = Notification(
    id="customers/ada/orders/0198f3f2-7c1e-7a3b-9f55-5e7f1c2d3b4a/events/3",
    kind=EventKind.STATE_CHANGED,
    order="customers/ada/orders/0198f3f2-7c1e-7a3b-9f55-5e7f1c2d3b4a",
    order_number="1234567890123452",
    from_state=State.PREPARING,
    to_state=State.READY,
    created_at=NOW,
    subject="Your order 1234567890123452 is ready",
    body="Your order 1234567890123452 is ready.",
    email="ada@example.org",
    confidential="Your pickup code: 424242",
)


@pytest.fixture
async def mails() -> AsyncIterator[MailServerHandle]:
    async with mail_server() as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with webhook_receiver() as receiver:
        yield receiver


def smtp(port: int, timeout_s: float = 5.0, encryption: Encryption = Encryption.NONE) -> SmtpNotifier:
    return SmtpNotifier(MailServer("127.0.0.1", port, "shop@galen.example", encryption, timeout_s))


async def send(notifier: SmtpNotifier | WebhookNotifier | LogNotifier) -> None:
    async with notifier.opened():
        await notifier.send(NOTIFICATION)


async def test_a_mail_reaches_the_customer_with_the_code_that_only_they_may_know(mails: MailServerHandle) -> None:
    await send(smtp(mails.port))
    (mail,) = mails.mails
    assert mails.recipients == ["ada@example.org"]
    assert mail["Subject"] == NOTIFICATION.subject
    assert mail.get_content() == "Your order 1234567890123452 is ready.\n\nYour pickup code: 424242\n"


@pytest.mark.parametrize(
    ("answer", "failure"), [("450 later", NotDelivered), ("550 there is nobody of this name", Undeliverable)], ids=["later", "never"]
)
async def test_a_recipient_who_is_refused_for_now_is_tried_again_and_one_who_is_unknown_is_not(
    mails: MailServerHandle, answer: str, failure: type[Exception]
) -> None:
    mails.answers = [answer]
    with pytest.raises(failure):
        await send(smtp(mails.port))
    assert mails.mails == []


async def test_a_mail_server_that_is_away_silent_or_without_encryption_is_tried_again(mails: MailServerHandle) -> None:
    with pytest.raises(NotDelivered):
        await send(smtp(free_port()))
    with pytest.raises(NotDelivered):
        await send(smtp(mails.port, encryption=Encryption.STARTTLS))
    mails.silent = True
    began = time.monotonic()
    with pytest.raises(NotDelivered):
        await send(smtp(mails.port, timeout_s=0.3))
    assert time.monotonic() - began < 3
    assert mails.mails == []


async def test_a_posted_event_is_signed_with_the_time_and_the_exact_body(receiver: Receiver) -> None:
    async with WebhookNotifier(receiver.url, SECRET, SystemClock(), timeout_s=5).opened() as webhook:
        await webhook.send(NOTIFICATION)
    (delivery,) = receiver.deliveries
    assert delivery.id == NOTIFICATION.id
    assert b"424242" not in delivery.body
    stamp, signature = (part.partition("=")[2] for part in delivery.signature.split(","))
    assert abs(int(stamp) - time.time()) < 30
    assert signature == hmac.new(SECRET, stamp.encode() + b"." + delivery.body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 429, 500, 503])
async def test_everything_but_a_2xx_is_no_delivery_and_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with pytest.raises(NotDelivered, match=str(status)):
        await send(WebhookNotifier(receiver.url, SECRET, SystemClock(), timeout_s=5))
    assert len(receiver.deliveries) == 1


async def test_a_receiver_that_is_away_or_slow_has_not_received(receiver: Receiver) -> None:
    with pytest.raises(NotDelivered):
        await send(WebhookNotifier(f"http://127.0.0.1:{free_port()}/", SECRET, SystemClock(), timeout_s=5))
    receiver.delay_s = 5
    began = time.monotonic()
    with pytest.raises(NotDelivered):
        await send(WebhookNotifier(receiver.url, SECRET, SystemClock(), timeout_s=0.3))
    assert time.monotonic() - began < 3


async def test_the_log_tells_neither_code_nor_address(capsys: pytest.CaptureFixture[str]) -> None:
    await send(LogNotifier())
    line = capsys.readouterr().out
    assert NOTIFICATION.id in line
    assert "424242" not in line
    assert "ada@example.org" not in line
