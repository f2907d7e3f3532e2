"""A pharmacy for tests of orders: a server, people of every kind, medicines on the shelf, and orders brought as far as a test needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from galen.orders.v1 import order_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order, OrderState
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.application.ordering.payment_steps import PaymentSteps
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.customers_peer import People
from tests.orders.orders_client import Orders, line
from tests.orders.stock_rows import LevelRow, add_location, add_lot, broken_rules, level_row
from tests.orders.world import add_prescription, days_from_now, new_customer, new_sku

LOT = "LOT-1"

MANY_MEDICINES = """
with new as (
    insert into medicine (sku, display_name, form, strength, currency, price_minor, rx_required, cold_chain, withdrawn, schedule,
                          max_per_order, max_per_period, period_days, min_remaining_shelf_days)
    select %(prefix)s || '-' || n, 'Medicine ' || n, 'tablet', '1 mg', 'EUR', n, false, false, false, 0, 0, 0, 0, 0
    from generate_series(1, %(count)s) as n returning sku
), lot as (
    insert into stock_lot (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand)
    select gen_random_uuid(), %(location)s, sku, 'L', 'SELLABLE', 'SUPPLY', current_date + 100, 10 from new returning *
), level as (
    insert into stock_level (location_id, sku, on_hand) select location_id, sku, on_hand from lot
)
insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after, lot_delta, reason,
                            actor, reference)
select location_id, sku, 'RECEIVE', lot_id, 10, 0, 10, 0, 10, '', 'tests', '' from lot
"""


def order_id(order: Order) -> UUID:
    return UUID(order.name.rpartition("/")[2])


@dataclass(frozen=True)
class Counter:
    """A location of the test's own. `steps` is what payments and time drive."""

    server: ServedService
    identities: Identities
    people: People
    steps: PaymentSteps
    engine: AsyncEngine
    location_id: str

    @property
    def location(self) -> str:
        return f"locations/{self.location_id}"

    def person(self, *roles: str, person_id: str = "") -> Orders:
        person_id = person_id or new_customer()
        return Orders(self.server.channel, person_id, self.identities.customer(person_id, roles=("customer", *roles)))

    async def medicine(self, stock: int = 100, *, sku: str = "", **fields: Any) -> str:
        """Adds a medicine with units of LOT; returns its SKU."""
        sku = sku or new_sku()
        columns = {
            "display_name": "Paracetamol",
            "form": "tablet",
            "strength": "500 mg",
            "currency": "EUR",
            "price_minor": 499,
            "rx_required": False,
            "cold_chain": False,
            "withdrawn": False,
            "schedule": 0,
            "max_per_order": 0,
            "max_per_period": 0,
            "period_days": 0,
            "min_remaining_shelf_days": 0,
        }
        values = {"sku": sku, **columns, **fields}
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        async with self.engine.begin() as connection:
            await connection.exec_driver_sql(f"insert into medicine ({names}) values ({places})", values)
            if stock:
                await add_lot(connection, sku, stock, location=self.location_id, number=LOT)
        return sku

    async def medicines(self, count: int) -> list[str]:
        """Adds medicines with 10 units each, the n-th of which costs n; returns their SKUs."""
        prefix = new_sku()
        async with self.engine.begin() as connection:
            await connection.exec_driver_sql(MANY_MEDICINES, {"prefix": prefix, "location": self.location_id, "count": count})
        return [f"{prefix}-{number}" for number in range(1, count + 1)]

    async def lot(self, sku: str, units: int, number: str, *, keeps_days: int = 365) -> UUID:
        async with self.engine.begin() as connection:
            expires_on = days_from_now(keeps_days)
            return await add_lot(connection, sku, units, location=self.location_id, number=number, expires_on=expires_on)

    async def prescription(self, customer: Orders, *skus: str, refills: int = 0, expires_in_days: int = 30) -> str:
        """Records a prescription; returns its name."""
        async with self.engine.begin() as connection:
            prescription_id = await add_prescription(connection, customer.id, skus, refills=refills, expires_in_days=expires_in_days)
        return f"{customer.name}/prescriptions/{prescription_id}"

    async def uses(self, prescription: str) -> int:
        query = "select uses from prescription where prescription_id = %s"
        uses: int = (await self.rows(query, UUID(prescription.rpartition("/")[2])))[0].uses
        return uses

    async def rows(self, query: str, *values: Any) -> list[Any]:
        async with self.engine.begin() as connection:
            found = await connection.exec_driver_sql(query, values)
            return list(found.all()) if found.returns_rows else []

    async def level(self, sku: str) -> LevelRow:
        async with self.engine.connect() as connection:
            return await level_row(connection, sku, self.location_id)

    async def broken_rules(self) -> list[Any]:
        async with self.engine.connect() as connection:
            return await broken_rules(connection, self.location_id)

    async def ordered(self, customer: Orders, *lines: messages.NewOrderLine, **fields: Any) -> Order:
        """Makes an order at this location; of one unit of a new medicine unless lines are given."""
        lines = lines or (line(await self.medicine()),)
        return await customer.create(*lines, **({"location": self.location} | fields))

    async def due(self, order: Order) -> None:
        """Makes an order's due time pass."""
        await self.rows("update customer_order set due_at = clock_timestamp() - interval '1 second' where order_id = %s", order_id(order))


@dataclass(frozen=True)
class Crew:
    """A customer and all the staff."""

    counter: Counter
    customer: Orders
    staff: Orders
    pharmacist: Orders
    admin: Orders

    async def in_state(self, state: str, *lines: messages.NewOrderLine, delivery: bool = False, rx: bool = False) -> Order:
        """Returns an order of the customer that has come to the state in the usual way; with `rx`, one that must be reviewed."""
        if rx and not lines:
            sku = await self.counter.medicine(rx_required=True)
            lines = (line(sku, 1, await self.counter.prescription(self.customer, sku)),)
        address = f"{self.customer.name}/addresses/{uuid4()}" if delivery else ""
        order = await self.counter.ordered(self.customer, *lines, address=address)
        for reached, step in self._way(state, delivery=delivery, rx=rx):
            if order.state == state_number(state):
                break
            order = await step(order)
            assert order.state == state_number(reached), (reached, order.state)
        assert order.state == state_number(state)
        return order

    def _way(self, state: str, *, delivery: bool, rx: bool) -> list[tuple[str, Callable[[Order], Awaitable[Order]]]]:
        end = {"CANCELLED": self._cancelled, "EXPIRED": self._expired}
        if state in end:
            return [(state, end[state])]
        review = [("UNDER_REVIEW", self._authorized), *([("PAID", self._settled)] if state != "UNDER_REVIEW" else [])]
        out = [("SHIPPED", self._shipped), ("COMPLETED", self._delivered)] if delivery else [("COMPLETED", self._handed_over)]
        begin = review if rx else [("PAID", self._settled)]
        return [*begin, ("PREPARING", self._started), ("READY", self._packed), *out, ("RETURNED", self._returned)]

    async def _authorized(self, order: Order) -> Order:
        await self.counter.steps.authorize(order_id(order))
        return await self.staff.get(order.name)

    async def _settled(self, order: Order) -> Order:
        if order.state == state_number("UNDER_REVIEW"):
            await self.pharmacist.act("ApproveOrder", order)
        await self.counter.steps.settle(order_id(order))
        return await self.staff.get(order.name)

    async def _cancelled(self, order: Order) -> Order:
        return await self.customer.act("CancelOrder", order)

    async def _expired(self, order: Order) -> Order:
        await self.counter.due(order)
        assert await self.counter.steps.expire(order_id(order))
        return await self.staff.get(order.name)

    async def _started(self, order: Order) -> Order:
        return await self.staff.act("StartPreparing", order)

    async def _packed(self, order: Order) -> Order:
        return await self.pharmacist.act("FinishPreparing", order, scans=scans_of(order))

    async def _shipped(self, order: Order) -> Order:
        return await self.staff.act("ShipOrder", order, tracking_number="TR-1")

    async def _delivered(self, order: Order) -> Order:
        return await self.staff.act("DeliverOrder", order)

    async def _handed_over(self, order: Order) -> Order:
        code = (await self.customer.get(order.name)).pickup_code
        return await self.staff.act("HandOverOrder", order, pickup_code=code)

    async def _returned(self, order: Order) -> Order:
        lines = [messages.ReturnedUnits(sku=one.sku, quantity=one.quantity) for one in order.lines]
        return await self.staff.act("AcceptReturn", order, lines=lines, reason="damaged")


def state_number(name: str) -> OrderState.ValueType:
    return OrderState.Value(f"ORDER_STATE_{name}")


def scans_of(order: Order) -> list[messages.ScannedUnits]:
    """Returns what is scanned if the lots are packed that were bound."""
    return [messages.ScannedUnits(sku=one.sku, lot_number=lot.lot_number, quantity=lot.quantity) for one in order.lines for lot in one.lots]


async def open_counter(server: ServedService, identities: Identities, people: People, steps: PaymentSteps, engine: AsyncEngine) -> Counter:
    async with engine.begin() as connection:
        location_id = await add_location(connection)
    return Counter(server, identities, people, steps, engine, location_id)
