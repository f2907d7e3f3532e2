"""The hash chains over the operations: each operation becomes a link that holds the one before it; ends of chains are signed.

There are 16 chains; an account's key says which one its operations belong to. A link's hash is

    SHA-256(hash of the link before it || number, account key, version || content of the operation)

numbers as 8 bytes, big-endian; in place of the hash before the first link stands SHA-256 of `galen ledger chain <n>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

CHAINS = 16


@dataclass(frozen=True, slots=True)
class Recorded:
    """An operation that waits to be linked. `position` is its place among all operations, `content` its canonical form."""

    position: int
    account_key: UUID
    version: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """An operation's place in a chain; the first number is 1."""

    chain: int
    number: int
    account_key: UUID
    version: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain at some time. `position` is that of its last link's operation."""

    chain: int
    number: int
    hash: bytes
    position: int
    made_at: datetime

    def message(self) -> bytes:
        """Returns what is signed."""
        made_at = self.made_at.astimezone(UTC).isoformat()
        return json.dumps(["galen chain head", self.chain, self.number, self.hash.hex(), self.position, made_at]).encode()


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head and the signature of its message."""

    head: Head
    key_id: str
    signature: bytes


def chain_of(account_key: UUID) -> int:
    """Returns the chain that the account's operations belong to."""
    return account_key.int >> 124


def key_range(chain: int) -> tuple[UUID, UUID]:
    """Returns the lowest and the highest account key of a chain."""
    return UUID(int=chain << 124), UUID(int=((chain + 1) << 124) - 1)


def genesis(chain: int) -> bytes:
    """Returns what stands before a chain's first link."""
    return hashlib.sha256(f"galen ledger chain {chain}".encode()).digest()


def link_hash(previous: bytes, number: int, account_key: UUID, version: int, content: bytes) -> bytes:
    """Returns the hash of a link."""
    place = number.to_bytes(8, "big") + account_key.bytes + version.to_bytes(8, "big", signed=True)
    return hashlib.sha256(previous + place + content).digest()


def last_position(tips: Iterable[Head]) -> int:
    """Returns the position up to which every operation has been linked."""
    return max((tip.position for tip in tips), default=0)


def extend(tips: Mapping[int, Head], operations: Sequence[Recorded], now: datetime) -> tuple[Sequence[Link], Sequence[Head]]:
    """Links operations, in their order, to the ends of their chains; returns the links, and the new ends of the chains that grew."""
    links = []
    grown: dict[int, Head] = {}
    for operation in operations:
        account_key, version = operation.account_key, operation.version
        chain = chain_of(account_key)
        tip = grown.get(chain) or tips.get(chain)
        number, previous = (tip.number + 1, tip.hash) if tip else (1, genesis(chain))
        link = Link(chain, number, account_key, version, link_hash(previous, number, account_key, version, operation.content))
        links.append(link)
        grown[chain] = Head(chain, number, link.hash, operation.position, now)
    return links, [grown[chain] for chain in sorted(grown)]
