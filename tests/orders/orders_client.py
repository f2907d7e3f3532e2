"""OrderService as its callers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
from galen.orders.v1 import order_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.order_service_pb2_grpc import OrderServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from shared.testing.identities import Metadata

if TYPE_CHECKING:
    from galen.orders.v1.order_service_pb2_grpc import OrderServiceAsyncStub

TIMEOUT_S = 20


def line(sku: str, quantity: int = 1, prescription: str = "") -> messages.NewOrderLine:
    return messages.NewOrderLine(sku=sku, quantity=quantity, prescription=prescription)


class Orders:
    """OrderService, called by somebody. `id` is theirs."""

    def __init__(self, channel: grpc.aio.Channel, person_id: str, metadata: Metadata) -> None:
        self.stub: OrderServiceAsyncStub = OrderServiceStub(channel)
        self.id = person_id
        self.metadata = metadata

    @property
    def name(self) -> str:
        return f"customers/{self.id}"

    async def create(self, *lines: messages.NewOrderLine, **fields: Any) -> Order:
        """Makes an order; for the caller, unless `parent` says otherwise."""
        wanted = {"parent": self.name, "lines": lines, "request_id": str(uuid4())} | fields
        return await self._order("CreateOrder", messages.CreateOrderRequest(**wanted))

    async def get(self, name: str) -> Order:
        return await self._order("GetOrder", messages.GetOrderRequest(name=name))

    async def events(self, name: str, limit: int = 100) -> list[Any]:
        """Returns the latest events, first to last."""
        response = await self._call("GetOrder", messages.GetOrderRequest(name=name, events=limit))
        return list(reversed(response.events))

    async def update(self, order: Order, *paths: str, **fields: Any) -> Order:
        return await self.act("UpdateOrder", order, update_mask=FieldMask(paths=paths), **fields)

    async def act(self, method: str, order: Order, **fields: Any) -> Order:
        """Calls a method of one order, with the etag that was read where the method takes one."""
        kind: Any = getattr(messages, f"{method}Request")
        known = {"name": order.name, "request_id": str(uuid4())}
        if "etag" in kind.DESCRIPTOR.fields_by_name:
            known["etag"] = order.etag
        return await self._order(method, kind(**(known | fields)))

    async def claim_next(self, location: str, *states: int, **fields: Any) -> Order:
        request: dict[str, Any] = {"location": location, "states": states, "request_id": str(uuid4())} | fields
        return await self._order("ClaimNextOrder", messages.ClaimNextOrderRequest(**request))

    async def _order(self, method: str, request: Any) -> Order:
        order: Order = (await self._call(method, request)).order
        return order

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self.stub, method)(request, metadata=self.metadata, timeout=TIMEOUT_S)
