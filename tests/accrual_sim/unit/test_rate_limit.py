"""The sliding window, with a clock that the test moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.simulation.rate_limit import SlidingWindowLimiter


class Stopwatch:
    """A monotonic clock that stands still between `wait`s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@given(st.integers(1, 5), st.lists(st.integers(0, 40), max_size=60))
def test_no_window_of_a_minute_ever_has_more_than_the_limit(limit: int, pauses_s: list[int]) -> None:
    stopwatch = Stopwatch()
    limiter = SlidingWindowLimiter(limit, monotonic=stopwatch)
    admitted = []
    for pause_s in pauses_s:
        stopwatch.wait(pause_s)
        if limiter.admit() is None:
            admitted.append(stopwatch.now)
    for start in admitted:
        assert sum(start <= moment < start + 60 for moment in admitted) <= limit


@given(st.integers(1, 5), st.lists(st.integers(0, 40), max_size=30))
def test_who_waits_as_told_is_admitted_and_not_a_moment_earlier(limit: int, pauses_s: list[int]) -> None:
    stopwatch = Stopwatch()
    limiter = SlidingWindowLimiter(limit, monotonic=stopwatch)
    for pause_s in pauses_s:
        stopwatch.wait(pause_s)
        wait_s = limiter.admit()
        if wait_s is not None:
            assert 0 < wait_s <= 60
            stopwatch.wait(wait_s - 1)
            assert limiter.admit() == 1
            stopwatch.wait(1)
            assert limiter.admit() is None


def test_a_limit_lowered_at_run_time_holds_for_what_was_admitted_before() -> None:
    stopwatch = Stopwatch()
    limiter = SlidingWindowLimiter(3, monotonic=stopwatch)
    for _ in range(3):
        assert limiter.admit() is None
        stopwatch.wait(10)
    limiter.limit = 1
    assert limiter.admit() == 50  # the last one, admitted at 20 s, has to leave
    stopwatch.wait(50)
    assert limiter.admit() is None


def test_cleared_it_begins_anew() -> None:
    limiter = SlidingWindowLimiter(1, monotonic=Stopwatch())
    assert [limiter.admit() is None for _ in range(2)] == [True, False]
    limiter.clear()
    assert limiter.admit() is None
