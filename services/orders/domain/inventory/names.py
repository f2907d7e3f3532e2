"""Resource names of the inventory. Ids of locations and SKUs are texts, those of lots and reservations UUIDs."""

from __future__ import annotations

from uuid import UUID

from services.orders.domain.inventory.errors import LotNotFound, ReservationNotFound
from shared.ids import read_id


def location_name(location_id: str) -> str:
    return f"locations/{location_id}"


def level_name(location_id: str, sku: str) -> str:
    return f"{location_name(location_id)}/stockLevels/{sku}"


def lot_name(location_id: str, lot_id: UUID) -> str:
    return f"{location_name(location_id)}/lots/{lot_id}"


def reservation_name(reservation_id: UUID) -> str:
    return f"reservations/{reservation_id}"


def parse_location(name: str) -> str:
    """Returns the id in a well-formed name."""
    return name.split("/")[1]


def parse_level(name: str) -> tuple[str, str]:
    """Returns the location and the SKU in a well-formed name."""
    _, location_id, _, sku = name.split("/")
    return location_id, sku


def parse_lot(name: str) -> tuple[str, UUID]:
    """Returns the location and the lot in a well-formed name. Raises LotNotFound if there can be no such lot."""
    _, location_id, _, lot = name.split("/")
    lot_id = read_id(lot)
    if lot_id is None:
        raise LotNotFound
    return location_id, lot_id


def parse_reservation(name: str) -> UUID:
    """Returns the id in a well-formed name. Raises ReservationNotFound if there can be no such reservation."""
    reservation_id = read_id(name.split("/")[1])
    if reservation_id is None:
        raise ReservationNotFound
    return reservation_id
