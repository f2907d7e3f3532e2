"""Resource names: `programs/{program}/accounts/{account}` and what hangs below."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from uuid import UUID

_NAMESPACE = UUID("6f1c2b0e-7d57-5a53-9f5e-3f0a3a0f6a11").bytes


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account: a customer's id in a programme."""

    program: str
    account_id: str
    # The account's key in every table, as text: a UUIDv5 of its name, so that nobody has to look it up.
    key_text: str = field(init=False, compare=False, repr=False)
    # A posting looks a name up a dozen times.
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_text", _uuid5_text(str(self)))
        object.__setattr__(self, "_hash", hash(self.key_text))

    def __hash__(self) -> int:
        return self._hash

    @property
    def key(self) -> UUID:
        return UUID(self.key_text)

    @classmethod
    def parse(cls, name: str) -> AccountName:
        """Reads `programs/{program}/accounts/{account}`, with or without something below it; the form was validated before."""
        _, program, _, account_id, *_ = name.split("/")
        return cls(program, account_id)

    def __str__(self) -> str:
        return f"programs/{self.program}/accounts/{self.account_id}"

    @property
    def is_every(self) -> bool:
        """Whether it stands for all accounts of its programme: where reads allow it, `-` does."""
        return self.account_id == "-"


def _uuid5_text(name: str) -> str:
    """Returns what `str(uuid5(...))` does, at a third of the price: each call needs it, and nothing of a UUID but its text."""
    digest = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def operation_name(account: AccountName, version: int) -> str:
    return f"{account}/operations/{version}"


def hold_name(account: AccountName, hold_id: int) -> str:
    return f"{account}/holds/{hold_id}"


def last_number(name: str) -> int:
    """Returns the number that an operation's or a hold's name ends with."""
    return int(name.rpartition("/")[2])


def program_id(name: str) -> str:
    """Returns the id in `programs/{program}`, with or without something below it."""
    return name.split("/")[1]
