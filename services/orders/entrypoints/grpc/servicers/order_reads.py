"""The part of OrderService that lists, finds and watches orders: convert, await, convert."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from galen.orders.v1 import order_pb2, order_service_pb2_grpc
from galen.orders.v1 import order_service_pb2 as messages

from services.orders.application.ordering.allowed_actions import AllowedActions
from services.orders.application.ordering.read_ports import OrderHistory, OrderPages, OrderQueue
from services.orders.application.ordering.watch_orders import WatchOrders
from services.orders.domain.errors import LocationNotFound, OrderNotFound
from services.orders.domain.inventory.names import parse_location
from services.orders.domain.ordering.model import Order
from services.orders.entrypoints.grpc.converters.order_reads import (
    feed_scope,
    order_filter,
    order_search,
    queue_message,
    sealed,
    told_message,
)
from services.orders.entrypoints.grpc.converters.orders import caller_of, event_message, order_message, parse_order
from shared.grpc.call import current_principal
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size


@dataclass(frozen=True, slots=True)
class OrderReading:
    """What reading orders needs."""

    pages: OrderPages
    history: OrderHistory
    queue: OrderQueue
    watch: WatchOrders
    tokens: PageTokens
    allowed: AllowedActions


class OrderReadsServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves what reads orders."""

    def __init__(self, reading: OrderReading) -> None:
        self._reading = reading

    async def ListOrders(self, request: messages.ListOrdersRequest, context: Context) -> messages.ListOrdersResponse:
        page = await self._reading.pages.list(order_filter(request, self._reading.tokens.open(request)))
        token = self._reading.tokens.seal(request, sealed(page.following)) if page.following else ""
        return messages.ListOrdersResponse(orders=self._listed(page.orders), next_page_token=token)

    async def SearchOrders(self, request: messages.SearchOrdersRequest, context: Context) -> messages.SearchOrdersResponse:
        page = await self._reading.pages.search(order_search(request, self._reading.tokens.open(request)))
        token = self._reading.tokens.seal(request, sealed(page.following)) if page.following else ""
        return messages.SearchOrdersResponse(orders=self._listed(page.orders), next_page_token=token)

    async def ListOrderEvents(self, request: messages.ListOrderEventsRequest, context: Context) -> messages.ListOrderEventsResponse:
        position = self._reading.tokens.open(request)
        customer_id, order_id = parse_order(request.parent)
        after, limit = position[0] if position else 0, page_size(request.page_size)
        page = await self._reading.history.events(customer_id, order_id, after=after, limit=limit)
        if page is None:
            raise OrderNotFound
        token = self._reading.tokens.seal(request, [page.following]) if page.following else ""
        events = [event_message(event, request.parent, page.order_number) for event in page.events]
        return messages.ListOrderEventsResponse(events=events, next_page_token=token)

    async def WatchOrders(
        self, request: messages.WatchOrdersRequest, context: Context
    ) -> AsyncGenerator[messages.WatchOrdersResponse, None]:
        position = self._reading.tokens.open(request)
        async with aclosing(self._reading.watch.watch(feed_scope(request), position[0] if position else None)) as watched:
            async for told in watched:
                yield told_message(told, self._reading.tokens.seal(request, [told.position]))

    async def GetOrderQueueStats(
        self, request: messages.GetOrderQueueStatsRequest, context: Context
    ) -> messages.GetOrderQueueStatsResponse:
        counts = await self._reading.queue.count(parse_location(request.location))
        if counts is None:
            raise LocationNotFound
        return queue_message(counts)

    def _listed(self, orders: Iterable[Order]) -> list[order_pb2.Order]:
        caller = caller_of(current_principal.get())
        return [order_message(order, caller, self._reading.allowed(order, caller)) for order in orders]
