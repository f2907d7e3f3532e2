"""All records in memory, with what has to be found fast, and drafts of changes to them."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

from deploy.local.payment_sim.models import Charge, Delivery, Event, Intent, KeptAnswer, Record, Refund

R = TypeVar("R", bound=Record)
_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(24))


class Books:
    """The records, each kind in the order in which it came. Only a draft that was stored changes them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[type[Any], dict[str, Record]] = {kind: {} for kind in (Intent, Charge, Refund, Event, Delivery, KeptAnswer)}
        self._due: dict[str, Intent | Refund] = {}
        self._refunds: dict[str, list[str]] = {}
        self._undelivered: dict[str, set[str]] = {}
        for record in records:
            self._put(record)

    def find(self, kind: type[R], name: str) -> R | None:
        return cast("R | None", self._records[kind].get(name))

    def all(self, kind: type[R]) -> Iterator[R]:
        """Oldest first."""
        return cast("Iterator[R]", iter(list(self._records[kind].values())))

    def newest_first(self, kind: type[R]) -> Iterator[R]:
        """Only as long as nothing changes."""
        return cast("Iterator[R]", reversed(self._records[kind].values()))

    def refunds_of(self, intent: str) -> list[Refund]:
        """Oldest first."""
        return [cast("Refund", self._records[Refund][name]) for name in self._refunds.get(intent, ())]

    def pending_webhooks(self, event: str) -> int:
        return len(self._undelivered.get(event, ()))

    def due(self, until: float) -> list[Intent | Refund]:
        """Returns what changes by itself until then, the earliest first."""
        return sorted((record for record in self._due.values() if (record.due_at or 0) <= until), key=lambda record: record.due_at or 0)

    def next_due_at(self) -> float | None:
        return min((record.due_at for record in self._due.values() if record.due_at is not None), default=None)

    def apply(self, draft: Draft) -> None:
        """Makes a draft true."""
        for record in draft.changed:
            self._put(record)
        for record in draft.removed:
            self._remove(record)

    def _put(self, record: Record) -> None:
        if isinstance(record, Refund) and record.id not in self._records[Refund]:
            self._refunds.setdefault(record.intent, []).append(record.id)
        if isinstance(record, Delivery):
            self._undelivered.setdefault(record.event, set()).add(record.id)
        if isinstance(record, Intent | Refund):
            self._due.pop(record.id, None)
            if record.due_at is not None:
                self._due[record.id] = record
        self._records[type(record)][record.id] = record

    def _remove(self, record: Record) -> None:
        self._records[type(record)].pop(record.id, None)
        if isinstance(record, Delivery):
            left = self._undelivered.get(record.event, set())
            left.discard(record.id)
            if not left:
                self._undelivered.pop(record.event, None)


class Draft:
    """Changes that are not true yet, seen by who makes them."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._changed: dict[tuple[type[Any], str], Record] = {}
        self.removed: list[Record] = []

    @property
    def changed(self) -> list[Record]:
        """In the order in which they were first changed."""
        return list(self._changed.values())

    def find(self, kind: type[R], name: str) -> R | None:
        return cast("R | None", self._changed.get((kind, name))) or self._books.find(kind, name)

    def refunds_of(self, intent: str) -> list[Refund]:
        known = {refund.id: refund for refund in self._books.refunds_of(intent)}
        return list((known | {r.id: r for r in self._changed.values() if isinstance(r, Refund) and r.intent == intent}).values())

    def put(self, record: Record) -> None:
        self._changed[type(record), record.id] = record

    def remove(self, record: Record) -> None:
        self._changed.pop((type(record), record.id), None)
        self.removed.append(record)
