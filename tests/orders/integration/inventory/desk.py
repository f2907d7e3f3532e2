"""Callers of InventoryService."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
from galen.inventory.v1 import inventory_service_pb2 as messages
from galen.inventory.v1 import inventory_service_pb2_grpc, stock_pb2

from shared.grpc.timestamps import timestamp
from shared.testing.identities import Metadata

COUNTED, LOST, FOUND, DESTROYED = (
    messages.AdjustmentReason.Value(f"ADJUSTMENT_REASON_{name}") for name in ("COUNTED", "LOST", "FOUND", "DESTROYED")
)
SELLABLE, QUARANTINED, RECALLED, EXPIRED = (
    stock_pb2.LotState.Value(f"LOT_STATE_{name}") for name in ("SELLABLE", "QUARANTINED", "RECALLED", "EXPIRED")
)
HELD, COMMITTED, RELEASED = (stock_pb2.ReservationState.Value(f"RESERVATION_STATE_{name}") for name in ("HELD", "COMMITTED", "RELEASED"))


def request_id() -> str:
    return str(uuid4())


def day(value: date) -> dict[str, int]:
    return {"year": value.year, "month": value.month, "day": value.day}


def soon(**delta: int) -> Any:
    return timestamp(datetime.now(UTC) + timedelta(**(delta or {"minutes": 10})))


@dataclass(frozen=True, slots=True)
class Desk:
    """A caller at one location; methods make requests that are right, and take what a test wants otherwise."""

    stub: Any
    metadata: Metadata
    location: str

    @classmethod
    def at(cls, channel: grpc.aio.Channel, metadata: Metadata, location: str) -> Desk:
        return cls(inventory_service_pb2_grpc.InventoryServiceStub(channel), metadata, location)

    def seen_by(self, metadata: Metadata) -> Desk:
        return replace(self, metadata=metadata)

    @property
    def parent(self) -> str:
        return f"locations/{self.location}"

    def level_name(self, sku: str) -> str:
        return f"{self.parent}/stockLevels/{sku}"

    async def call(self, method: str, **fields: Any) -> Any:
        """Calls a method; a `request_id` is made up where the request has one."""
        kind = getattr(messages, f"{method}Request")
        if "request_id" in kind.DESCRIPTOR.fields_by_name:
            fields.setdefault("request_id", request_id())
        return await getattr(self.stub, method)(kind(**fields), metadata=self.metadata, timeout=60)

    async def receive(self, sku: str, quantity: int, expires_on: date, **fields: Any) -> Any:
        fields = {"parent": self.parent, "lot_number": uuid4().hex[:8], **fields}
        return await self.call("ReceiveLot", sku=sku, quantity=quantity, expire_date=day(expires_on), **fields)

    async def hold(self, units: dict[str, int], **fields: Any) -> Any:
        asked = [messages.NewReservationLine(sku=sku, quantity=quantity) for sku, quantity in units.items()]
        fields = {"location": self.parent, "expire_time": soon(), "lines": asked, **fields}
        return (await self.call("CreateReservation", **fields)).reservation

    async def adjust(self, name: str, expected: int, **fields: Any) -> Any:
        return await self.call("AdjustStock", **{"name": name, "expected_on_hand": expected, "reason": COUNTED, **fields})

    async def level(self, sku: str) -> Any:
        return (await self.call("GetStockLevel", name=self.level_name(sku))).level

    async def lot(self, name: str) -> Any:
        return (await self.call("GetLot", name=name)).lot

    async def movements(self, **fields: Any) -> Any:
        return (await self.call("ListStockMovements", parent=self.parent, **fields)).movements

    async def import_rows(self, rows: AsyncIterable[messages.ImportStockRequest] | list[messages.ImportStockRequest]) -> list[Any]:
        return [answer async for answer in self.stub.ImportStock(rows, metadata=self.metadata, timeout=60)]

    async def reconcile(self, parent: str = "") -> tuple[list[Any], int]:
        request = messages.ReconcileStockRequest(parent=parent or self.parent)
        answers = [answer async for answer in self.stub.ReconcileStock(request, metadata=self.metadata, timeout=60)]
        return [answer.difference for answer in answers[:-1]], answers[-1].levels_compared
