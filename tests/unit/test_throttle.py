"""The throttle against all kinds of rate limiters, in simulated time: its use of a limit, and how many 429s it gets."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.throttle import Throttle

LATENCY = 0.05
WORKERS = 8


class Limiter(Protocol):
    """Decides which requests pass."""

    def wait(self, now: float) -> float:
        """Return 0 if the request passes, otherwise the seconds until the next one would."""


@dataclass
class Sliding:
    """A sliding window: so many requests in any span of time."""

    requests: int
    seconds: float
    taken: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) < self.requests:
            self.taken.append(now)
            return 0.0
        return self.taken[0] + self.seconds - now


@dataclass
class Fixed:
    """A fixed window: so many requests per span of the clock."""

    requests: int
    seconds: float
    window: int = -1
    count: int = 0

    def wait(self, now: float) -> float:
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.count = window, 0
        if self.count < self.requests:
            self.count += 1
            return 0.0
        return (window + 1) * self.seconds - now


@dataclass
class Bucket:
    """A token bucket."""

    requests: int
    seconds: float
    tokens: float = -1.0
    at: float = 0.0

    def wait(self, now: float) -> float:
        full = self.requests if self.tokens < 0 else self.tokens + (now - self.at) * self.requests / self.seconds
        self.tokens, self.at = min(full, self.requests), now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) * self.seconds / self.requests


@dataclass
class Nothing:
    """No limit."""

    def wait(self, now: float) -> float:
        return 0.0


@dataclass
class Until:
    """One limiter up to a point in time, and then another."""

    before: Limiter
    moment: float
    after: Limiter

    def wait(self, now: float) -> float:
        return (self.before if now < self.moment else self.after).wait(now)


RetryAfter = Callable[[float], float | None]
RETRY_AFTER: dict[str, RetryAfter] = {
    "rounded up": lambda wait: float(max(1, math.ceil(wait))),
    "exactly": lambda wait: wait,
    "not at all": lambda wait: None,
}


@dataclass
class Result:
    """The result of a simulation.

    :param sent: times of sending, and whether Tallyfy answered 429.
    """

    sent: list[tuple[float, bool]]
    pace: Throttle

    def passed(self, since: float = 0.0, until: float = math.inf) -> int:
        return sum(since <= when < until and not rate_limited for when, rate_limited in self.sent)

    @property
    def rate_limited_share(self) -> float:
        return sum(rate_limited for _, rate_limited in self.sent) / len(self.sent)


def simulate(
    limiter: Limiter,
    retry_after: RetryAfter,
    seconds: float,
    workers: int = WORKERS,
    latency: float = LATENCY,
    enough: float = math.inf,
) -> Result:
    """Simulate workers that send one request at a time, for some time or until enough requests passed.

    Places in the queue are given to one worker at a time, as the pool does.
    """
    pace, sent, passed = Throttle(), [], 0
    numbers = itertools.count()
    # What happens next: (time, tie-breaker, event, time of sending or None)
    agenda: list[tuple[float, int, str, float, float | None]] = []
    idle, turn_taken = workers, False

    def take_turn(now: float) -> None:
        nonlocal turn_taken, idle
        if not turn_taken and idle:
            turn_taken, idle = True, idle - 1
            heapq.heappush(agenda, (now + pace.delay(now), next(numbers), "place", 0.0, None))

    take_turn(0.0)
    while agenda and agenda[0][0] < seconds and passed < enough:
        now, _, event, sent_at, wait = heapq.heappop(agenda)
        if event == "place":
            if pace.paused(now):  # another request was rate-limited while this one waited
                heapq.heappush(agenda, (now + pace.delay(now), next(numbers), "place", 0.0, None))
                continue
            turn_taken = False
            wait = limiter.wait(now + latency / 2)
            sent.append((now, wait > 0))
            passed += not wait
            heapq.heappush(agenda, (now + latency, next(numbers), "answer", now, wait))
        elif wait:
            pace.rate_limited(now, sent_at, retry_after(wait))
            idle += 1
        else:
            pace.accepted(now, sent_at)
            idle += 1
        take_turn(now)
    return Result(sent, pace)


SPAN = 600.0


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("make", [Sliding, Fixed, Bucket])
@pytest.mark.parametrize(("requests", "seconds"), [(140, 10.0), (600, 60.0), (100, 60.0), (10, 1.0), (5, 1.0)])
class TestAgainstALimit:
    @staticmethod
    @functools.cache
    def result(requests: int, seconds: float, make: Callable[[int, float], Limiter], retry_after: str) -> Result:
        return simulate(make(requests, seconds), RETRY_AFTER[retry_after], SPAN)

    def test_most_of_the_limit_is_used(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], retry_after: str
    ) -> None:
        result = self.result(requests, seconds, make, retry_after)
        assert result.passed() / (SPAN * requests / seconds) >= (0.90 if retry_after == "not at all" else 0.95)
        assert result.passed(SPAN / 2) / (SPAN / 2 * requests / seconds) >= (
            0.94 if retry_after == "not at all" else 0.92
        )

    def test_few_requests_are_rate_limited(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], retry_after: str
    ) -> None:
        # Several workers hit a limit at the same time, which weighs more if the limit is low.
        most = 0.06 if requests / seconds <= 5 else 0.02 if retry_after == "not at all" else 0.01
        if (
            make is Bucket and retry_after == "exactly"
        ):  # a bucket asks for one request's time, so it is tried again sooner
            most = max(most, 0.015)
        assert self.result(requests, seconds, make, retry_after).rate_limited_share <= most

    def test_pause_is_as_long_as_retry_after(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], retry_after: str
    ) -> None:
        # Nothing is sent between the moment when a 429 arrives and the end of the wait that it asks for.
        result = self.result(requests, seconds, make, retry_after)
        first = next(when for when, rate_limited in result.sent if rate_limited)
        known = first + LATENCY
        pause = 0.5 if retry_after != "rounded up" else 1.0
        assert not [when for when, _ in result.sent if known < when < known + pause - LATENCY]


class TestRateRecovers:
    def test_after_the_limit_is_lifted(self) -> None:
        result = simulate(Until(Sliding(140, 10), 200, Nothing()), RETRY_AFTER["rounded up"], 900)
        assert result.passed(100, 200) / 1400 >= 0.94
        assert result.passed(800, 900) / 100 >= 5 * 14, "ten minutes later it is far beyond the old limit"

    def test_after_another_client_begins(self) -> None:
        result = simulate(Until(Sliding(140, 10), 200, Sliding(70, 10)), RETRY_AFTER["rounded up"], 600)
        assert result.passed(300) / (300 * 7) >= 0.93
        assert result.rate_limited_share <= 0.02

    def test_after_other_clients_used_half_of_the_limit(self) -> None:
        result = simulate(Until(Sliding(70, 10), 200, Sliding(140, 10)), RETRY_AFTER["rounded up"], 1200)
        assert result.passed(900) / (300 * 14) >= 0.9

    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    @pytest.mark.parametrize("exhausted", [1.0, 10.0, 30.0, 120.0])
    def test_after_another_client_used_up_the_limit_at_the_start(self, exhausted: float, retry_after: str) -> None:
        # The first 429 shows nothing about the limit, because no request has got through.
        result = simulate(Until(Used(), exhausted, Sliding(140, 10)), RETRY_AFTER[retry_after], exhausted + 300)
        assert result.passed(exhausted + 120) / (180 * 14) >= 0.9

    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    def test_after_another_client_used_up_the_limit_for_a_minute(self, retry_after: str) -> None:
        result = simulate(
            Until(Sliding(140, 10), 100, Until(Used(), 160, Sliding(140, 10))), RETRY_AFTER[retry_after], 600
        )
        assert result.passed(100, 160) == 0
        assert result.passed(300) / (300 * 14) >= 0.85

    @pytest.mark.parametrize("before", [0, 5, 10, 19, 20, 100])
    def test_after_many_429s_without_a_limit(self, before: int) -> None:
        result = simulate(Storm(before, 60), RETRY_AFTER["rounded up"], 900)
        assert result.passed(840) / 60 >= 10, "a quarter of an hour later it is out of the way"


@dataclass
class Used:
    """Another client has used up the whole limit."""

    def wait(self, now: float) -> float:
        return 2.0


@dataclass
class Storm:
    """Some requests pass, some are rate-limited, then all pass."""

    before: int
    rate_limited: int
    count: int = 0

    def wait(self, now: float) -> float:
        self.count += 1
        return 2.0 if self.before < self.count <= self.before + self.rate_limited else 0.0


@dataclass
class Stray:
    """Answers 429 to the requests with these numbers, without a limit."""

    numbers: tuple[int, ...]
    asks: float
    count: int = 0

    def wait(self, now: float) -> float:
        self.count += 1
        return self.asks if self.count in self.numbers else 0.0


#: 3,000 runs at eight times 250 per second.
ALONE = 1.5


def seconds_for_3000(limiter: Limiter, retry_after: str) -> float:
    result = simulate(limiter, RETRY_AFTER[retry_after], ALONE + 60, latency=0.004, enough=3000)
    return result.sent[-1][0] if result.passed() >= 3000 else math.inf


class TestStray429s:
    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    @pytest.mark.parametrize("asks", [1.0, 2.0])
    @pytest.mark.parametrize(
        "numbers", [(3,), (1, 2), (3, 9), (3, 14), (3, 30), (17, 26), (30, 60), (140, 280), (300, 900), (2000, 2900)]
    )
    def test_two_cost_less_than_ten_seconds(self, numbers: tuple[int, ...], asks: float, retry_after: str) -> None:
        assert seconds_for_3000(Stray(numbers, asks), retry_after) <= ALONE + 10

    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    @pytest.mark.parametrize(
        "numbers",
        [
            (1, 2, 3),
            (3, 14, 60),
            (10, 20, 30),
            (140, 280, 420),
            (3, 500, 2000),
            (1, 2, 3, 4, 5),
            (3, 9, 27, 81, 243),
            (3, 14, 60, 200, 900),
            (10, 20, 30, 40, 50),
            (5, 300, 1000, 2000, 2900),
        ],
    )
    def test_three_or_five_cost_less_than_ten_seconds(self, numbers: tuple[int, ...], retry_after: str) -> None:
        assert seconds_for_3000(Stray(numbers, 1.0), retry_after) <= ALONE + 10

    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    @pytest.mark.parametrize("apart", [30, 140])
    def test_five_at_the_intervals_of_a_limit_cost_less_than_fifteen_seconds(
        self, apart: int, retry_after: str
    ) -> None:
        assert seconds_for_3000(Stray(tuple(range(apart, 6 * apart, apart)), 1.0), retry_after) <= ALONE + 15

    @settings(max_examples=40)
    @given(st.sets(st.integers(1, 3000), min_size=1, max_size=2), st.sampled_from(["rounded up", "not at all"]))
    def test_two_at_any_position(self, numbers: set[int], retry_after: str) -> None:
        assert seconds_for_3000(Stray(tuple(numbers), 1.0), retry_after) <= ALONE + 10

    @pytest.mark.parametrize("retry_after", ["rounded up", "not at all"])
    @pytest.mark.parametrize("count", [3, 5])
    def test_three_or_five_at_any_position(self, count: int, retry_after: str) -> None:
        # If they come by chance after equal numbers of requests, they cost more. One sample in twenty may.
        chance = random.Random(1)
        strays = [Stray(tuple(chance.sample(range(1, 3001), count)), 1.0) for _ in range(100)]
        late = [stray.numbers for stray in strays if seconds_for_3000(stray, retry_after) > ALONE + 10]
        assert len(late) <= 5

    def test_many_that_look_like_a_limit_are_recognized(self) -> None:
        # Evenly spaced, they look like a limit of thirty, which is tried again after a while.
        result = simulate(Stray(tuple(range(30, 300, 30)), 1.0), RETRY_AFTER["rounded up"], 90)
        assert result.pace.rate is None


class TestOneBulkChange:
    @pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 0.8])
    @pytest.mark.parametrize("make", [Sliding, Fixed])
    @pytest.mark.parametrize(
        ("requests", "seconds", "runs", "least", "most"),
        [
            # The first pause alone may meet all of eight workers: 1.6 % of 500. Windows of the clock take more trials.
            (140, 10.0, 500, 0.95, 0.025),
            (140, 10.0, 1000, 0.95, 0.02),
            (140, 10.0, 3000, 0.97, 0.01),
            (600, 60.0, 1000, 0.95, 0.02),
            (600, 60.0, 3000, 0.98, 0.01),
            (60, 60.0, 500, 0.98, 0.025),
            (60, 60.0, 1000, 0.98, 0.02),
            # The shortest Retry-After takes up a whole window of one second. To measure a limit and try it again takes
            # four of them, which is 4 of 50 s; and in each, several of eight workers are rate-limited.
            (10, 1.0, 500, 0.91, 0.11),
            (10, 1.0, 1000, 0.95, 0.06),
            (10, 1.0, 3000, 0.96, 0.02),
        ],
    )
    def test_uses_the_limit(
        self,
        requests: int,
        seconds: float,
        runs: int,
        least: float,
        most: float,
        make: Callable[[int, float], Limiter],
        phase: float,
    ) -> None:
        ideal = runs * seconds / requests
        limiter = Later(make(requests, seconds), phase * seconds)
        result = simulate(limiter, RETRY_AFTER["rounded up"], 2 * ideal, enough=runs)
        assert result.passed() == runs
        assert ideal / (result.sent[-1][0] + LATENCY) >= least
        assert result.rate_limited_share < most


@dataclass
class Later:
    """A limiter with a clock that is ahead."""

    limiter: Limiter
    ahead: float

    def wait(self, now: float) -> float:
        return self.limiter.wait(now + self.ahead)


class TestWithoutALimit:
    @pytest.mark.parametrize("workers", [1, 8, 64])
    def test_only_the_workers_bound_the_rate(self, workers: int) -> None:
        result = simulate(Nothing(), RETRY_AFTER["exactly"], 10, workers=workers)
        assert result.passed() >= 0.99 * workers * 10 / LATENCY
        assert result.pace.rate is None


answers = st.tuples(
    st.floats(0, 100, allow_nan=False),  # seconds since the last step
    st.sampled_from(["passed", "rate_limited"]),
    st.none() | st.floats(0, 10_000) | st.integers(0, 10_000).map(float),
    st.floats(0, 20),  # how long ago it was sent
)


class TestAlwaysMakesProgress:
    @given(st.lists(answers, max_size=60))
    def test_with_any_replies(self, steps: list[tuple[float, str, float | None, float]]) -> None:
        pace, now, latest = Throttle(), 0.0, 0.0
        for passed, answer, retry_after, ago in steps:
            delay = pace.delay(now)
            assert delay >= 0
            now += passed
            if answer == "passed":
                pace.accepted(now, now - ago)
            else:
                pace.rate_limited(now, now - ago, retry_after)
                latest = max(latest, now + max(retry_after or 0.0, 30.0))
            assert pace.rate is None or pace.rate > 0
            assert math.isfinite(pace._paused_until)
            assert pace._paused_until <= latest, "it pauses no longer than Retry-After"
        # Whatever happened, requests are sent again once all of them succeed.
        for _ in range(200):
            now += pace.delay(now)
            pace.accepted(now + LATENCY, now)
        gap = pace.delay(now)
        now += gap
        assert pace.delay(now) <= 60.0

    @given(st.integers(1, 30), st.integers(1, 64), st.sampled_from(sorted(RETRY_AFTER)))
    def test_under_the_lowest_limits(self, seconds: int, workers: int, retry_after: str) -> None:
        span = 40.0 * seconds + 300
        result = simulate(Sliding(1, float(seconds)), RETRY_AFTER[retry_after], span, workers=workers)
        assert result.passed(span / 2) >= span / 2 / seconds * 0.25
