"""Refusals that the edge decides itself, under the reasons of the services that would give them."""

from __future__ import annotations

from shared.errors import GalenError


class OrderNumberInvalid(GalenError):
    domain = "balance.galen"
    reason = "ORDER_NUMBER_INVALID"

    def __init__(self) -> None:
        super().__init__("an order number is 1 to 255 digits that pass the Luhn check")


class InsufficientPoints(GalenError):
    domain = "balance.galen"
    reason = "INSUFFICIENT_POINTS"

    def __init__(self) -> None:
        super().__init__("fewer points are available than were asked for")
