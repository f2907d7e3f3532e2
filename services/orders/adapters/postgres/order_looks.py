"""What is looked at before an order is made, outside of any transaction: was the request answered, is there stock at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.orders.adapters.postgres import request_statements as requests
from services.orders.adapters.postgres.order_round_trips import SETTINGS, Send, find_medicines, medicines_of, named, positional
from services.orders.adapters.postgres.stock_statements import SHORT_LEVELS
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.inventory.shortage import ShortLine
from shared.requests import RequestKey

_IS_SHORT = positional("""
select count(*) from unnest(%(skus)s::text[], %(quantities)s::bigint[]) as asked (sku, quantity)
cross join lateral (
    select on_hand - reserved as available from stock_level
    where stock_level.location_id = %(location)s and stock_level.sku = asked.sku offset 0
) as level
where available < quantity
""")
_SHORT_LEVELS = positional(SHORT_LEVELS)


async def find_reply(send: Send, key: RequestKey) -> Mapping[str, Any] | None:
    """Returns what is stored as the answer of a request; None promises nothing. Raises RequestIdReused."""
    (found,) = await send([requests.find(key)])
    return requests.reply_of(found, key)


async def look(
    send: Send, key: RequestKey, location_id: str, units: Mapping[str, int]
) -> tuple[Mapping[str, Any] | None, bool, Mapping[str, Medicine]]:
    """Returns the same, whether the location has levels of these SKUs that are short, and the medicines.

    Stock is looked at first: what the request itself took can't make it short, for then its answer is there.
    """
    _, ((short,),), found, medicines = await send(
        [SETTINGS, named(_IS_SHORT, _asked(location_id, units)), requests.find(key), find_medicines(units)]
    )
    return requests.reply_of(found, key), short > 0, medicines_of(medicines)


async def find_shortage(send: Send, location_id: str, units: Mapping[str, int]) -> Sequence[ShortLine]:
    """Returns all lines that are short."""
    (short,) = await send([named(_SHORT_LEVELS, _asked(location_id, units))])
    return [ShortLine(*row) for row in short]


def _asked(location_id: str, units: Mapping[str, int]) -> dict[str, Any]:
    return {"location": location_id, "skus": list(units), "quantities": list(units.values())}
