"""What a change of an order does to its stock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from services.orders.application.inventory.stock import BoundLot, Cause, Stock
from services.orders.domain.errors import InsufficientStock, LotNotUsable
from services.orders.domain.inventory.errors import LotNotFound, StockShort
from services.orders.domain.ordering.changes import Command, Outcome
from services.orders.domain.ordering.model import LineLot, Order
from services.orders.domain.ordering.transitions import StockEffect


async def move_stock(stock: Stock, outcome: Outcome, command: Command) -> Order:
    """Does it; returns the order with the lots that are bound then. Its reservation has the order's id.

    Raises InsufficientStock, LotNotUsable.
    """
    order = outcome.order
    cause = Cause(outcome.event.actor.name, order.name, outcome.event.reason)
    match outcome.effect:
        case StockEffect.COMMIT:
            return with_lots(order, await _commit(stock, order, cause))
        case StockEffect.SWAP:
            with _lots_named():
                return with_lots(order, await stock.swap(order.id, command.packed, cause))
        case StockEffect.RELEASE:
            await stock.release(order.id, cause)
        case StockEffect.EXPIRE:
            await stock.release(order.id, cause, expired=True)
        case StockEffect.RESTOCK:
            await stock.restock(order.id, cause)
        case StockEffect.DISPATCH:
            with _lots_named():
                await stock.dispatch(order.id, cause)
        case StockEffect.TAKE_BACK:
            await stock.take_back(order.id, command.returned, cause)
        case StockEffect.NONE:
            pass
    return order


def with_lots(order: Order, bound: Sequence[BoundLot]) -> Order:
    """Returns the order with these lots in its lines."""
    lines = tuple(replace(line, lots=tuple(_lot(one) for one in bound if one.sku == line.sku)) for line in order.lines)
    return replace(order, lines=lines)


def _lot(bound: BoundLot) -> LineLot:
    return LineLot(bound.lot_id, bound.lot_number, bound.expires_on, bound.quantity)


async def _commit(stock: Stock, order: Order, cause: Cause) -> Sequence[BoundLot]:
    try:
        return await stock.commit(order.id, cause)
    except StockShort as short:
        raise InsufficientStock(short.lines) from short


@contextmanager
def _lots_named() -> Iterator[None]:
    try:
        yield
    except LotNotFound as error:
        raise LotNotUsable(error.metadata["sku"], error.metadata["lot"]) from error
