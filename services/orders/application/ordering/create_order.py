"""Makes an order and holds its stock, all of it or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.orders.application.inventory.stock import Cause
from services.orders.application.observer import Observer
from services.orders.application.ordering.ports import (
    CustomerProfiles,
    Identifiers,
    Looked,
    NumberTaken,
    OrderLooks,
    OrderTransaction,
    OrderTransactions,
    PlainOrders,
    Recipient,
)
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.errors import AddressNotFound, InsufficientStock, OrdersError
from services.orders.domain.inventory.errors import StockShort
from services.orders.domain.ordering.changes import Terms
from services.orders.domain.ordering.commands import check_each_once
from services.orders.domain.ordering.creation import Wanted, check_periods, check_prescriptions, period_limits, priced
from services.orders.domain.ordering.model import (
    EventKind,
    Fulfilment,
    Line,
    Order,
    OrderEvent,
    State,
    Times,
)
from services.orders.domain.ordering.search import stored_words
from services.orders.domain.ordering.transitions import ADMIN, CUSTOMER, STAFF, Caller
from shared.clock import Clock
from shared.requests import RequestKey

# Who makes orders: customers their own, staff at the counter.
MAKERS = (CUSTOMER, STAFF, ADMIN)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What is asked for. `address` are the ids of a customer and their address, None for an order that is collected."""

    customer_id: str
    wanted: Sequence[Wanted]
    address: tuple[str, str] | None
    location_id: str
    note: str
    validate_only: bool


class CreateOrder:
    def __init__(
        self,
        looks: OrderLooks,
        transactions: OrderTransactions,
        plain_orders: PlainOrders,
        profiles: CustomerProfiles,
        identifiers: Identifiers,
        terms: Terms,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._looks = looks
        self._transactions = transactions
        self._plain_orders = plain_orders
        self._profiles = profiles
        self._identifiers = identifiers
        self._terms = terms
        self._clock = clock
        self._observer = observer

    async def __call__(self, new: NewOrder, caller: Caller, key: RequestKey) -> Order:
        """Returns the order; with `validate_only` as it would be, and nothing is changed or remembered.

        Raises CustomerNotFound, AddressNotFound, LocationNotFound, MedicineNotFound, MedicineWithdrawn, DuplicateSku, MixedCurrencies,
        QuantityLimit, PrescriptionNotFound, PrescriptionRequired, PrescriptionExpired, PrescriptionUsedUp, PrescriptionMismatch,
        InsufficientStock, RequestIdReused; Unavailable while the customers service does not answer.
        """
        looked = await self._looks.look(key, new.location_id, {one.sku: one.quantity for one in new.wanted})
        if looked.answer is not None:
            return looked.answer
        check_each_once([one.sku for one in new.wanted])
        try:
            _refuse_short(new, looked)
            recipient = await self._recipient(new)
            made = None if new.validate_only else await self._at_once(new, recipient, looked.medicines, caller, key)
            return made or await self._numbered(new, recipient, caller, None if new.validate_only else key)
        except StockShort as short:
            self._observer.stock_was_short(new.location_id, short.lines)
            raise InsufficientStock(short.lines) from short

    async def _at_once(
        self, new: NewOrder, recipient: Recipient, medicines: Mapping[str, Medicine], caller: Caller, key: RequestKey
    ) -> Order | None:
        """Makes an order that needs nothing but units on the shelf. None, and nothing has happened, if there is more to it."""
        try:
            lines = priced(new.wanted, medicines)
        except OrdersError:
            return None
        if _prescriptions(lines) or period_limits(new.wanted, medicines):
            return None
        order = self._order(new, recipient, lines, medicines[new.wanted[0].sku].currency)
        event = _created(order, caller)
        versions = {sku: medicine.version for sku, medicine in medicines.items()}
        if not await self._plain_orders.add(order, event, _words(order), versions, Cause(event.actor.name, order.name), key):
            return None
        self._observer.order_created(order)
        return order

    async def _numbered(self, new: NewOrder, recipient: Recipient, caller: Caller, key: RequestKey | None) -> Order:
        """Begins anew where the number that was drawn is another order's."""
        while True:
            try:
                return await self._create(new, recipient, caller, key)
            except NumberTaken:
                continue

    async def _recipient(self, new: NewOrder) -> Recipient:
        """The address of somebody else is not even asked for."""
        if new.address is None:
            return await self._profiles.recipient(new.customer_id, None)
        customer_id, address_id = new.address
        if customer_id != new.customer_id:
            raise AddressNotFound
        return await self._profiles.recipient(customer_id, address_id)

    async def _create(self, new: NewOrder, recipient: Recipient, caller: Caller, key: RequestKey | None) -> Order:
        """Without a key everything is done and nothing committed."""
        async with self._transactions.begin() as transaction:
            found = await transaction.begin_order(key, [one.sku for one in new.wanted])
            if isinstance(found, Order):
                return found
            order = self._order(new, recipient, await self._judged(transaction, new, found), found[new.wanted[0].sku].currency)
            event = _created(order, caller)
            await transaction.insert(order, event, _words(order))
            named = _prescriptions(order.lines)
            if named:
                await transaction.count_prescriptions(named, order.id)
            await transaction.hold(order, Cause(event.actor.name, order.name), key)
            if key is None:
                return order
            await transaction.commit()
        self._observer.order_created(order)
        return order

    async def _judged(self, transaction: OrderTransaction, new: NewOrder, medicines: Mapping[str, Medicine]) -> tuple[Line, ...]:
        lines = priced(new.wanted, medicines)
        now = self._clock.now()
        limits = period_limits(new.wanted, medicines)
        if limits:
            check_periods(limits, await transaction.lock_ordered(new.customer_id, limits, now))
        named = _prescriptions(lines)
        if named:
            check_prescriptions(lines, await transaction.lock_prescriptions(new.customer_id, named), now.date())
        return lines

    def _order(self, new: NewOrder, recipient: Recipient, lines: tuple[Line, ...], currency: str) -> Order:
        now = self._clock.now()
        fulfilment = Fulfilment.PICKUP if recipient.address is None else Fulfilment.DELIVERY
        return Order(
            id=self._identifiers.order_id(),
            customer_id=new.customer_id,
            number=self._identifiers.order_number(),
            state=State.PENDING_PAYMENT,
            location_id=new.location_id,
            currency=currency,
            lines=lines,
            fulfilment=fulfilment,
            contact=recipient.contact,
            delivery_address=recipient.address,
            note=new.note,
            created_at=now,
            updated_at=now,
            times=Times(due=now + self._terms.payment),
            pickup_code=self._identifiers.pickup_code() if fulfilment is Fulfilment.PICKUP else "",
            events=1,
        )


def _refuse_short(new: NewOrder, looked: Looked) -> None:
    """Raises StockShort, or what is wrong with the lines. Most who come for what is sold out cost no more than this look."""
    if looked.short:
        priced(new.wanted, looked.medicines)
        raise StockShort(looked.short)


def _prescriptions(lines: Sequence[Line]) -> set[UUID]:
    return {line.prescription_id for line in lines if line.prescription_id is not None}


def _created(order: Order, caller: Caller) -> OrderEvent:
    actor = next(actor for actor in caller.acting(order) if actor.role in MAKERS)
    return OrderEvent(order.id, order.events, EventKind.CREATED, None, order.state, actor, "", {}, order.created_at)


def _words(order: Order) -> list[str]:
    medicines = [text for line in order.lines for text in (line.sku, line.display_name)]
    return stored_words(number=order.number, name=order.contact.display_name, phone=order.contact.phone, medicines=medicines)
