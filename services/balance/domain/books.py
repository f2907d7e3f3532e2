"""The books of a whole programme, added up while an audit goes from account to account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.balance.domain.invariants import Finding, Invariant
from services.balance.domain.model import Book


@dataclass(slots=True)
class Totals:
    """What each book has received less what it gave, and what the accounts say of it. In hundredths of a point.

    `books` has the numbers that are stored: a book that does not exist must not stop an audit.
    """

    books: Counter[int] = field(default_factory=Counter)
    posted: int = 0
    held: int = 0

    def add(self, other: Totals) -> None:
        """Adds the totals of other accounts."""
        for book, amount in other.books.items():
            self.books[book] += amount
        self.posted += other.posted
        self.held += other.held

    def findings(self) -> Iterator[Finding]:
        """Returns what does not add up."""
        yield from _compare(Invariant.BOOKS_SUM_TO_ZERO, "the sum of all books", 0, sum(self.books.values()))
        customers = self.books[Book.CUSTOMER] + self.books[Book.HELD]
        yield from _compare(Invariant.BOOKS_MATCH_ACCOUNTS, "posted of all accounts", customers, self.posted)
        yield from _compare(Invariant.BOOKS_MATCH_ACCOUNTS, "held of all accounts", self.books[Book.HELD], self.held)


def _compare(invariant: Invariant, what: str, expected: int, found: int) -> Iterator[Finding]:
    if found != expected:
        yield Finding(invariant, None, None, f"{what}: expected {expected}, found {found}")
