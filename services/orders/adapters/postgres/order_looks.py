"""What is looked at before an order is made, outside of any transaction: was the request answered, is there stock, what is to be had.

Most of what making an order costs is round trips, and this one many callers can share.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry

from services.orders.adapters.postgres import request_statements as requests
from services.orders.adapters.postgres.order_round_trips import SETTINGS, Send, find_medicines, medicines_of, named, positional, sender
from services.orders.adapters.postgres.stock_statements import SHORT_CARTS, SHORT_LEVELS
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.ordering.ports import Looked
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.ordering.model import Order
from shared.coalescer import Coalescer
from shared.grpc.call import current_deadline
from shared.observability.metrics import BatchMetrics
from shared.postgres.errors import translate_postgres_error
from shared.postgres.round_trips import RoundTrips, Rows
from shared.requests import RequestKey

_SHORT_CARTS = positional(SHORT_CARTS)
_SHORT_LEVELS = positional(SHORT_LEVELS)
# Who was answered comes back with their next order only: to wait for them costs those who are there more than larger batches save.
GATHER_S = 0.002


@dataclass(frozen=True, slots=True)
class _Cart:
    """What somebody wants to order."""

    key: RequestKey
    location_id: str
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found for a cart. `answers` is what `reply_of` reads."""

    answers: Rows
    medicines: Mapping[str, Medicine]
    short: Sequence[ShortLine] = ()


class PostgresOrderLooks:
    """`OrderLooks`. To be used inside `opened`."""

    def __init__(self, transactions: Transactions, registry: CollectorRegistry) -> None:
        self._transactions = transactions
        self._round_trips = RoundTrips()
        self._coalescer = Coalescer(self._look, gather_s=GATHER_S, is_outage=_is_outage, observer=BatchMetrics(registry, "order_look"))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Answers what was asked before the block ends."""
        async with self._coalescer:
            yield

    async def look(self, key: RequestKey, location_id: str, units: Mapping[str, int]) -> Looked:
        seen = await self._coalescer.submit(_Cart(key, location_id, units), deadline=current_deadline.get())
        reply = requests.reply_of(seen.answers, key)
        return Looked(self._transactions.answers.read(reply, Order), seen.short, seen.medicines)

    async def _look(self, carts: Sequence[_Cart]) -> Sequence[_Seen]:
        async with self._transactions.begin() as transaction:
            send = await sender(self._round_trips, transaction.connection)
            short, seen = await _look_at(send, carts)
            lines = await _short_lines(send, [carts[place] for place in short])
        for place, found in zip(short, lines, strict=True):
            seen[place] = replace(seen[place], short=found)
        return seen


async def _look_at(send: Send, carts: Sequence[_Cart]) -> tuple[Sequence[int], list[_Seen]]:
    """Returns the places of the carts that are short and whose requests were not answered, and what was seen of each.

    Stock is looked at first: what a request itself took can't make it short, for then its answer is there.
    """
    skus = {sku for cart in carts for sku in cart.units}
    ask = [SETTINGS, named(_SHORT_CARTS, _all_lines(carts)), requests.find_many([cart.key for cart in carts]), find_medicines(skus)]
    _, short, found, medicines = await send(ask)
    answers, known = requests.found_by_place(found), medicines_of(medicines)
    seen = [_Seen(answers.get(place, ()), {sku: known[sku] for sku in cart.units if sku in known}) for place, cart in enumerate(carts)]
    return [place for (place,) in short if place not in answers], seen


async def _short_lines(send: Send, carts: Sequence[_Cart]) -> Sequence[Sequence[ShortLine]]:
    """Returns all lines of each cart that are short."""
    if not carts:
        return []
    found = await send([named(_SHORT_LEVELS, _lines(cart)) for cart in carts])
    return [[ShortLine(*row) for row in rows] for rows in found]


def _all_lines(carts: Sequence[_Cart]) -> dict[str, list[object]]:
    lines = [(place, cart.location_id, sku, quantity) for place, cart in enumerate(carts) for sku, quantity in cart.units.items()]
    return {column: [line[at] for line in lines] for at, column in enumerate(("carts", "locations", "skus", "quantities"))}


def _lines(cart: _Cart) -> dict[str, object]:
    return {"location": cart.location_id, "skus": list(cart.units), "quantities": list(cart.units.values())}


def _is_outage(error: Exception) -> bool:
    return translate_postgres_error(error) is not None
