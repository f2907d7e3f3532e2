"""Reads for whom many orders are and where they go."""

from __future__ import annotations

from collections.abc import Sequence

from services.customers.application.ports import Customers
from services.customers.domain.recipient import Outcome, RecipientQuery, outcome_of


class ResolveRecipients:
    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    async def __call__(self, queries: Sequence[RecipientQuery]) -> Sequence[Outcome]:
        """Returns the outcome of each query, in the same order. Refusals are outcomes and not raised."""
        found = await self._customers.find_recipients([(query.customer_id, query.address_id) for query in queries])
        return [outcome_of(query, recipient) for query, recipient in zip(queries, found, strict=True)]
