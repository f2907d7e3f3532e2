"""What the fleet knows of the provider, and when it may be asked: the pause it asked for, and the circuit breaker.

    CLOSED -- too many failures in a row --> OPEN -- the cool-down passes --> HALF_OPEN: one request, the probe, goes through
      ^                                       ^                                  |
      +------------- the probe succeeds ------|------- the probe fails ---------+

Pure: the time is given. The state is one row that all replicas share; `generation` counts its turns, so that of several who want to
make the same turn only one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from uuid import UUID

# How often a healthy provider's last success is written down.
SUCCESS_NOTED_EVERY = timedelta(seconds=1)
FAILURE_TEXT_MAX = 200
_DOUBLINGS_MAX = 30


class Breaker(IntEnum):
    """The numbers are stored and are those of the contract."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """`failures_max` failures in a row open it for `cool_down_s`, twice as long each time the probe fails, up to `cool_down_max_s`.

    A probe whose sender died is replaced after `probe_s`.
    """

    failures_max: int
    cool_down_s: float
    cool_down_max_s: float
    probe_s: float

    def cool_down(self, openings: int) -> timedelta:
        return timedelta(seconds=min(self.cool_down_max_s, self.cool_down_s * 2.0 ** min(openings - 1, _DOUBLINGS_MAX)))


@dataclass(frozen=True, slots=True)
class Provider:
    """The shared state. `retry_at` ends the cool-down, or the time that the probe has; `openings` counts since it was last well."""

    breaker: Breaker = Breaker.CLOSED
    blocked_until: datetime | None = None
    retry_at: datetime | None = None
    probe_id: UUID | None = None
    generation: int = 0
    consecutive_failures: int = 0
    openings: int = 0
    last_success_at: datetime | None = None
    last_failure: str = ""

    def silent_until(self, now: datetime) -> datetime | None:
        """Returns the time before which nothing may be sent, None if requests may flow."""
        ends = [end for end in (self.blocked_until, self.retry_at) if end is not None and end > now]
        return max(ends, default=None)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request. `probe_id` is set if it is the one that a half-open breaker lets through."""

    probe_id: UUID | None = None


def with_probe(provider: Provider, now: datetime, probe_id: UUID, rules: BreakerRules) -> Provider:
    """Returns the state after the one request of a breaker that is not closed was given away as `probe_id`."""
    return replace(
        provider,
        breaker=Breaker.HALF_OPEN,
        retry_at=now + timedelta(seconds=rules.probe_s),
        probe_id=probe_id,
        generation=provider.generation + 1,
    )


def after_success(provider: Provider, permit: Permit, now: datetime) -> Provider:
    """A usable answer closes the breaker if it is the probe's; one that was under way when it opened proves nothing."""
    if provider.breaker is Breaker.CLOSED:
        seen = provider.last_success_at
        if not provider.consecutive_failures and not provider.openings and seen and now - seen < SUCCESS_NOTED_EVERY:
            return provider
        return replace(provider, consecutive_failures=0, openings=0, last_success_at=now)
    if permit.probe_id is None or permit.probe_id != provider.probe_id:
        return replace(provider, last_success_at=now)
    return replace(
        provider,
        breaker=Breaker.CLOSED,
        retry_at=None,
        probe_id=None,
        generation=provider.generation + 1,
        consecutive_failures=0,
        openings=0,
        last_success_at=now,
    )


def after_failure(provider: Provider, permit: Permit, now: datetime, what: str, rules: BreakerRules) -> Provider:
    """One more failure; opens the breaker if there were too many, or if the probe failed."""
    failed = replace(provider, consecutive_failures=provider.consecutive_failures + 1, last_failure=what[:FAILURE_TEXT_MAX])
    too_many = provider.breaker is Breaker.CLOSED and failed.consecutive_failures >= rules.failures_max
    probe_failed = permit.probe_id is not None and permit.probe_id == provider.probe_id
    if not (too_many or probe_failed):
        return failed
    openings = provider.openings + 1
    return replace(
        failed,
        breaker=Breaker.OPEN,
        retry_at=now + rules.cool_down(openings),
        probe_id=None,
        generation=provider.generation + 1,
        openings=openings,
    )


def after_throttle(provider: Provider, permit: Permit, now: datetime, wait_s: float) -> Provider:
    """The provider asked for silence: nobody sends before its end. It is no failure; a probe that met it is sent again after it."""
    asked = now + timedelta(seconds=wait_s)
    until = asked if provider.blocked_until is None else max(asked, provider.blocked_until)
    blocked = replace(provider, blocked_until=until, generation=provider.generation + 1)
    if permit.probe_id is None or permit.probe_id != provider.probe_id:
        return blocked
    return replace(blocked, retry_at=None, probe_id=None)
