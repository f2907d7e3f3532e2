"""The breaker and the pause, as pure rules: what the fleet may send after which answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.accrual.domain.provider import (
    Breaker,
    BreakerRules,
    Permit,
    Provider,
    after_failure,
    after_success,
    after_throttle,
    with_probe,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = BreakerRules(failures_max=3, cool_down_s=5, cool_down_max_s=12, probe_s=10)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def failed(provider: Provider, times: int, permit: Permit | None = None) -> Provider:
    for _ in range(times):
        provider = after_failure(provider, permit or Permit(), NOW, "500", RULES)
    return provider


def probing(provider: Provider, now: datetime) -> tuple[Provider, Permit]:
    permit = Permit(uuid4())
    assert permit.probe_id is not None
    return with_probe(provider, now, permit.probe_id, RULES), permit


def test_failures_in_a_row_open_the_breaker_for_the_cool_down() -> None:
    almost = failed(Provider(), 2)
    opened = failed(Provider(), 3)

    assert (almost.breaker, almost.silent_until(NOW)) == (Breaker.CLOSED, None)
    assert (opened.breaker, opened.silent_until(NOW)) == (Breaker.OPEN, NOW + seconds(5))
    assert opened.silent_until(NOW + seconds(5)) is None
    assert (opened.consecutive_failures, opened.last_failure) == (3, "500")


def test_a_success_between_failures_starts_the_count_anew() -> None:
    provider = failed(after_success(failed(Provider(), 2), Permit(), NOW), 2)

    assert (provider.breaker, provider.consecutive_failures) == (Breaker.CLOSED, 2)


def test_a_probe_that_succeeds_closes_the_breaker() -> None:
    half_open, permit = probing(failed(Provider(), 3), NOW + seconds(5))

    closed = after_success(half_open, permit, NOW + seconds(6))

    assert half_open.breaker is Breaker.HALF_OPEN
    assert (closed.breaker, closed.consecutive_failures, closed.silent_until(NOW + seconds(6))) == (Breaker.CLOSED, 0, None)


def test_nothing_more_is_sent_while_a_probe_is_under_way_but_a_lost_one_is_replaced() -> None:
    half_open, _ = probing(failed(Provider(), 3), NOW)

    assert half_open.silent_until(NOW) == NOW + seconds(10)
    assert half_open.silent_until(NOW + seconds(10)) is None


def test_each_failed_probe_doubles_the_cool_down_up_to_its_limit() -> None:
    provider, now = failed(Provider(), 3), NOW
    cool_downs = []
    for _ in range(3):
        half_open, permit = probing(provider, now)
        provider = after_failure(half_open, permit, now, "500", RULES)
        assert provider.breaker is Breaker.OPEN
        until = provider.silent_until(now)
        assert until is not None
        cool_downs.append((until - now).total_seconds())

    assert cool_downs == [10, 12, 12]
    half_open, permit = probing(provider, now)
    assert failed(after_success(half_open, permit, now), 3).retry_at == NOW + seconds(5), "a new trouble begins with the short cool-down"


@pytest.mark.parametrize("other", [Permit(), Permit(uuid4())])
def test_an_answer_that_was_under_way_when_the_breaker_opened_neither_closes_it_nor_lengthens_the_cool_down(other: Permit) -> None:
    opened = failed(Provider(), 3)
    half_open, _ = probing(opened, NOW)

    for provider in (opened, half_open):
        late_success = after_success(provider, other, NOW + seconds(1))
        late_failure = after_failure(provider, other, NOW + seconds(1), "late", RULES)
        assert (late_success.breaker, late_success.retry_at) == (provider.breaker, provider.retry_at)
        assert (late_failure.breaker, late_failure.retry_at) == (provider.breaker, provider.retry_at)
        assert late_success.last_success_at == NOW + seconds(1)


def test_a_pause_is_the_longest_that_was_asked_for_and_no_failure() -> None:
    blocked = after_throttle(after_throttle(Provider(), Permit(), NOW, 60), Permit(), NOW + seconds(1), 2)

    assert blocked.silent_until(NOW + seconds(3)) == NOW + seconds(60)
    assert (blocked.breaker, blocked.consecutive_failures, blocked.generation) == (Breaker.CLOSED, 0, 2)


def test_a_probe_that_met_a_pause_is_sent_again_after_it_as_the_only_request() -> None:
    half_open, permit = probing(failed(Provider(), 3), NOW)

    blocked = after_throttle(half_open, permit, NOW, 60)

    assert blocked.silent_until(NOW) == NOW + seconds(60)
    assert (blocked.breaker, blocked.silent_until(NOW + seconds(60))) == (Breaker.HALF_OPEN, None)


def test_a_healthy_providers_answers_are_written_down_once_a_second_only() -> None:
    seen = after_success(Provider(), Permit(), NOW)

    assert after_success(seen, Permit(), NOW + seconds(0.9)) is seen
    assert after_success(seen, Permit(), NOW + seconds(1)).last_success_at == NOW + seconds(1)
    assert after_success(replace(seen, consecutive_failures=1), Permit(), NOW).consecutive_failures == 0


def test_every_turn_of_the_breaker_has_a_generation_of_its_own_so_that_one_of_many_makes_it() -> None:
    opened = failed(Provider(), 3)
    half_open, permit = probing(opened, NOW)
    closed = after_success(half_open, permit, NOW)

    assert [state.generation for state in (Provider(), opened, half_open, closed)] == [0, 1, 2, 3]


def test_a_long_failure_text_is_cut() -> None:
    assert len(after_failure(Provider(), Permit(), NOW, "x" * 10_000, RULES).last_failure) == 200
