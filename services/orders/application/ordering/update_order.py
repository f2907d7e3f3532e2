"""Changes the note or the address of an order. The address is a copy of one of the customer's, fetched before the transaction."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.application.ordering.ports import CustomerProfiles, OrderTransactions
from services.orders.domain.errors import AddressNotFound
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.model import Order
from services.orders.domain.ordering.transitions import Caller
from shared.requests import RequestKey


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What to set; None leaves it as it is. `address` are the ids of a customer and their address."""

    note: str | None = None
    address: tuple[str, str] | None = None


class UpdateOrder:
    def __init__(self, change: ChangeOrder, transactions: OrderTransactions, profiles: CustomerProfiles) -> None:
        self._change = change
        self._transactions = transactions
        self._profiles = profiles

    async def __call__(self, customer_id: str, order_id: UUID, update: OrderUpdate, caller: Caller, etag: str, key: RequestKey) -> Order:
        """Raises AddressNotFound, Unavailable, InvalidRequest (an order that is collected), and what ChangeOrder.request does."""
        answer = await self._transactions.answer_of(key)
        if answer is not None:
            return answer
        if update.address is not None and update.address[0] != customer_id:
            raise AddressNotFound
        address = None if update.address is None else await self._profiles.address(*update.address)
        command = commands.update(caller, etag, note=update.note, address=address)
        return await self._change.request(customer_id, order_id, command, key)
