"""The customers service as a peer: profiles and addresses, read with this service's own identity.

For whom an order is and where it goes is asked with every order, and the call costs as much as the answer to many: orders that are made at
the same time ask together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import structlog
from galen.customers.v1 import address_pb2, customer_service_pb2
from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from services.orders.application.ordering.ports import Recipient
from services.orders.domain.errors import AddressNotFound, CustomerNotFound
from services.orders.domain.ordering.model import Contact, DeliveryAddress
from shared.coalescer import Coalescer
from shared.errors import GalenError, Unavailable
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import peer_error
from shared.observability.metrics import BatchMetrics
from shared.observability.tracing import start_span

if TYPE_CHECKING:
    from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceAsyncStub

log = structlog.get_logger()

CALL_LIMIT_S = 3.0
# What the contract lets one call ask for.
QUERIES_MAX = 100
# Who was answered comes back with their next order only: to wait for them costs those who are there more than larger batches save.
GATHER_S = 0.002
DOMAIN = "customers.galen"

# The names of a customer and of their address, the latter empty if none is meant.
Query = tuple[str, str]


class CustomersPeer:
    """To be used inside `opened`: a channel belongs to the loop that it was made in."""

    def __init__(self, address: str, credentials: Credentials, registry: CollectorRegistry, *, call_limit_s: float = CALL_LIMIT_S) -> None:
        self._address = address
        self._credentials = credentials
        self._call_limit_s = call_limit_s
        self._customers: CustomerServiceAsyncStub | None = None
        self._coalescer = Coalescer(
            self._ask,
            size_max=QUERIES_MAX,
            timeout_s=call_limit_s,
            gather_s=GATHER_S,
            is_outage=_is_outage,
            observer=BatchMetrics(registry, "recipient_read"),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[CustomersPeer]:
        services = customer_service_pb2.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._customers = CustomerServiceStub(channel)
            try:
                async with self._coalescer:
                    yield self
            finally:
                self._customers = None

    async def recipient(self, customer_id: str, address_id: str | None) -> Recipient:
        """Raises CustomerNotFound, AddressNotFound, Unavailable, DeadlineExceeded; Overloaded if too many wait."""
        name = f"customers/{customer_id}"
        address = "" if address_id is None else f"{name}/addresses/{address_id}"
        limit_s = remaining_s(self._call_limit_s)
        try:
            async with asyncio.timeout(limit_s):  # the batch goes on: others wait for it, too
                result = await self._coalescer.submit((name, address), deadline=time.monotonic() + limit_s)
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        except TimeoutError as error:
            raise Unavailable("the customers service does not answer") from error
        if result.HasField("error"):
            raise _refusal(result.error)
        return _recipient(result.recipient)

    async def _ask(self, queries: Sequence[Query]) -> Sequence[customer_service_pb2.RecipientResult]:
        """Returns the results of the queries. It is no single caller's work, and has a trace and a limit of its own."""
        start_span(None)
        asked = list(dict.fromkeys(queries))
        request = customer_service_pb2.BatchResolveRecipientsRequest(
            queries=[customer_service_pb2.RecipientQuery(name=name, address=address) for name, address in asked]
        )
        response = await self._peer().BatchResolveRecipients(request, timeout=self._call_limit_s)
        results = dict(zip(asked, response.results, strict=True))
        return [results[query] for query in queries]

    async def address(self, customer_id: str, address_id: str) -> DeliveryAddress:
        """Raises AddressNotFound, Unavailable, DeadlineExceeded."""
        request = customer_service_pb2.GetAddressRequest(name=f"customers/{customer_id}/addresses/{address_id}")
        try:
            return _copy((await self._peer().GetAddress(request, timeout=remaining_s(self._call_limit_s))).address)
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error

    def _peer(self) -> CustomerServiceAsyncStub:
        if self._customers is None:
            raise Unavailable("the channel to the customers service is closed")
        return self._customers


def _is_outage(error: Exception) -> bool:
    """Tells whether every query would fail like this: all but those that the peer refuses to read at all."""
    return not (isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.INVALID_ARGUMENT)


def _recipient(found: customer_service_pb2.Recipient) -> Recipient:
    customer = found.customer
    contact = Contact(customer.display_name or customer.login, customer.phone, customer.email)
    return Recipient(contact, _copy(found.address) if found.HasField("address") else None)


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
    known = _known(peer.domain, peer.reason)
    if known is not None:
        return known
    log.warning("the customers service does not answer", reason=peer.reason, code=peer.code.name)
    return Unavailable("the customers service does not answer")


def _refusal(status: Status) -> Exception:
    """The same for the error of one query."""
    info = ErrorInfo()
    any(detail.Unpack(info) for detail in status.details)
    known = _known(info.domain, info.reason)
    if known is not None:
        return known
    log.warning("the customers service refuses a query", reason=info.reason, code=status.code)
    return Unavailable("the customers service does not answer")


def _known(domain: str, reason: str) -> GalenError | None:
    known = {"CUSTOMER_NOT_FOUND": CustomerNotFound, "ADDRESS_NOT_FOUND": AddressNotFound}.get(reason)
    return known() if known is not None and domain == DOMAIN else None
