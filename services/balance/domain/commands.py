"""What can be asked of the ledger. (account, `actor`, `request_id`) is a command's identity, `fingerprint` its content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from services.balance.domain.model import Identity, Kind, ShortfallPolicy
from services.balance.domain.names import AccountName


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands have."""

    kind: ClassVar[Kind]
    opens_account: ClassVar[bool] = False

    account: AccountName
    actor: str
    request_id: UUID
    fingerprint: bytes

    @property
    def identity(self) -> Identity:
        return self.account, self.actor, self.request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Command):
    """Adds a lot of points; opens the account if it is missing."""

    kind = Kind.CREDIT
    opens_account = True

    amount: int
    reference: str
    available_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def is_never_available(self) -> bool:
        """Tells whether its lot would expire before it is there, whenever it is asked for."""
        return self.available_at is not None and self.expires_at is not None and self.expires_at <= self.available_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Credit):
    """Brings a balance along from another system; refused if the account has operations."""

    kind = Kind.OPENING


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Command):
    """Spends points on an order."""

    kind = Kind.WITHDRAWAL

    amount: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(Command):
    """Sets points aside, for `ttl` or until they are captured or released."""

    kind = Kind.RESERVATION

    amount: int
    reference: str
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCommand(Command):
    """A command about a hold."""

    hold_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend(HoldCommand):
    """Makes a hold last for `ttl` from now, or for ever."""

    kind = Kind.EXTENSION

    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(HoldCommand):
    """Spends `amount` of a hold, None for all that is left, and frees the remainder unless it is kept."""

    kind = Kind.CAPTURE

    amount: int | None = None
    keep_remainder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(HoldCommand):
    """Frees what is left of a hold."""

    kind = Kind.RELEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Command):
    """Undoes `amount` of the operation `version`, None for all that was not undone before."""

    kind = Kind.REVERSAL

    version: int
    amount: int | None = None
    policy: ShortfallPolicy = ShortfallPolicy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Command):
    """Writes down what has come due, lots and holds that ran out, and nothing else: what the sweeper asks for."""

    kind = Kind.LOT_EXPIRY


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMinBalance(Command):
    """Sets what must remain after points are spent; only if the account is at `expected_version`, unless that is None."""

    kind = Kind.MIN_BALANCE

    min_balance: int
    expected_version: int | None = None
