"""The customers service as a peer: profiles and addresses, read with this service's own identity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import structlog
from galen.customers.v1 import address_pb2, customer_service_pb2
from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceStub

from services.orders.application.ordering.ports import Recipient
from services.orders.domain.errors import AddressNotFound, CustomerNotFound
from services.orders.domain.ordering.model import Contact, DeliveryAddress
from shared.errors import Unavailable
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import peer_error

if TYPE_CHECKING:
    from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceAsyncStub

log = structlog.get_logger()

CALL_LIMIT_S = 3.0
DOMAIN = "customers.galen"


class CustomersPeer:
    """To be used inside `opened`: a channel belongs to the loop that it was made in."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._customers: CustomerServiceAsyncStub | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[CustomersPeer]:
        services = customer_service_pb2.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._customers = CustomerServiceStub(channel)
            try:
                yield self
            finally:
                self._customers = None

    async def recipient(self, customer_id: str, address_id: str | None) -> Recipient:
        """Raises CustomerNotFound, AddressNotFound, Unavailable, DeadlineExceeded."""
        name = f"customers/{customer_id}"
        address = "" if address_id is None else f"{name}/addresses/{address_id}"
        request = customer_service_pb2.ResolveRecipientRequest(name=name, address=address)
        try:
            found = await self._peer().ResolveRecipient(request, timeout=remaining_s(CALL_LIMIT_S))
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        customer = found.customer
        contact = Contact(customer.display_name or customer.login, customer.phone, customer.email)
        return Recipient(contact, _copy(found.address) if address else None)

    async def address(self, customer_id: str, address_id: str) -> DeliveryAddress:
        """Raises AddressNotFound, Unavailable, DeadlineExceeded."""
        request = customer_service_pb2.GetAddressRequest(name=f"customers/{customer_id}/addresses/{address_id}")
        try:
            return _copy((await self._peer().GetAddress(request, timeout=remaining_s(CALL_LIMIT_S))).address)
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error

    def _peer(self) -> CustomerServiceAsyncStub:
        if self._customers is None:
            raise Unavailable("the channel to the customers service is closed")
        return self._customers


def _copy(address: address_pb2.Address) -> DeliveryAddress:
    return DeliveryAddress(
        address=address.name,
        recipient=address.recipient,
        phone=address.phone,
        lines=tuple(address.lines),
        city=address.city,
        postal_code=address.postal_code,
        country_code=address.country_code,
    )


def _translated(error: grpc.aio.AioRpcError) -> Exception:
    """Whatever keeps the peer from telling is UNAVAILABLE for our caller, who can do nothing but try again later."""
    peer = peer_error(error)
    known = {"CUSTOMER_NOT_FOUND": CustomerNotFound, "ADDRESS_NOT_FOUND": AddressNotFound}.get(peer.reason)
    if known is not None and peer.domain == DOMAIN:
        return known()
    log.warning("the customers service does not answer", reason=peer.reason, code=peer.code.name)
    return Unavailable("the customers service does not answer")
