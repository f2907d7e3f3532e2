"""A completed order as a purchase that earns points."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from services.orders.domain.ordering.model import Order


@dataclass(frozen=True, slots=True)
class Good:
    """A line of a purchase: what it is called, which decides what it earns, and what it cost."""

    description: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is told to the accrual service. The same order has the same `request_id`, whoever asks and however often."""

    customer_id: str
    number: str
    goods: tuple[Good, ...]
    request_id: UUID


@dataclass(frozen=True, slots=True)
class Earned:
    """The final word on a purchase: its points, in hundredths, and the operation that credited them; 0 and empty if it earned none."""

    points_minor: int
    credit_operation: str = ""


def purchase_of(order: Order) -> Purchase:
    return Purchase(
        customer_id=order.customer_id,
        number=order.number,
        goods=tuple(Good(line.display_name, line.total_minor) for line in order.lines),
        request_id=uuid5(order.id, "register-purchase"),
    )
