"""Golden signatures, made with neither the adapter nor the simulator, so that the two cannot share a mistake.

ROUBLES: printf '%s' '1700000000.<body>' | openssl dgst -sha256 -hmac 'whsec_golden'
CYRILLIC: the same with a body of several lines and a secret beyond ASCII, in UTF-8; checked once more with the HMAC of RFC 2104 written
out over `sha256sum`: sha(key ^ 5c.. + sha(key ^ 36.. + message)).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.payment_sim import signatures
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.application.payments.ports import MessageInvalid
from services.orders.domain.payments.facts import FactKind


@dataclass(frozen=True)
class Golden:
    secret: str
    stamp: int
    body: bytes
    v1: str


ROUBLES = Golden(
    secret="whsec_golden",
    stamp=1700000000,
    body=b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","created":1700000000,"data":{"object":{"id":"pi_1",'
    b'"object":"payment_intent","status":"succeeded","currency":"rub","amount_received":70000,"latest_charge":"ch_1","metadata":{}}}}',
    v1="829bd52720f668ee067983b2a6a9a6fa19f653ccc5819756392e8b9e5a2e8316",
)
CYRILLIC = Golden(
    secret="whsec_новый",
    stamp=1795334400,
    body='{\n  "id": "evt_2",\n  "object": "event",\n  "type": "customer.created",\n  "created": 1795334400,\n'
    '  "data": {"object": {"name": "Пётр Кац \\u2713"}}\n}'.encode(),
    v1="47742e924ee84da7be896245dbddac21455f64b59c66a9875ec6be3b247c2d96",
)
GOLDEN = pytest.mark.parametrize("golden", [ROUBLES, CYRILLIC], ids=["roubles", "cyrillic"])


class Stopped:
    """A clock that shows the stamp and some seconds more."""

    def __init__(self, stamp: int, *, later_s: float = 0) -> None:
        self._now = datetime.fromtimestamp(stamp, UTC) + timedelta(seconds=later_s)

    def now(self) -> datetime:
        return self._now


def reader(golden: Golden, *, later_s: float = 0, secret: str | None = None) -> StripeWebhooks:
    return StripeWebhooks([secret or golden.secret], Stopped(golden.stamp, later_s=later_s))


@GOLDEN
def test_the_simulator_signs_as_the_golden_signature_says(golden: Golden) -> None:
    assert signatures.signature(golden.secret, golden.stamp, golden.body) == golden.v1
    assert f"t={golden.stamp},v1={golden.v1}," in signatures.header([golden.secret], golden.stamp, golden.body)


@GOLDEN
def test_the_adapter_takes_the_golden_signature(golden: Golden) -> None:
    assert reader(golden).read(golden.body, f"t={golden.stamp},v1={golden.v1}").id == f"evt_{1 if golden is ROUBLES else 2}"


def test_the_golden_message_is_read_as_captured_money() -> None:
    [fact] = reader(ROUBLES).read(ROUBLES.body, f"t={ROUBLES.stamp},v1={ROUBLES.v1}").facts
    assert (fact.kind, fact.amount_minor, fact.currency, fact.reference) == (FactKind.CAPTURED, 70_000, "RUB", "ch_1")


@GOLDEN
@pytest.mark.parametrize(
    "flaw",
    [
        lambda g: (g.body + b" ", f"t={g.stamp},v1={g.v1}"),
        lambda g: (g.body, f"t={g.stamp + 1},v1={g.v1}"),
        lambda g: (g.body, f"t={g.stamp},v1={g.v1[:-1]}0" if g.v1[-1] != "0" else f"t={g.stamp},v1={g.v1[:-1]}1"),
        lambda g: (g.body, f"t={g.stamp},v0={g.v1}"),
        lambda g: (g.body, f"v1={g.v1}"),
        lambda g: (g.body, f"t={g.stamp},t={g.stamp},v1={g.v1}"),
        lambda g: (g.body, ""),
    ],
    ids=["other body", "other stamp", "other signature", "other scheme", "no stamp", "two stamps", "no header"],
)
def test_whatever_differs_from_the_golden_message_is_not_the_providers(golden: Golden, flaw: object) -> None:
    body, header = flaw(golden)  # type: ignore[operator]
    with pytest.raises(MessageInvalid):
        reader(golden).read(body, header)


@GOLDEN
@pytest.mark.parametrize(("later_s", "taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_message_is_good_for_five_minutes_around_its_stamp(golden: Golden, later_s: float, taken: bool) -> None:
    header = f"t={golden.stamp},v1={golden.v1}"
    if taken:
        assert reader(golden, later_s=later_s).read(golden.body, header).id
    else:
        with pytest.raises(MessageInvalid):
            reader(golden, later_s=later_s).read(golden.body, header)


@GOLDEN
def test_one_fitting_signature_of_several_is_enough_while_a_secret_is_replaced(golden: Golden) -> None:
    both = signatures.header(["whsec_the_next_one", golden.secret], golden.stamp, golden.body)
    assert reader(golden).read(golden.body, both).id
    assert reader(golden, secret="whsec_the_next_one").read(golden.body, both).id
    with pytest.raises(MessageInvalid):
        reader(golden, secret="whsec_somebody_elses").read(golden.body, both)
