"""Lists, searches, queues and watches of orders, between the contract's messages and the domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from galen.orders.v1 import order_pb2
from galen.orders.v1 import order_service_pb2 as messages

from services.orders.application.ordering.feed_ports import FeedScope
from services.orders.application.ordering.read_ports import OrderFilter, OrderSearch, Place, QueueCount
from services.orders.application.ordering.watch_orders import Told
from services.orders.domain.inventory.names import parse_location
from services.orders.domain.ordering.filter import parse_filter
from services.orders.domain.ordering.search import query_words
from services.orders.entrypoints.grpc.converters.orders import event_message
from shared.grpc.page_tokens import page_size
from shared.grpc.timestamps import timestamp

ORDERS_MAX = 200
EVERYBODY = "-"


def order_filter(request: messages.ListOrdersRequest, position: list[Any] | None) -> OrderFilter:
    """Raises InvalidFilter."""
    return OrderFilter(_customer(request.parent), parse_filter(request.filter), _place(position), _orders(request.page_size))


def order_search(request: messages.SearchOrdersRequest, position: list[Any] | None) -> OrderSearch:
    return OrderSearch(query_words(request.query), _place(position), _orders(request.page_size))


def sealed(place: Place) -> list[Any]:
    """Returns what a page token holds."""
    return [place[0].isoformat(), str(place[1])]


def feed_scope(request: messages.WatchOrdersRequest) -> FeedScope:
    return FeedScope(_customer(request.parent), parse_location(request.location) if request.location else None)


def told_message(told: Told, token: str) -> messages.WatchOrdersResponse:
    fed = told.fed
    event = None if fed is None else event_message(fed.event, fed.order_name, fed.order_number)
    return messages.WatchOrdersResponse(event=event, resume_token=token)


def queue_message(counts: Sequence[QueueCount]) -> messages.GetOrderQueueStatsResponse:
    return messages.GetOrderQueueStatsResponse(states=map(_count_message, counts))


def _count_message(count: QueueCount) -> messages.QueueStats:
    return messages.QueueStats(
        state=order_pb2.OrderState.ValueType(count.state),
        orders=count.orders,
        unclaimed=count.unclaimed,
        overdue=count.overdue,
        oldest_due_time=timestamp(count.oldest_due_at) if count.oldest_due_at else None,
    )


def _customer(parent: str) -> str | None:
    """Returns whose orders are meant, None if everybody's."""
    customer_id = parent.removeprefix("customers/")
    return None if customer_id == EVERYBODY else customer_id


def _place(position: list[Any] | None) -> Place | None:
    return None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))


def _orders(asked: int) -> int:
    return min(page_size(asked), ORDERS_MAX)
