"""What the orders service can be started for, besides `migrate`, which needs none of this."""

from __future__ import annotations

from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.grpc.runtime import serve
from shared.worker import work


def _serve(settings: OrdersSettings) -> None:
    serve(service_parts(OrdersContainer(settings=settings)))


def _work(settings: OrdersSettings) -> None:
    work(service_parts(OrdersContainer(settings=settings.model_copy(update={"background_work": True}))))


COMMANDS = {"serve": _serve, "worker": _work}
