"""The edge's routes and what surrounds them, put together."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from services.gateway.entrypoints.http.middleware import Reception, add_headers


def make_application(routes: Iterable[web.AbstractRouteDef], reception: Reception, *, body_bytes_max: int) -> web.Application:
    application = web.Application(middlewares=[reception.middleware()], client_max_size=body_bytes_max)
    application.add_routes(routes)
    application.on_response_prepare.append(add_headers)
    return application
