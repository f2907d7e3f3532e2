"""Walks along a hash chain and tells where it does not hold. Pure: the caller brings links, operations and heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import product

from services.balance.domain.chain import Link, SignedHead, genesis, link_hash
from services.balance.domain.names import AccountName

# Links that do not hold are compared with each other to tell a reorder from an edit: all combinations of so many, which takes a moment.
COMPARED_MAX = 8


class Fault(IntEnum):
    """How a chain can be broken. The numbers are those of the contract."""

    EDITED = 1
    DELETED = 2
    REORDERED = 3
    CUT = 4
    HEAD_FORGED = 5

    @property
    def rule(self) -> str:
        """The name under which it is counted, beside those of the invariants."""
        return f"CHAIN_{self.name}"


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """A place where a chain does not hold. `link` is 0 where there is none; the operation is known unless `account` is None."""

    fault: Fault
    link: int
    account: AccountName | None
    version: int | None
    description: str

    @property
    def rule(self) -> str:
        """The name under which it is counted."""
        return self.fault.rule


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link as it is stored, with what is known of its operation now: `content` is None if the operation is gone."""

    link: Link
    account: AccountName | None
    content: bytes | None

    def finding(self, fault: Fault, description: str) -> ChainFinding:
        return ChainFinding(fault, self.link.number, self.account, self.link.version, description)


@dataclass(frozen=True, slots=True)
class _Mismatch:
    """A link whose hash does not follow from the link before it and its operation."""

    previous: bytes
    stored: StoredLink
    content: bytes


class ChainWalk:
    """One walk along one chain: `step` for parts of it, in order, then `end`. `is_genuine` checks a head's signature."""

    def __init__(self, chain: int, is_genuine: Callable[[SignedHead], bool]) -> None:
        self.number = 0
        self._previous: bytes | None = genesis(chain)
        self._is_genuine = is_genuine
        self._mismatches: list[_Mismatch] = []
        self._signed_number = 0
        self._rewritten = False

    def step(self, links: Sequence[StoredLink], heads: Sequence[SignedHead]) -> Sequence[ChainFinding]:
        """Walks along the next links. `heads` are those that were signed for numbers up to the last of these links."""
        found = [finding for stored in links for finding in self._link(stored)]
        broken = {mismatch.stored.link.number for mismatch in self._mismatches}
        hashes = {stored.link.number: stored.link.hash for stored in links if stored.link.number not in broken}
        found += [finding for head in heads for finding in self._head(head, hashes)]
        while len(self._mismatches) > COMPARED_MAX:
            found += _explain(self._mismatches[:COMPARED_MAX])
            del self._mismatches[:COMPARED_MAX]
        return found

    def end(self, heads: Sequence[SignedHead]) -> Sequence[ChainFinding]:
        """Ends the walk. `heads` are those that were signed for numbers beyond the last link."""
        found = list(_explain(self._mismatches))
        genuine = [head.head.number for head in heads if self._is_genuine(head)]
        found += [_forged(head) for head in heads if head.head.number not in genuine]
        if genuine:
            text = f"the chain ends after link {self.number}, and link {max(genuine)} has been signed"
            found.append(ChainFinding(Fault.CUT, self.number + 1, None, None, text))
        elif self._signed_number < self.number:
            text = f"the last link has no head; the last one that is signed is link {self._signed_number}"
            found.append(ChainFinding(Fault.HEAD_FORGED, self.number, None, None, text))
        return found

    def _link(self, stored: StoredLink) -> Iterator[ChainFinding]:
        link = stored.link
        if link.number != self.number + 1:
            text = f"the links from {self.number + 1} to {link.number - 1} are gone"
            yield ChainFinding(Fault.DELETED, self.number + 1, None, None, text)
            self._previous = None
        if stored.content is None:
            yield stored.finding(Fault.DELETED, "the operation that was linked is gone")
        elif self._previous is not None:
            expected = link_hash(self._previous, link.number, link.account_key, link.version, stored.content)
            if expected != link.hash:
                self._mismatches.append(_Mismatch(self._previous, stored, stored.content))
        self.number, self._previous = link.number, link.hash

    def _head(self, signed: SignedHead, hashes: dict[int, bytes]) -> Iterator[ChainFinding]:
        head = signed.head
        if not self._is_genuine(signed):
            yield _forged(signed)
            return
        self._signed_number = max(self._signed_number, head.number)
        there = hashes.get(head.number)
        if there is not None and there != head.hash and not self._rewritten:
            self._rewritten = True  # and so are all that follow
            yield ChainFinding(Fault.EDITED, head.number, None, None, "the link is not the one that was signed: links were made anew")


def _forged(signed: SignedHead) -> ChainFinding:
    text = f"the head of {signed.head.made_at.isoformat()} does not bear a signature of its key"
    return ChainFinding(Fault.HEAD_FORGED, signed.head.number, None, None, text)


def _explain(mismatches: Sequence[_Mismatch]) -> Iterator[ChainFinding]:
    """Tells links that stand in another's place, or follow on another, or whose operations changed places, from edited ones."""
    exchanged = _hashes_of_exchanges(mismatches) if len(mismatches) > 1 else frozenset[bytes]()
    for mismatch in mismatches:
        if mismatch.stored.link.hash in exchanged:
            yield mismatch.stored.finding(Fault.REORDERED, "the link holds only in the place of another, or with another's operation")
        else:
            yield mismatch.stored.finding(Fault.EDITED, "the operation, or the link, is not as it was when it was linked")


def _hashes_of_exchanges(mismatches: Sequence[_Mismatch]) -> frozenset[bytes]:
    """Returns the hashes that links would have if predecessors, numbers, operations and contents of the others were theirs."""
    previous = {hashed for mismatch in mismatches for hashed in (mismatch.previous, mismatch.stored.link.hash)}
    links = [mismatch.stored.link for mismatch in mismatches]
    return frozenset(
        link_hash(before, place.number, named.account_key, named.version, mismatch.content)
        for before, place, named, mismatch in product(previous, links, links, mismatches)
    )
