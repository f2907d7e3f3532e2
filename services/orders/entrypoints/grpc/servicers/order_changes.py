"""The part of OrderService that makes and changes orders, and reads one: convert, await, convert."""

from __future__ import annotations

from dataclasses import dataclass

from galen.orders.v1 import order_pb2, order_service_pb2_grpc
from galen.orders.v1 import order_service_pb2 as messages

from services.orders.application.ordering.allowed_actions import AllowedActions
from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.application.ordering.claim_orders import ClaimOrders
from services.orders.application.ordering.create_order import CreateOrder
from services.orders.application.ordering.hand_over import HandOver
from services.orders.application.ordering.read_order import ReadOrder
from services.orders.application.ordering.update_order import UpdateOrder
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.changes import Command
from services.orders.domain.ordering.model import Order, State
from services.orders.domain.ordering.transitions import Caller
from services.orders.entrypoints.grpc.converters.orders import (
    caller_of,
    event_message,
    new_order,
    order_message,
    order_update,
    packed_units,
    parse_order,
    unmade_message,
)
from shared.grpc.call import current_principal, request_key
from shared.grpc.interceptor import Context


@dataclass(frozen=True, slots=True)
class OrderUseCases:
    """What makes, changes and reads orders."""

    create: CreateOrder
    read: ReadOrder
    update: UpdateOrder
    change: ChangeOrder
    hand_over: HandOver
    claims: ClaimOrders
    allowed: AllowedActions


class OrderChangesServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves what changes orders, and GetOrder."""

    def __init__(self, orders: OrderUseCases) -> None:
        self._orders = orders

    async def CreateOrder(self, request: messages.CreateOrderRequest, context: Context) -> messages.CreateOrderResponse:
        caller = _caller()
        order = await self._orders.create(new_order(request), caller, request_key(request))
        message = unmade_message(order, caller) if request.validate_only else self._shown(order, caller)
        return messages.CreateOrderResponse(order=message)

    async def GetOrder(self, request: messages.GetOrderRequest, context: Context) -> messages.GetOrderResponse:
        order, events = await self._orders.read.get(*parse_order(request.name), request.events)
        shown = [event_message(event, order.name, order.number) for event in events]
        return messages.GetOrderResponse(order=self._shown(order, _caller()), events=shown)

    async def UpdateOrder(self, request: messages.UpdateOrderRequest, context: Context) -> messages.UpdateOrderResponse:
        caller, update = _caller(), order_update(request)
        order = await self._orders.update(*parse_order(request.name), update, caller, request.etag, request_key(request))
        return messages.UpdateOrderResponse(order=self._shown(order, caller))

    async def CancelOrder(self, request: messages.CancelOrderRequest, context: Context) -> messages.CancelOrderResponse:
        command = commands.cancel(_caller(), request.etag, request.reason)
        return messages.CancelOrderResponse(order=await self._changed(request, command))

    async def ApproveOrder(self, request: messages.ApproveOrderRequest, context: Context) -> messages.ApproveOrderResponse:
        command = commands.approve(_caller(), request.etag)
        return messages.ApproveOrderResponse(order=await self._changed(request, command))

    async def RejectOrder(self, request: messages.RejectOrderRequest, context: Context) -> messages.RejectOrderResponse:
        command = commands.reject(_caller(), request.etag, request.reason)
        return messages.RejectOrderResponse(order=await self._changed(request, command))

    async def StartPreparing(self, request: messages.StartPreparingRequest, context: Context) -> messages.StartPreparingResponse:
        command = commands.start_preparing(_caller(), request.etag)
        return messages.StartPreparingResponse(order=await self._changed(request, command))

    async def FinishPreparing(self, request: messages.FinishPreparingRequest, context: Context) -> messages.FinishPreparingResponse:
        command = commands.finish_preparing(_caller(), request.etag, packed_units(request))
        return messages.FinishPreparingResponse(order=await self._changed(request, command))

    async def ShipOrder(self, request: messages.ShipOrderRequest, context: Context) -> messages.ShipOrderResponse:
        command = commands.ship(_caller(), request.etag, request.tracking_number)
        return messages.ShipOrderResponse(order=await self._changed(request, command))

    async def DeliverOrder(self, request: messages.DeliverOrderRequest, context: Context) -> messages.DeliverOrderResponse:
        command = commands.deliver(_caller(), request.etag)
        return messages.DeliverOrderResponse(order=await self._changed(request, command))

    async def HandOverOrder(self, request: messages.HandOverOrderRequest, context: Context) -> messages.HandOverOrderResponse:
        command = commands.hand_over(_caller(), request.etag, request.pickup_code)
        order = await self._orders.hand_over(*parse_order(request.name), command, request_key(request))
        return messages.HandOverOrderResponse(order=self._shown(order, command.caller))

    async def AcceptReturn(self, request: messages.AcceptReturnRequest, context: Context) -> messages.AcceptReturnResponse:
        units = [(line.sku, line.quantity) for line in request.lines]
        command = commands.accept_return(_caller(), request.etag, units, request.reason)
        return messages.AcceptReturnResponse(order=await self._changed(request, command))

    async def ClaimNextOrder(self, request: messages.ClaimNextOrderRequest, context: Context) -> messages.ClaimNextOrderResponse:
        caller, location_id = _caller(), request.location.removeprefix("locations/")
        order = await self._orders.claims.claim_next(location_id, [State(state) for state in request.states], caller, request_key(request))
        return messages.ClaimNextOrderResponse(order=self._shown(order, caller))

    async def ReleaseClaim(self, request: messages.ReleaseClaimRequest, context: Context) -> messages.ReleaseClaimResponse:
        caller = _caller()
        order = await self._orders.claims.release(*parse_order(request.name), caller, request_key(request))
        return messages.ReleaseClaimResponse(order=self._shown(order, caller))

    async def _changed(self, request: _ChangeRequest, command: Command) -> order_pb2.Order:
        order = await self._orders.change.request(*parse_order(request.name), command, request_key(request))
        return self._shown(order, command.caller)

    def _shown(self, order: Order, caller: Caller) -> order_pb2.Order:
        return order_message(order, caller, self._orders.allowed(order, caller))


_ChangeRequest = (
    messages.CancelOrderRequest
    | messages.ApproveOrderRequest
    | messages.RejectOrderRequest
    | messages.StartPreparingRequest
    | messages.FinishPreparingRequest
    | messages.ShipOrderRequest
    | messages.DeliverOrderRequest
    | messages.AcceptReturnRequest
)


def _caller() -> Caller:
    return caller_of(current_principal.get())
