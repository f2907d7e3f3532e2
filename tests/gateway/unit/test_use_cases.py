from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.gateway.application.ports import Balance, Caller, Order, Page, Withdrawal
from services.gateway.application.read_history import pages
from services.gateway.application.spend_points import SpendPoints
from services.gateway.application.upload_order import UploadOrder
from services.gateway.domain.errors import InsufficientPoints, OrderNumberInvalid
from shared.errors import GalenError, RequestIdReused
from tests.gateway.fakes import refusal

CALLER = Caller("ann", "a.b.c")


class PointsInMemory:
    """Points of one account, or of none."""

    def __init__(self, balance: Balance | None, failure: GalenError | None = None) -> None:
        self._balance = balance
        self._failure = failure
        self.withdrawn: list[tuple[str, int]] = []

    async def balance(self, caller: Caller) -> Balance | None:
        return self._balance

    async def withdraw(self, caller: Caller, order_number: str, amount: int, request_id: UUID) -> None:
        if self._failure:
            raise self._failure
        self.withdrawn.append((order_number, amount))

    async def withdrawals(self, caller: Caller, token: str) -> Page[Withdrawal]:
        return Page([], "")


class OrdersInMemory:
    def __init__(self) -> None:
        self.numbers: set[str] = set()

    async def submit(self, caller: Caller, number: str, request_id: UUID) -> bool:
        is_new = number not in self.numbers
        self.numbers.add(number)
        return is_new

    async def page(self, caller: Caller, token: str) -> Page[Order]:
        return Page([], "")


async def test_an_account_that_is_not_open_yet_is_empty() -> None:
    assert await SpendPoints(PointsInMemory(None)).balance(CALLER) == Balance(0, 0)
    assert await SpendPoints(PointsInMemory(Balance(5, 7))).balance(CALLER) == Balance(5, 7)


async def test_an_account_that_is_not_open_yet_has_too_few_points_for_anything() -> None:
    with pytest.raises(InsufficientPoints):
        await SpendPoints(PointsInMemory(None, refusal("balance.galen", "ACCOUNT_NOT_FOUND"))).withdraw(CALLER, "18", 1, uuid4())


async def test_other_refusals_of_a_withdrawal_are_passed_on() -> None:
    with pytest.raises(RequestIdReused):
        await SpendPoints(PointsInMemory(None, RequestIdReused())).withdraw(CALLER, "18", 1, uuid4())


async def test_nothing_is_asked_of_anyone_for_a_bad_number() -> None:
    points, orders = PointsInMemory(None), OrdersInMemory()
    with pytest.raises(OrderNumberInvalid):
        await SpendPoints(points).withdraw(CALLER, "19", 1, uuid4())
    with pytest.raises(OrderNumberInvalid):
        await UploadOrder(orders).upload(CALLER, "19", uuid4())
    assert (points.withdrawn, orders.numbers) == ([], set())


async def test_an_upload_tells_new_from_known() -> None:
    upload = UploadOrder(OrdersInMemory())
    assert await upload.upload(CALLER, " 18\n", uuid4()) is True
    assert await upload.upload(CALLER, "18", uuid4()) is False


class Shelf:
    """A list in pages of three."""

    def __init__(self, items: Sequence[int]) -> None:
        self._items = items
        self.reads = 0

    async def read(self, token: str) -> Page[int]:
        self.reads += 1
        begin = int(token or 0)
        end = begin + 3
        return Page(self._items[begin:end], str(end) if end < len(self._items) else "")


@pytest.mark.parametrize(("length", "reads"), [(0, 1), (3, 1), (4, 2), (9, 3)])
async def test_a_list_is_read_to_its_end_and_no_further(length: int, reads: int) -> None:
    shelf = Shelf(range(length))
    assert [item async for page in pages(shelf.read, 100) for item in page] == list(range(length))
    assert shelf.reads == reads


@pytest.mark.parametrize(("items_max", "reads"), [(1, 1), (3, 1), (4, 2), (7, 3)])
async def test_a_list_is_read_up_to_a_bound(items_max: int, reads: int) -> None:
    shelf = Shelf(range(9))
    assert [item async for page in pages(shelf.read, items_max) for item in page] == list(range(items_max))
    assert shelf.reads == reads
