"""Between the messages of CatalogService and the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galen.orders.v1 import catalog_service_pb2 as messages
from galen.orders.v1 import medicine_pb2, money_pb2

from services.orders.application.catalogue.import_medicine import Outcome
from services.orders.domain.catalogue.medicine import Medicine, Particulars
from services.orders.domain.etags import etag_of
from shared.errors import GalenError
from shared.grpc.timestamps import timestamp

# What is called the same in the contract and in the domain.
_ALIKE = (
    *("display_name", "form", "strength", "rx_required", "schedule", "max_per_order", "max_per_period", "period_days"),
    *("min_remaining_shelf_days", "cold_chain", "withdrawn"),
)


def sku_of(name: str) -> str:
    """Returns the SKU in `medicines/{sku}`."""
    return name.removeprefix("medicines/")


def medicine_message(medicine: Medicine) -> medicine_pb2.Medicine:
    return medicine_pb2.Medicine(
        name=f"medicines/{medicine.sku}",
        sku=medicine.sku,
        price=money_pb2.Money(currency_code=medicine.currency, amount_minor=medicine.price_minor),
        etag=etag_of(medicine.version),
        create_time=timestamp(medicine.created_at),
        update_time=timestamp(medicine.updated_at),
        **{name: getattr(medicine, name) for name in _ALIKE},
    )


def particulars_of(message: medicine_pb2.Medicine) -> Particulars:
    return Particulars(sku=message.sku, **_price(message), **{name: getattr(message, name) for name in _ALIKE})


def changes_of(request: messages.UpdateMedicineRequest) -> Mapping[str, Any]:
    """Returns the particulars that the mask names."""
    paths = request.update_mask.paths
    changes = {path: getattr(request.medicine, path) for path in paths if path in _ALIKE}
    return changes | (_price(request.medicine) if "price" in paths else {})


def done_message(row: int, sku: str, outcome: Outcome) -> messages.ImportMedicinesResponse:
    return messages.ImportMedicinesResponse(row=row, sku=sku, outcome=messages.ImportOutcome.Value(f"IMPORT_OUTCOME_{outcome.value}"))


def rejected_message(row: int, sku: str, error: GalenError) -> messages.ImportMedicinesResponse:
    found = [f"{violation.field}: {violation.description}" for violation in error.violations]
    text = "; ".join(found) or error.message
    return messages.ImportMedicinesResponse(row=row, sku=sku, outcome=messages.IMPORT_OUTCOME_REJECTED, reason=error.reason, message=text)


def _price(message: medicine_pb2.Medicine) -> dict[str, Any]:
    return {"price_minor": message.price.amount_minor, "currency": message.price.currency_code}
