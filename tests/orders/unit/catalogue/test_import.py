"""What a stream of rows costs the service, and how a row that loses a race is imported."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from galen.orders.v1 import catalog_service_pb2 as catalog

from services.orders.application.catalogue.import_medicine import ImportMedicine
from services.orders.application.catalogue.ports import T
from services.orders.domain.catalogue.medicine import Medicine, new_medicine
from services.orders.entrypoints.grpc.converters.catalog import particulars_of
from services.orders.entrypoints.grpc.servicers.catalog import CatalogServicer
from shared.errors import InvalidRequest, Unavailable
from shared.grpc.interceptor import Received
from shared.requests import RequestKey
from tests.orders.catalogue_client import medicine, row
from tests.orders.world import NOW

COUNT = 50


class FixedClock:
    def now(self) -> Any:
        return NOW


@dataclass
class MemoryCatalogue:
    rows: dict[str, Medicine] = field(default_factory=dict)
    answers: dict[RequestKey, Any] = field(default_factory=dict)
    # Someone who adds the same medicine between our look and our write.
    faster: Medicine | None = None
    is_away: bool = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryCatalogue]:
        if self.is_away:
            raise Unavailable
        yield self

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        return self.answers.get(key)

    async def lock(self, sku: str) -> Medicine | None:
        return self.rows.get(sku)

    async def add(self, medicine: Medicine) -> bool:
        if self.faster is not None:
            self.rows[self.faster.sku] = self.faster
        return self.rows.setdefault(medicine.sku, medicine) is medicine

    async def store(self, medicine: Medicine) -> None:
        assert medicine.sku in self.rows
        self.rows[medicine.sku] = medicine

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        self.answers[key] = answer


def servicer(catalogue: MemoryCatalogue) -> CatalogServicer:
    imports = ImportMedicine(catalogue, cast("Any", None), FixedClock())
    return CatalogServicer(cast("Any", None), cast("Any", None), imports, cast("Any", None))


async def import_rows(catalogue: MemoryCatalogue, *rows: Received) -> list[catalog.ImportMedicinesResponse]:
    async def received() -> AsyncIterator[Received]:
        for one in rows:
            yield one

    return [answer async for answer in servicer(catalogue).ImportMedicines(received(), cast("Any", None))]


async def test_a_row_is_read_when_the_one_before_is_answered() -> None:
    read = 0

    async def rows() -> AsyncIterator[Received]:
        nonlocal read
        for _ in range(COUNT):
            read += 1
            yield Received(row(medicine()))

    answered = 0
    async for answer in servicer(MemoryCatalogue()).ImportMedicines(rows(), cast("Any", None)):
        answered += 1
        assert (answer.row, read) == (answered, answered)

    assert answered == COUNT


async def test_a_row_that_comes_second_changes_what_the_first_has_added() -> None:
    wanted = medicine(form="gel")
    faster = new_medicine(particulars_of(medicine(sku=wanted.sku, form="cream")), NOW)
    catalogue = MemoryCatalogue(faster=faster)

    answers = await import_rows(catalogue, Received(row(wanted)))

    assert [answer.outcome for answer in answers] == [catalog.IMPORT_OUTCOME_UPDATED]
    assert (catalogue.rows[wanted.sku].form, catalogue.rows[wanted.sku].version) == ("gel", 2)


async def test_a_row_that_comes_second_with_the_same_content_changes_nothing() -> None:
    wanted = medicine()
    catalogue = MemoryCatalogue(faster=new_medicine(particulars_of(wanted), NOW))

    answers = await import_rows(catalogue, Received(row(wanted)))

    assert [answer.outcome for answer in answers] == [catalog.IMPORT_OUTCOME_SAME]


async def test_a_row_with_a_fault_is_never_looked_at() -> None:
    catalogue = MemoryCatalogue()

    (answer,) = await import_rows(catalogue, Received(row(medicine()), InvalidRequest("medicine.form: is wrong")))

    assert (answer.outcome, answer.message, catalogue.rows) == (catalog.IMPORT_OUTCOME_REJECTED, "medicine.form: is wrong", {})


async def test_a_database_that_is_away_breaks_the_stream_and_rejects_no_row() -> None:
    with pytest.raises(Unavailable):
        await import_rows(MemoryCatalogue(is_away=True), Received(row(medicine())))
