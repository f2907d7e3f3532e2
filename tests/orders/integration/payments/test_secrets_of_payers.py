"""What a payer confirms a payment with is kept with the payment until that has ended, and with nothing that the provider has said of it."""

from __future__ import annotations

import json
from uuid import UUID

import psycopg
import pytest
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.migrations.schema import schema
from shared.clock import SystemClock
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from tests.orders.counter import Crew, order_id
from tests.orders.till import Till, eventually

ASKS = "pm_card_threeDSecure2Required"
ACTION_REQUIRED = payment_pb2.PAYMENT_STATE_ACTION_REQUIRED


async def kept_of(till: Till, payment: payment_pb2.Payment) -> list[str]:
    """The bodies of the messages about a payment, and the facts of it."""
    payment_id = UUID(payment.name.rpartition("/")[2])
    bodies = await till.counter.rows("select body from webhook_event join payment on intent = object_id where payment_id = %s", payment_id)
    facts = await till.counter.rows("select payment_fact::text as fact from payment_fact where payment_id = %s", payment_id)
    return [row.body.decode() for row in bodies] + [row.fact for row in facts]


async def has_come(till: Till, payment: payment_pb2.Payment, kind: str) -> bool:
    return any(f'"{kind}"' in one for one in await kept_of(till, payment))


async def test_no_message_no_fact_and_no_log_keeps_what_could_pay(till: Till, crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    """Red while bodies were stored as they came, and facts told where the payer is sent to."""
    opened = await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")
    asked = await till.pay(crew.customer, await till.counter.ordered(crew.customer), card=ASKS)
    assert "_secret_" in opened.client_secret
    assert "_secret_" in asked.next_action.redirect_url

    assert await eventually(lambda: has_come(till, opened, "payment_intent.created"))
    assert await eventually(lambda: has_come(till, asked, "payment_intent.requires_action"))

    assert [one for payment in (opened, asked) for one in await kept_of(till, payment) if "_secret_" in one] == []
    assert (await till.payment(crew.customer, asked.name)).next_action == asked.next_action
    said = capsys.readouterr().out
    assert ("webhook" in said, "_secret_" in said) == (True, False)


async def test_messages_that_had_to_be_fetched_are_kept_without_it_too(till: Till, crew: Crew) -> None:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    payment = await till.pay(crew.customer, await till.counter.ordered(crew.customer), card=ASKS)

    await till.look()

    assert await eventually(lambda: has_come(till, payment, "payment_intent.requires_action"))
    assert [one for one in await kept_of(till, payment) if "_secret_" in one] == []


async def test_a_payer_of_whom_only_a_message_tells_is_told_what_to_do(till: Till, crew: Crew) -> None:
    """The provider is asked, for no message keeps it. Red without that: the poller would have looked half a minute later."""
    till.simulator.set_faults(
        Fault(FaultKind.LOST, operation=Operation.WEBHOOK), Fault(FaultKind.DROP, operation=Operation.CREATE, after=True)
    )
    order = await till.counter.ordered(crew.customer)
    payment = await till.pay(crew.customer, order, card=ASKS)
    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    event = next(one for one in till.simulator.events(intent["id"]) if one.type == "payment_intent.requires_action")
    body, signature = till.simulator.signed(event)

    await till.payments.DeliverWebhook(messages.DeliverWebhookRequest(body=body, signature=signature), timeout=10)

    async def is_told() -> bool:
        found = await till.payment(crew.customer, payment.name)
        return found.state == ACTION_REQUIRED and "_secret_" in found.next_action.redirect_url

    assert await eventually(is_told, limit_s=10.0)


def test_a_message_says_the_same_without_its_secrets() -> None:
    secret = {"client_secret": "pi_1_secret_x", "next_action": {"redirect_to_url": {"url": "https://bank/pi_1_secret_x"}}}
    intent = {"id": "pi_1", "status": "requires_action", "currency": "eur", "metadata": {"payment_id": "p"}, **secret}
    document = {
        "id": "evt_1",
        "type": "payment_intent.requires_action",
        "created": 1_700_000_000,
        "data": {"object": {**intent, "last_payment_error": {"payment_intent": intent}}, "previous_attributes": secret},
    }
    webhooks, body = StripeWebhooks((), SystemClock()), json.dumps(document).encode()

    kept = webhooks.without_secrets(body)

    assert b"_secret_" in body
    assert b"_secret_" not in kept
    assert webhooks.read_stored(kept) == webhooks.read_stored(body)
    assert webhooks.without_secrets(kept) == kept


def test_what_was_kept_before_is_forgotten_by_the_migration(postgres_server_uri: str) -> None:
    intent = {
        "id": "pi_1",
        "note": "\u00fc",
        "client_secret": "pi_1_secret_Ab9",
        "next_action": {"url": "https://bank/pay?s=pi_1_secret_Ab9&t=1"},
    }
    bodies = {"evt_1": json.dumps(intent, ensure_ascii=False).encode(), "evt_2": b'{"id": "pi_2"}'}
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri, target="0006")
        with psycopg.connect(uri, autocommit=True) as connection:
            for event_id, body in bodies.items():
                connection.execute(
                    "insert into orders.webhook_event (event_id, kind, object_id, state, body, created_at, received_at)"
                    " values (%s, 'k', 'o', 'DONE', %s, now(), now())",
                    (event_id, body),
                )
            migrate(schema, uri)
            kept: dict[str, bytes] = dict(connection.execute("select event_id, body from orders.webhook_event").fetchall())

    assert json.loads(kept["evt_1"]) == intent | {"client_secret": "pi_", "next_action": {"url": "https://bank/pay?s=pi_&t=1"}}
    assert kept["evt_2"] == bodies["evt_2"]
