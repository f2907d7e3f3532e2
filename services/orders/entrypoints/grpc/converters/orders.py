"""Between the messages of OrderService and the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from galen.orders.v1 import money_pb2, order_pb2
from galen.orders.v1 import order_service_pb2 as messages

from services.orders.application.ordering.create_order import NewOrder
from services.orders.application.ordering.update_order import OrderUpdate
from services.orders.domain.errors import OrderNotFound, PrescriptionNotFound
from services.orders.domain.etags import etag_of
from services.orders.domain.ordering.creation import Wanted
from services.orders.domain.ordering.model import Action, DeliveryAddress, Line, LineLot, Order, OrderEvent, State
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.prescriptions.prescription import parse_name as parse_prescription
from services.orders.entrypoints.grpc.converters.dates import date_fields
from services.orders.entrypoints.grpc.converters.money import refund_summary
from shared.auth.principal import Principal
from shared.errors import FieldViolation, InvalidRequest
from shared.grpc.timestamps import timestamp
from shared.ids import read_id

MAIN_LOCATION = "main"

# What is called the same in the contract and in the domain.
_ALIKE = ("note", "has_rx", "has_controlled", "assignee", "preparer", "reviewer", "tracking_number", "cancel_reason", "overdue")
# The times of the contract, by those of the domain.
_TIMES = {
    "due": "due_time",
    "authorized": "authorize_time",
    "reviewed": "review_time",
    "paid": "pay_time",
    "prepared": "prepare_time",
    "ready": "ready_time",
    "sent": "send_time",
    "finished": "finish_time",
    "cancelled": "cancel_time",
    "expired": "expire_time",
    "returned": "return_time",
}
_LINE_ALIKE = ("sku", "display_name", "form", "strength", "quantity", "rx_required", "cold_chain", "returned_quantity")


def caller_of(principal: Principal) -> Caller:
    return Caller(principal.actor, principal.roles)


def customer_of(parent: str) -> str:
    """Returns the id in `customers/{customer}`."""
    return parent.removeprefix("customers/")


def parse_order(name: str) -> tuple[str, UUID]:
    """Returns the ids in `customers/{customer}/orders/{order}`. Raises OrderNotFound if they can't be anybody's."""
    _, customer_id, _, order = name.split("/")
    order_id = read_id(order)
    if order_id is None:
        raise OrderNotFound
    return customer_id, order_id


def new_order(request: messages.CreateOrderRequest) -> NewOrder:
    """Raises PrescriptionNotFound for a prescription that can't be the customer's."""
    customer_id = customer_of(request.parent)
    return NewOrder(
        customer_id=customer_id,
        wanted=[_wanted(line, customer_id) for line in request.lines],
        address=_address_ids(request.address),
        location_id=request.location.removeprefix("locations/") or MAIN_LOCATION,
        note=request.note,
        validate_only=request.validate_only,
    )


def _wanted(line: messages.NewOrderLine, customer_id: str) -> Wanted:
    if not line.prescription:
        return Wanted(line.sku, line.quantity)
    owner, prescription_id = parse_prescription(line.prescription)
    if owner != customer_id:
        raise PrescriptionNotFound
    return Wanted(line.sku, line.quantity, prescription_id)


def _address_ids(name: str) -> tuple[str, str] | None:
    """Returns the ids in `customers/{customer}/addresses/{address}`; None for no name."""
    if not name:
        return None
    _, customer_id, _, address_id = name.split("/")
    return customer_id, address_id


def order_update(request: messages.UpdateOrderRequest) -> OrderUpdate:
    """Raises InvalidRequest if no address is named where one is to be set."""
    paths = request.update_mask.paths
    address = _address_ids(request.address) if "address" in paths else None
    if "address" in paths and address is None:
        raise InvalidRequest("address: must be named", violations=[FieldViolation("address", "must be named")])
    return OrderUpdate(note=request.note if "note" in paths else None, address=address)


def packed_units(request: messages.FinishPreparingRequest) -> Mapping[str, Mapping[str, int]]:
    """Returns units by SKU and lot number; those of a lot that was scanned several times together."""
    packed: dict[str, dict[str, int]] = {}
    for scan in request.scans:
        lots = packed.setdefault(scan.sku, {})
        lots[scan.lot_number] = lots.get(scan.lot_number, 0) + scan.quantity
    return packed


def order_message(order: Order, caller: Caller, actions: Sequence[Action]) -> order_pb2.Order:
    """Returns the order as the caller sees it, who may do these things with it."""
    return order_pb2.Order(
        name=order.name,
        order_number=order.number,
        state=order_pb2.OrderState.ValueType(order.state),
        lines=[_line(order, line) for line in order.lines],
        totals=order_pb2.OrderTotals(subtotal=_money(order, order.subtotal_minor), payable=_money(order, order.subtotal_minor)),
        fulfilment=order_pb2.Fulfilment.ValueType(order.fulfilment),
        location=f"locations/{order.location_id}",
        contact=order_pb2.Contact(display_name=order.contact.display_name, phone=order.contact.phone, email=order.contact.email),
        delivery_address=None if order.delivery_address is None else _address(order.delivery_address),
        pickup_code=order.pickup_code if _sees_code(order, caller) else "",
        pending_operation=order_pb2.PendingOperation.ValueType(order.pending),
        payment=_payment(order),
        earned_points=order_pb2.EarnedPoints(
            state=order_pb2.EarnedPointsState.ValueType(order.points_state), points_minor=order.points_minor
        ),
        allowed_actions=map(order_pb2.OrderAction.ValueType, actions),
        create_time=timestamp(order.created_at),
        update_time=timestamp(order.updated_at),
        etag=etag_of(order.version),
        **_times(order),
        **{name: getattr(order, name) for name in _ALIKE},
    )


def _payment(order: Order) -> order_pb2.PaymentSummary:
    summary = order_pb2.PaymentSummary(state=order_pb2.OrderPaymentState.ValueType(order.payment_state))
    if order.payment is not None:
        summary.payment = f"{order.name}/payments/{order.payment.id}"
        summary.refund_summary = refund_summary(order.payment.returned_minor, order.payment.taken_minor)
    return summary


def unmade_message(order: Order, caller: Caller) -> order_pb2.Order:
    """Returns an order that was only judged: nothing that could be referred to is in it."""
    message = order_message(order, caller, ())
    for name in ("name", "order_number", "etag"):
        message.ClearField(name)
    return message


def event_message(event: OrderEvent, order_name: str, order_number: str) -> order_pb2.OrderEvent:
    return order_pb2.OrderEvent(
        name=f"{order_name}/events/{event.number}",
        order_number=order_number,
        kind=order_pb2.OrderEventKind.ValueType(event.kind),
        from_state=order_pb2.OrderState.ValueType(event.from_state or 0),
        to_state=order_pb2.OrderState.ValueType(event.to_state),
        actor=event.actor.name,
        role=event.actor.role,
        reason=event.reason,
        details=event.details,
        create_time=timestamp(event.created_at),
    )


def _sees_code(order: Order, caller: Caller) -> bool:
    return order.state is State.READY and caller.name == order.owner


def _times(order: Order) -> dict[str, Any]:
    moments: dict[str, datetime | None] = {name: getattr(order.times, ours) for ours, name in _TIMES.items()}
    return {name: timestamp(moment) for name, moment in moments.items() if moment is not None}


def _money(order: Order, amount_minor: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code=order.currency, amount_minor=amount_minor)


def _line(order: Order, line: Line) -> order_pb2.OrderLine:
    prescription = "" if line.prescription_id is None else f"{order.owner}/prescriptions/{line.prescription_id}"
    return order_pb2.OrderLine(
        unit_price=_money(order, line.unit_price_minor),
        total=_money(order, line.total_minor),
        controlled=line.is_controlled,
        prescription=prescription,
        lots=[_lot(order, lot) for lot in line.lots],
        **{name: getattr(line, name) for name in _LINE_ALIKE},
    )


def _lot(order: Order, lot: LineLot) -> order_pb2.LineLot:
    return order_pb2.LineLot(
        lot=f"locations/{order.location_id}/lots/{lot.lot_id}",
        lot_number=lot.lot_number,
        expire_date=date_fields(lot.expires_on),
        quantity=lot.quantity,
    )


def _address(address: DeliveryAddress) -> order_pb2.DeliveryAddress:
    return order_pb2.DeliveryAddress(
        address=address.address,
        recipient=address.recipient,
        phone=address.phone,
        lines=address.lines,
        city=address.city,
        postal_code=address.postal_code,
        country_code=address.country_code,
    )
