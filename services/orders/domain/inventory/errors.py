"""Why the inventory refuses: a class per reason of galen.inventory.v1.ErrorReason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from services.orders.domain.inventory.shortage import ShortLine, as_metadata, as_preconditions
from shared.errors import GalenError


class InventoryError(GalenError):
    domain = "inventory.galen"


class LocationUnknown(InventoryError):
    reason = "LOCATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such location")


class LocationExists(InventoryError):
    reason = "LOCATION_EXISTS"

    def __init__(self) -> None:
        super().__init__("there is a location with this id")


class SkuUnknown(InventoryError):
    reason = "SKU_NOT_FOUND"

    def __init__(self, sku: str) -> None:
        super().__init__(f"the catalogue has no {sku}", metadata={"sku": sku})


class StockNotFound(InventoryError):
    reason = "STOCK_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("the location never had this SKU")


class LotNotFound(InventoryError):
    """`sku` and `lot` (its number) are said where a lot was named by them."""

    reason = "LOT_NOT_FOUND"

    def __init__(self, *, sku: str = "", lot: str = "") -> None:
        super().__init__("there is no such lot", metadata={"sku": sku, "lot": lot} if lot else None)


class LotConflict(InventoryError):
    reason = "LOT_CONFLICT"

    def __init__(self, expires_on: date) -> None:
        super().__init__(f"the lot is known to expire on {expires_on}", metadata={"expire_date": expires_on.isoformat()})


class LotStateRefused(InventoryError):
    reason = "LOT_STATE"

    def __init__(self, state: str, because: str = "") -> None:
        super().__init__(because or f"a lot that is {state} does not allow this", metadata={"state": state})


class StockChanged(InventoryError):
    reason = "STOCK_CHANGED"

    def __init__(self, *, expected: int, actual: int) -> None:
        super().__init__(f"the lot has {actual} units, not {expected}", metadata={"expected": str(expected), "actual": str(actual)})


class StockNegative(InventoryError):
    reason = "STOCK_NEGATIVE"

    def __init__(self, on_hand: int) -> None:
        super().__init__(f"the lot has {on_hand} units only", metadata={"on_hand": str(on_hand)})


class LinesRepeatSku(InventoryError):
    reason = "DUPLICATE_SKU"

    def __init__(self, sku: str) -> None:
        super().__init__(f"two lines have {sku}", metadata={"sku": sku})


class StockShort(InventoryError):
    """`lines` are those that can't be had in full."""

    reason = "INSUFFICIENT_STOCK"

    def __init__(self, lines: Sequence[ShortLine]) -> None:
        super().__init__("some lines can't be had in full", metadata=as_metadata(lines), preconditions=as_preconditions(lines))
        self.lines = tuple(lines)


class ReservationNotFound(InventoryError):
    reason = "RESERVATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such reservation")


class ReservationStateRefused(InventoryError):
    reason = "RESERVATION_STATE"

    def __init__(self, state: str, because: str = "") -> None:
        super().__init__(because or f"a reservation that is {state} does not allow this", metadata={"state": state})
