"""Every event reaches every channel, whatever fails on the way, and nothing is told that has not happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.orders.adapters.notifications.signature import sign
from shared.testing.errors import refusal_of
from tests.orders.integration.outside.conftest import OpenShop
from tests.orders.mail_server import MailServerHandle, mail_server
from tests.orders.orders_client import line
from tests.orders.shop import Shop, eventually
from tests.orders.webhook_receiver import Receiver, webhook_receiver

SECRET = "whsec-of-the-test"
# What happens to an order until it is ready: made, paid, begun, ready.
EVENTS_UNTIL_READY = 4


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "webhook.secret"
    file.write_text(SECRET + "\n")
    return file


def channels(receiver: Receiver, mails: MailServerHandle, secret_file: Path) -> dict[str, Any]:
    return {
        "notify": "log,smtp,webhook",
        "webhook_url": receiver.url,
        "webhook_secret_file": secret_file,
        "webhook_timeout_s": 2.0,
        "smtp_address": f"127.0.0.1:{mails.port}",
        "smtp_sender": "shop@galen.example",
        "smtp_encryption": "none",
    }


async def none_left(shop: Shop) -> None:
    async def look() -> bool:
        return not await shop.jobs("notify")

    await eventually(look)


async def test_each_event_is_posted_signed_and_mailed_once_though_the_receiver_fails_at_first(
    open_for: OpenShop, secret_file: Path
) -> None:
    async with (
        webhook_receiver() as receiver,
        mail_server() as mails,
        open_for(**channels(receiver, mails, secret_file)) as shop,
    ):
        receiver.answers = [500, 503, 302]
        order = await shop.crew.in_state("READY")
        await none_left(shop)

        taken = {delivery.id for delivery in receiver.deliveries if delivery.answered == 204}
        assert taken == {f"{order.name}/events/{number}" for number in range(1, EVENTS_UNTIL_READY + 1)}
        assert len(receiver.deliveries) == EVENTS_UNTIL_READY + 3, "what was not taken is posted again under the same id"
        for delivery in receiver.deliveries:
            stamp = int(delivery.signature.split(",")[0].removeprefix("t="))
            assert delivery.signature == sign(SECRET.encode(), stamp, delivery.body)

        code = (await shop.crew.customer.get(order.name)).pickup_code
        assert sorted(mail["Subject"].partition(order.order_number)[2] for mail in mails.mails) == [
            " is being prepared",
            " is paid",
            " is ready",
            " waits for your payment",
        ]
        assert set(mails.recipients) == {"ann@example.com"}
        assert [code in mail.get_content() for mail in mails.mails].count(True) == 1
        assert not any(code.encode() in delivery.body for delivery in receiver.deliveries)


async def test_a_channel_that_stays_away_is_given_up_and_delays_no_other(open_for: OpenShop, secret_file: Path) -> None:
    async with (
        webhook_receiver() as receiver,
        mail_server() as mails,
        open_for(**channels(receiver, mails, secret_file), notify_attempts_max=2) as shop,
    ):
        receiver.answers = [500] * 10
        mails.answers = ["550 there is nobody of this name"]
        order = await shop.counter.ordered(shop.crew.customer)

        async def parked() -> bool:
            return sorted(await shop.jobs("notify")) == [("notify", "failed", 1), ("notify", "failed", 2)]

        await eventually(parked)
        assert [delivery.id for delivery in receiver.deliveries] == [f"{order.name}/events/1"] * 2
        assert mails.mails == []
        # The next event is told all the same.
        receiver.answers = []
        await shop.crew.customer.act("CancelOrder", order)

        async def told() -> bool:
            return bool(mails.mails) and receiver.deliveries[-1].answered == 204

        await eventually(told)


async def test_an_event_and_its_jobs_are_one_commit(open_for: OpenShop, secret_file: Path) -> None:
    """What is refused leaves neither; what is done leaves both, and a repeat adds nothing."""
    async with webhook_receiver() as receiver, mail_server() as mails:
        async with open_for(**channels(receiver, mails, secret_file), background_work=False) as shop:
            sku = await shop.counter.medicine(stock=1)
            customer, location = shop.crew.customer, shop.counter.location
            refusal = await refusal_of(customer.create(line(sku, 2), location=location))
            assert refusal.reason == "INSUFFICIENT_STOCK"
            judged = await customer.create(line(sku), location=location, validate_only=True)
            assert judged.name == ""
            assert await shop.jobs() == []

            made = await customer.create(line(sku), location=location, request_id="0198f3f2-7c1e-4a3b-9f55-5e7f1c2d3b4a")
            again = await customer.create(line(sku), location=location, request_id="0198f3f2-7c1e-4a3b-9f55-5e7f1c2d3b4a")
            assert again.name == made.name
            assert await shop.jobs("notify") == [("notify", "todo", 0)] * 3
        assert receiver.deliveries == []
