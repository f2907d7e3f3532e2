"""What the customers service can be started for, besides `migrate`, which needs none of this."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import uvloop

from services.customers.container import CustomersContainer, resources, service_parts
from services.customers.entrypoints.commands.credentials import PasswordUnusable, admin_credentials
from services.customers.settings import CustomersSettings
from shared.errors import InvalidRequest
from shared.grpc.runtime import serve
from shared.worker import work


def _serve(settings: CustomersSettings) -> None:
    serve(service_parts(CustomersContainer(settings=settings)))


def _work(settings: CustomersSettings) -> None:
    work(service_parts(CustomersContainer(settings=settings.model_copy(update={"background_work": True}))))


def _create_admin(settings: CustomersSettings) -> None:
    """Makes an administrator of ADMIN_LOGIN, registering them with ADMIN_PASSWORD if they are new; asks for what is not set."""
    credentials = admin_credentials(os.environ)

    async def create(container: CustomersContainer) -> None:
        customer_id, is_new = await container.create_admin().create(credentials.login(), credentials.password)
        print(f"customers/{customer_id} {'has been registered and ' if is_new else ''}is an administrator")

    try:
        _run(settings, create)
    except (InvalidRequest, PasswordUnusable) as error:
        sys.exit(str(error))


def _backfill_accounts(settings: CustomersSettings) -> None:
    """Opens the points accounts of all customers who have none. Exits with 1 if some could not be opened."""

    async def backfill(container: CustomersContainer) -> None:
        opened, failed = await container.accounts().open_missing(older_than_s=0)
        print(f"accounts opened: {opened}, failed: {failed}")
        if failed:
            sys.exit(1)

    _run(settings, backfill)


def _run(settings: CustomersSettings, command: Callable[[CustomersContainer], Awaitable[None]]) -> None:
    async def run() -> None:
        container = CustomersContainer(settings=settings)
        async with AsyncExitStack() as stack:
            for resource in resources(container):
                await stack.enter_async_context(resource)
            await command(container)

    uvloop.run(run())


COMMANDS = {"serve": _serve, "worker": _work, "create-admin": _create_admin, "backfill-accounts": _backfill_accounts}
