"""The routes of the public Gophermart contract: read, await a use case, answer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from uuid import UUID

from aiohttp import web

from services.gateway.application.ports import Customers, Orders, Points
from services.gateway.application.read_history import pages
from services.gateway.application.spend_points import SpendPoints
from services.gateway.application.upload_order import UploadOrder
from services.gateway.domain.errors import MalformedBody
from services.gateway.entrypoints.http.bodies import Bodies
from services.gateway.entrypoints.http.client_address import ClientAddresses
from services.gateway.entrypoints.http.converters import amount_of, balance_json, order_json, withdrawal_json
from services.gateway.entrypoints.http.credentials import Authenticator, grant
from services.gateway.entrypoints.http.history import history
from services.gateway.entrypoints.http.idempotency import IDEMPOTENCY_KEY, request_id
from services.gateway.entrypoints.http.json_input import json_object, number_member, text_member

JSON = "application/json"
TEXT = "text/plain"
REGISTER = "/api/user/register"
LOGIN = "/api/user/login"
ORDERS = "/api/user/orders"
BALANCE = "/api/user/balance"
WITHDRAW = "/api/user/balance/withdraw"
WITHDRAWALS = "/api/user/withdrawals"


class LoginRoutes:
    """Registration and login."""

    def __init__(self, customers: Customers, bodies: Bodies, addresses: ClientAddresses) -> None:
        self._customers = customers
        self._bodies = bodies
        self._addresses = addresses

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post(REGISTER, self._register), web.post(LOGIN, self._login)]

    async def _register(self, request: web.Request) -> web.Response:
        login, password = await self._pair(request)
        # Nobody is known yet, so the login keeps apart the keys of people who choose the same text.
        key = _request_id(request, f"{REGISTER}\n{login}")
        session = await self._customers.register(login, password, key, self._addresses.of(request))
        return grant(web.Response(), session)

    async def _login(self, request: web.Request) -> web.Response:
        login, password = await self._pair(request)
        return grant(web.Response(), await self._customers.login(login, password, self._addresses.of(request)))

    async def _pair(self, request: web.Request) -> tuple[str, str]:
        members = json_object(await self._bodies.read(request, media_type=JSON))
        return text_member(members, "login"), text_member(members, "password")


class LoyaltyRoutes:
    """Orders and points of the customer who is logged in."""

    def __init__(self, authenticator: Authenticator, bodies: Bodies, orders: Orders, points: Points, items_max: int) -> None:
        self._authenticator = authenticator
        self._bodies = bodies
        self._orders = orders
        self._points = points
        self._upload = UploadOrder(orders)
        self._spend = SpendPoints(points)
        self._items_max = items_max

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post(ORDERS, self._upload_order),
            web.get(ORDERS, self._list_orders),
            web.get(BALANCE, self._read_balance),
            web.post(WITHDRAW, self._withdraw),
            web.get(WITHDRAWALS, self._list_withdrawals),
        ]

    async def _upload_order(self, request: web.Request) -> web.Response:
        caller = await self._authenticator.caller(request)
        # Bytes that are no ASCII become characters that are no digits.
        text = (await self._bodies.read(request, media_type=TEXT)).decode("ascii", "replace")
        if not text.strip():
            raise MalformedBody("the body must be an order number")
        is_new = await self._upload.upload(caller, text, _request_id(request, ORDERS))
        return web.Response(status=202 if is_new else 200)

    async def _list_orders(self, request: web.Request) -> web.StreamResponse:
        caller = await self._authenticator.caller(request)
        return await history(request, pages(partial(self._orders.page, caller), self._items_max), order_json)

    async def _read_balance(self, request: web.Request) -> web.Response:
        caller = await self._authenticator.caller(request)
        return web.Response(text=balance_json(await self._spend.balance(caller)) + "\n", content_type=JSON)

    async def _withdraw(self, request: web.Request) -> web.Response:
        caller = await self._authenticator.caller(request)
        members = json_object(await self._bodies.read(request, media_type=JSON))
        number, total = text_member(members, "order"), number_member(members, "sum")
        await self._spend.withdraw(caller, number, amount_of(total), _request_id(request, WITHDRAW))
        return web.Response()

    async def _list_withdrawals(self, request: web.Request) -> web.StreamResponse:
        caller = await self._authenticator.caller(request)
        return await history(request, pages(partial(self._points.withdrawals, caller), self._items_max), withdrawal_json)


def _request_id(request: web.Request, scope: str) -> UUID:
    return request_id(request.headers.getall(IDEMPOTENCY_KEY, []), scope)
