"""Between the messages of InventoryService and the domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from galen.inventory.v1 import inventory_service_pb2 as messages
from galen.inventory.v1 import stock_pb2

from services.orders.application.inventory.ports import LotFilter
from services.orders.domain.etags import etag_of
from services.orders.domain.inventory.lots import Correction, Delivery
from services.orders.domain.inventory.model import (
    AffectedOrder,
    Difference,
    Level,
    Location,
    Lot,
    LotState,
    Movement,
    Reservation,
    ReservationLine,
    ReservedLot,
)
from services.orders.domain.inventory.names import level_name, location_name, lot_name, parse_location, reservation_name
from services.orders.entrypoints.grpc.converters.dates import date_fields, day_of
from shared.errors import GalenError
from shared.grpc.timestamps import moment, timestamp
from shared.ids import read_id


def location_message(location: Location) -> stock_pb2.Location:
    return stock_pb2.Location(
        name=location_name(location.id), display_name=location.display_name, create_time=timestamp(location.created_at)
    )


def level_message(level: Level) -> stock_pb2.StockLevel:
    return stock_pb2.StockLevel(
        name=level_name(level.location_id, level.sku),
        sku=level.sku,
        on_hand=level.on_hand,
        reserved=level.reserved,
        available=level.available,
        reorder_point=level.reorder_point,
        etag=etag_of(level.version),
    )


def lot_message(lot: Lot) -> stock_pb2.Lot:
    return stock_pb2.Lot(
        name=lot_name(lot.location_id, lot.id),
        sku=lot.sku,
        lot_number=lot.lot_number,
        expire_date=date_fields(lot.expires_on),
        on_hand=lot.on_hand,
        state=stock_pb2.LotState.Value(f"LOT_STATE_{lot.state}"),
        origin=stock_pb2.LotOrigin.Value(f"LOT_ORIGIN_{lot.origin}"),
        etag=etag_of(lot.version),
        receive_time=timestamp(lot.received_at),
    )


def movement_message(movement: Movement) -> stock_pb2.StockMovement:
    return stock_pb2.StockMovement(
        number=movement.number,
        kind=stock_pb2.MovementKind.Value(f"MOVEMENT_KIND_{movement.kind}"),
        sku=movement.sku,
        lot=lot_name(movement.location_id, movement.lot_id) if movement.lot_id else "",
        on_hand_delta=movement.on_hand_delta,
        reserved_delta=movement.reserved_delta,
        on_hand_after=movement.on_hand_after,
        reserved_after=movement.reserved_after,
        lot_delta=movement.lot_delta,
        reason=movement.reason,
        actor=movement.actor,
        reference=movement.reference,
        create_time=timestamp(movement.created_at),
    )


def reservation_message(reservation: Reservation) -> stock_pb2.Reservation:
    return stock_pb2.Reservation(
        name=reservation_name(reservation.id),
        location=location_name(reservation.location_id),
        state=stock_pb2.ReservationState.Value(f"RESERVATION_STATE_{reservation.state}"),
        lines=[_line_message(reservation.location_id, line) for line in reservation.lines],
        expire_time=timestamp(reservation.expires_at),
        create_time=timestamp(reservation.created_at),
    )


def affected_message(order: AffectedOrder) -> messages.AffectedOrder:
    return messages.AffectedOrder(
        order=f"customers/{order.customer_id}/orders/{order.order_id}",
        order_number=order.order_number,
        quantity=order.quantity,
        state=order.state,
    )


def difference_message(difference: Difference) -> messages.StockDifference:
    return messages.StockDifference(
        level=level_name(difference.location_id, difference.sku),
        rule=messages.StockRule.Value(f"STOCK_RULE_{difference.rule}"),
        expected=difference.expected,
        actual=difference.actual,
    )


def received_message(number: int, row: messages.ImportStockRequest) -> messages.ImportStockResponse:
    outcome = messages.STOCK_IMPORT_OUTCOME_RECEIVED
    return messages.ImportStockResponse(row=number, sku=row.sku, lot_number=row.lot_number, outcome=outcome)


def rejected_message(number: int, row: messages.ImportStockRequest, error: GalenError) -> messages.ImportStockResponse:
    found = [f"{violation.field}: {violation.description}" for violation in error.violations]
    return messages.ImportStockResponse(
        row=number,
        sku=row.sku,
        lot_number=row.lot_number,
        outcome=messages.STOCK_IMPORT_OUTCOME_REJECTED,
        reason=error.reason,
        message="; ".join(found) or error.message,
    )


def delivery_of(request: messages.ReceiveLotRequest | messages.ImportStockRequest) -> Delivery:
    """Raises InvalidRequest."""
    return Delivery(
        location_id=parse_location(request.parent),
        sku=request.sku,
        lot_number=request.lot_number,
        expires_on=day_of(request.expire_date, "expire_date"),
        quantity=request.quantity,
        reference=request.reference if isinstance(request, messages.ReceiveLotRequest) else "",
    )


def correction_of(request: messages.AdjustStockRequest) -> Correction:
    if request.WhichOneof("correction") == "counted":
        return Correction(request.expected_on_hand, counted=request.counted)
    return Correction(request.expected_on_hand, delta=request.delta)


def adjustment_text(request: messages.AdjustStockRequest) -> str:
    """Returns what the movement says: `DAMAGED`, or `DAMAGED: fell off the shelf`."""
    reason = messages.AdjustmentReason.Name(request.reason).removeprefix("ADJUSTMENT_REASON_")
    return f"{reason}: {request.note}" if request.note else reason


def lot_filter_of(request: messages.ListLotsRequest) -> LotFilter:
    """Raises InvalidRequest."""
    return LotFilter(
        sku=request.sku,
        state=LotState(stock_pb2.LotState.Name(request.state).removeprefix("LOT_STATE_")) if request.state else None,
        expiring_before=day_of(request.expiring_before, "expiring_before") if request.HasField("expiring_before") else None,
        in_stock_only=request.in_stock_only,
    )


def lot_asked_for(name: str) -> tuple[str, UUID] | None:
    """Returns the location and the id in a lot's name; None if there can be no such lot."""
    _, location_id, _, lot = name.split("/")
    lot_id = read_id(lot)
    return (location_id, lot_id) if lot_id else None


def lines_of(request: messages.CreateReservationRequest) -> Sequence[tuple[str, int]]:
    return [(line.sku, line.quantity) for line in request.lines]


def end_of(request: messages.CreateReservationRequest | messages.ExtendReservationRequest) -> datetime:
    """Raises InvalidRequest."""
    return moment(request.expire_time, "expire_time")


def lot_position(lot: Lot) -> list[str]:
    """Returns where a page that ends with this lot ends, as a page token holds it."""
    return [lot.expires_on.isoformat(), str(lot.id)]


def read_lot_position(position: list[str] | None) -> tuple[date, UUID] | None:
    return (date.fromisoformat(position[0]), UUID(position[1])) if position else None


def _line_message(location_id: str, line: ReservationLine) -> stock_pb2.ReservationLine:
    return stock_pb2.ReservationLine(sku=line.sku, quantity=line.quantity, lots=[_bound_message(location_id, lot) for lot in line.lots])


def _bound_message(location_id: str, lot: ReservedLot) -> stock_pb2.ReservedLot:
    return stock_pb2.ReservedLot(lot=lot_name(location_id, lot.lot_id), lot_number=lot.lot_number, quantity=lot.quantity)
