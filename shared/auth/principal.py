"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    ANONYMOUS = "anonymous"
    PERSON = "person"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. `id` is a customer's id or a service's name; only people have roles."""

    kind: Kind
    id: str
    roles: frozenset[str] = frozenset()

    @property
    def actor(self) -> str:
        """The caller's resource name, as it stands in operations and histories."""
        return f"services/{self.id}" if self.kind is Kind.SERVICE else f"customers/{self.id}"


ANONYMOUS = Principal(Kind.ANONYMOUS, "anonymous")
