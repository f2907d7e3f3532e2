"""Rows of stock as domain objects."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.tables import (
    location as location_table,
)
from services.orders.adapters.postgres.tables import (
    reservation,
    reservation_line,
    reservation_lot,
    stock_level,
    stock_lot,
    stock_movement,
)
from services.orders.domain.inventory.model import (
    Kind,
    Level,
    Location,
    Lot,
    LotState,
    Movement,
    Origin,
    Reservation,
    ReservationLine,
    ReservationState,
    ReservedLot,
)

_LEVEL = ("location_id", "sku", "on_hand", "reserved", "reorder_point", "version")
_LOT = ("location_id", "sku", "lot_number", "expires_on", "on_hand", "state", "origin", "version")
_MOVEMENT = (
    *("location_id", "kind", "sku", "lot_id", "on_hand_delta", "reserved_delta", "on_hand_after", "reserved_after", "lot_delta"),
    *("reason", "actor", "reference", "created_at"),
)
LOCATION_COLUMNS = (location_table.c.location_id.label("id"), location_table.c.display_name, location_table.c.created_at)
LEVEL_COLUMNS = tuple(stock_level.c[name] for name in _LEVEL)
LOT_COLUMNS = (stock_lot.c.lot_id.label("id"), stock_lot.c.created_at.label("received_at"), *(stock_lot.c[name] for name in _LOT))
MOVEMENT_COLUMNS = (stock_movement.c.movement_id.label("number"), *(stock_movement.c[name] for name in _MOVEMENT))


def location_of(values: RowMapping) -> Location:
    """Returns the location of a row of LOCATION_COLUMNS."""
    return Location(**values)


def level_of(values: RowMapping) -> Level:
    """Returns the level of a row of LEVEL_COLUMNS."""
    return Level(**values)


def lot_of(values: RowMapping) -> Lot:
    """Returns the lot of a row that has LOT_COLUMNS."""
    plain = {name: values[name] for name in ("id", "received_at", *_LOT)}
    return Lot(**{**plain, "state": LotState(values["state"]), "origin": Origin(values["origin"])})


def movement_of(values: RowMapping) -> Movement:
    """Returns the movement of a row of MOVEMENT_COLUMNS."""
    return Movement(**{**values, "kind": Kind(values["kind"])})


async def find_reservation(connection: AsyncConnection, reservation_id: UUID) -> Reservation | None:
    """Returns the reservation, its lines in the order of their SKUs and their lots soonest expiring first."""
    row = (await connection.execute(select(reservation).where(reservation.c.reservation_id == reservation_id))).first()
    if row is None:
        return None
    lots = await _bound_lots(connection, reservation_id)
    lines = select(reservation_line.c.sku, reservation_line.c.quantity).where(reservation_line.c.reservation_id == reservation_id)
    return Reservation(
        id=row.reservation_id,
        location_id=row.location_id,
        order_id=row.order_id,
        state=ReservationState(row.state),
        lines=tuple(
            ReservationLine(sku, quantity, tuple(lots[sku]))
            for sku, quantity in await connection.execute(lines.order_by(reservation_line.c.sku))
        ),
        expires_at=row.expires_at,
        created_at=row.created_at,
    )


async def _bound_lots(connection: AsyncConnection, reservation_id: UUID) -> dict[str, list[ReservedLot]]:
    found: dict[str, list[ReservedLot]] = defaultdict(list)
    same_lot: ColumnElement[bool] = stock_lot.c.lot_id == reservation_lot.c.lot_id
    query = select(reservation_lot.c.sku, stock_lot.c.lot_id, stock_lot.c.lot_number, reservation_lot.c.quantity).join(stock_lot, same_lot)
    query = query.where(reservation_lot.c.reservation_id == reservation_id).order_by(stock_lot.c.expires_on, stock_lot.c.lot_id)
    for sku, lot_id, lot_number, quantity in await connection.execute(query):
        found[sku].append(ReservedLot(lot_id, lot_number, quantity))
    return found
