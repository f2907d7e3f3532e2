"""CustomerService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.customers.v1 import customer_service_pb2 as messages
from galen.customers.v1 import customer_service_pb2_grpc

from services.customers.application.keep_addresses import KeepAddresses
from services.customers.application.read_addresses import ReadAddresses
from services.customers.application.read_customer import ReadCustomer
from services.customers.application.resolve_recipients import ResolveRecipients
from services.customers.application.set_roles import SetRoles
from services.customers.application.update_customer import UpdateCustomer
from services.customers.domain.errors import CustomerNotFound
from services.customers.domain.names import parse_address, parse_customer, parse_recipient
from services.customers.entrypoints.grpc.converters import (
    address_message,
    customer_message,
    place_of,
    position_of,
    profile_change,
    read_position,
    recipient_result,
    role_words,
)
from shared.grpc.call import request_key
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size


class CustomerServicer(customer_service_pb2_grpc.CustomerServiceServicer):
    def __init__(
        self,
        customers: ReadCustomer,
        profiles: UpdateCustomer,
        roles: SetRoles,
        addresses: ReadAddresses,
        address_writes: KeepAddresses,
        recipients: ResolveRecipients,
        page_tokens: PageTokens,
        catalogue: ErrorCatalogue,
    ) -> None:
        self._customers = customers
        self._profiles = profiles
        self._roles = roles
        self._addresses = addresses
        self._address_writes = address_writes
        self._recipients = recipients
        self._page_tokens = page_tokens
        self._catalogue = catalogue

    async def GetCustomer(self, request: messages.GetCustomerRequest, context: Context) -> messages.GetCustomerResponse:
        return messages.GetCustomerResponse(customer=customer_message(await self._customers.get(parse_customer(request.name))))

    async def UpdateCustomer(self, request: messages.UpdateCustomerRequest, context: Context) -> messages.UpdateCustomerResponse:
        customer_id, change = parse_customer(request.name), profile_change(request)
        customer = await self._profiles.update(customer_id, change, request.etag, request_key(request))
        return messages.UpdateCustomerResponse(customer=customer_message(customer))

    async def SetRoles(self, request: messages.SetRolesRequest, context: Context) -> messages.SetRolesResponse:
        customer = await self._roles.set(parse_customer(request.name), role_words(request.roles), request_key(request))
        return messages.SetRolesResponse(customer=customer_message(customer))

    async def CreateAddress(self, request: messages.CreateAddressRequest, context: Context) -> messages.CreateAddressResponse:
        customer_id, place = parse_customer(request.parent), place_of(request.address)
        address = await self._address_writes.create(customer_id, place, request_key(request))
        return messages.CreateAddressResponse(address=address_message(address))

    async def GetAddress(self, request: messages.GetAddressRequest, context: Context) -> messages.GetAddressResponse:
        return messages.GetAddressResponse(address=address_message(await self._addresses.get(*parse_address(request.name))))

    async def BatchResolveRecipients(
        self, request: messages.BatchResolveRecipientsRequest, context: Context
    ) -> messages.BatchResolveRecipientsResponse:
        outcomes = await self._recipients([parse_recipient(query.name, query.address) for query in request.queries])
        return messages.BatchResolveRecipientsResponse(results=[recipient_result(outcome, self._catalogue) for outcome in outcomes])

    async def ListAddresses(self, request: messages.ListAddressesRequest, context: Context) -> messages.ListAddressesResponse:
        before = read_position(self._page_tokens.open(request))
        try:
            customer_id = parse_customer(request.parent)
        except CustomerNotFound:
            return messages.ListAddressesResponse()
        page, last = await self._addresses.page(customer_id, before=before, limit=page_size(request.page_size))
        token = "" if last is None else self._page_tokens.seal(request, position_of(last))
        return messages.ListAddressesResponse(addresses=map(address_message, page), next_page_token=token)

    async def UpdateAddress(self, request: messages.UpdateAddressRequest, context: Context) -> messages.UpdateAddressResponse:
        (customer_id, address_id), place = parse_address(request.name), place_of(request.address)
        address = await self._address_writes.update(customer_id, address_id, place, request.address.etag, request_key(request))
        return messages.UpdateAddressResponse(address=address_message(address))

    async def DeleteAddress(self, request: messages.DeleteAddressRequest, context: Context) -> messages.DeleteAddressResponse:
        await self._address_writes.delete(*parse_address(request.name), request_key(request))
        return messages.DeleteAddressResponse()
