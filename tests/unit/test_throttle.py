"""The pace against limiters of every make, in simulated time: how much of a limit it uses, and how often it errs."""

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
    """Says of each request whether it may pass."""

    def wait(self, now: float) -> float:
        """0 = it passes; else the seconds until another one would."""


@dataclass
class Sliding:
    """So many in any span."""

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
    """So many per span of the clock."""

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
    """Tokens that fill up steadily."""

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
    """One limiter up to a moment, another from then on."""

    before: Limiter
    moment: float
    after: Limiter

    def wait(self, now: float) -> float:
        return (self.before if now < self.moment else self.after).wait(now)


Told = Callable[[float], float | None]
TOLD: dict[str, Told] = {
    "rounded up": lambda wait: float(max(1, math.ceil(wait))),
    "exactly": lambda wait: wait,
    "not at all": lambda wait: None,
}


@dataclass
class Result:
    """What a simulation came to.

    :param sent: moments of sending and whether Tallyfy declined.
    """

    sent: list[tuple[float, bool]]
    pace: Throttle

    def passed(self, since: float = 0.0, until: float = math.inf) -> int:
        return sum(since <= when < until and not declined for when, declined in self.sent)

    @property
    def declined_share(self) -> float:
        return sum(declined for _, declined in self.sent) / len(self.sent)


def simulate(
    limiter: Limiter,
    told: Told,
    seconds: float,
    workers: int = WORKERS,
    latency: float = LATENCY,
    enough: float = math.inf,
) -> Result:
    """Have so many workers, each with one request at a time, send for so long, or until enough have passed.

    Places in the queue are given to one worker at a time, as the pool does.
    """
    pace, sent, passed = Throttle(), [], 0
    numbers = itertools.count()
    # What happens next: (moment, tie-breaker, event, moment of sending or None)
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
            if pace.paused(now):  # somebody was declined while this one waited
                heapq.heappush(agenda, (now + pace.delay(now), next(numbers), "place", 0.0, None))
                continue
            turn_taken = False
            wait = limiter.wait(now + latency / 2)
            sent.append((now, wait > 0))
            passed += not wait
            heapq.heappush(agenda, (now + latency, next(numbers), "answer", now, wait))
        elif wait:
            pace.rate_limited(now, sent_at, told(wait))
            idle += 1
        else:
            pace.accepted(now, sent_at)
            idle += 1
        take_turn(now)
    return Result(sent, pace)


SPAN = 600.0


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("make", [Sliding, Fixed, Bucket])
@pytest.mark.parametrize(("requests", "seconds"), [(140, 10.0), (600, 60.0), (100, 60.0), (10, 1.0), (5, 1.0)])
class TestAgainstALimit:
    @staticmethod
    @functools.cache
    def result(requests: int, seconds: float, make: Callable[[int, float], Limiter], told: str) -> Result:
        return simulate(make(requests, seconds), TOLD[told], SPAN)

    def test_uses_what_it_is_allowed(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], told: str
    ) -> None:
        result = self.result(requests, seconds, make, told)
        assert result.passed() / (SPAN * requests / seconds) >= (0.90 if told == "not at all" else 0.95)
        assert result.passed(SPAN / 2) / (SPAN / 2 * requests / seconds) >= (0.94 if told == "not at all" else 0.92)

    def test_is_seldom_declined(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], told: str
    ) -> None:
        # A limit of few requests is met with as many at a time as there are workers, so there it weighs more.
        most = 0.06 if requests / seconds <= 5 else 0.02 if told == "not at all" else 0.01
        if make is Bucket and told == "exactly":  # a bucket asks for one request's time, so it is asked again sooner
            most = max(most, 0.015)
        assert self.result(requests, seconds, make, told).declined_share <= most

    def test_pauses_as_long_as_it_is_told(
        self, requests: int, seconds: float, make: Callable[[int, float], Limiter], told: str
    ) -> None:
        # Nothing is sent between the moment when a 429 arrives and the end of the wait that it asks for.
        result = self.result(requests, seconds, make, told)
        first = next(when for when, declined in result.sent if declined)
        known = first + LATENCY
        pause = 0.5 if told != "rounded up" else 1.0
        assert not [when for when, _ in result.sent if known < when < known + pause - LATENCY]


class TestComesBackUp:
    def test_when_the_limit_is_lifted(self) -> None:
        result = simulate(Until(Sliding(140, 10), 200, Nothing()), TOLD["rounded up"], 900)
        assert result.passed(100, 200) / 1400 >= 0.94
        assert result.passed(800, 900) / 100 >= 5 * 14, "ten minutes later it is far beyond the old limit"

    def test_when_it_was_alone_and_shares_now(self) -> None:
        result = simulate(Until(Sliding(140, 10), 200, Sliding(70, 10)), TOLD["rounded up"], 600)
        assert result.passed(300) / (300 * 7) >= 0.93
        assert result.declined_share <= 0.02

    def test_when_others_have_left_half_of_it(self) -> None:
        result = simulate(Until(Sliding(70, 10), 200, Sliding(140, 10)), TOLD["rounded up"], 1200)
        assert result.passed(900) / (300 * 14) >= 0.9

    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
    @pytest.mark.parametrize("exhausted", [1.0, 10.0, 30.0, 120.0])
    def test_when_somebody_else_had_used_it_all_up_at_the_start(self, exhausted: float, told: str) -> None:
        # The first 429 says nothing of how much is allowed, for nothing has got through.
        result = simulate(Until(Used(), exhausted, Sliding(140, 10)), TOLD[told], exhausted + 300)
        assert result.passed(exhausted + 120) / (180 * 14) >= 0.9

    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
    def test_when_somebody_else_uses_it_all_up_for_a_minute(self, told: str) -> None:
        result = simulate(Until(Sliding(140, 10), 100, Until(Used(), 160, Sliding(140, 10))), TOLD[told], 600)
        assert result.passed(100, 160) == 0
        assert result.passed(300) / (300 * 14) >= 0.85

    @pytest.mark.parametrize("before", [0, 5, 10, 19, 20, 100])
    def test_after_a_storm_that_had_nothing_to_do_with_a_limit(self, before: int) -> None:
        result = simulate(Storm(before, 60), TOLD["rounded up"], 900)
        assert result.passed(840) / 60 >= 10, "a quarter of an hour later it is out of the way"


@dataclass
class Used:
    """All is used up, by somebody else."""

    def wait(self, now: float) -> float:
        return 2.0


@dataclass
class Storm:
    """So many pass, so many are declined, then all pass."""

    before: int
    declined: int
    count: int = 0

    def wait(self, now: float) -> float:
        self.count += 1
        return 2.0 if self.before < self.count <= self.before + self.declined else 0.0


@dataclass
class Stray:
    """Refuses the requests of these numbers, for no reason."""

    numbers: tuple[int, ...]
    asks: float
    count: int = 0

    def wait(self, now: float) -> float:
        self.count += 1
        return self.asks if self.count in self.numbers else 0.0


#: 3,000 runs at eight times 250 per second.
ALONE = 1.5


def seconds_for_3000(limiter: Limiter, told: str) -> float:
    result = simulate(limiter, TOLD[told], ALONE + 60, latency=0.004, enough=3000)
    return result.sent[-1][0] if result.passed() >= 3000 else math.inf


class TestStray429s:
    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
    @pytest.mark.parametrize("asks", [1.0, 2.0])
    @pytest.mark.parametrize(
        "numbers", [(3,), (1, 2), (3, 9), (3, 14), (3, 30), (17, 26), (30, 60), (140, 280), (300, 900), (2000, 2900)]
    )
    def test_two_cost_less_than_ten_seconds(self, numbers: tuple[int, ...], asks: float, told: str) -> None:
        assert seconds_for_3000(Stray(numbers, asks), told) <= ALONE + 10

    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
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
    def test_three_or_five_cost_less_than_ten_seconds(self, numbers: tuple[int, ...], told: str) -> None:
        assert seconds_for_3000(Stray(numbers, 1.0), told) <= ALONE + 10

    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
    @pytest.mark.parametrize("apart", [30, 140])
    def test_five_as_far_apart_as_those_of_a_limit_cost_less_than_fifteen(self, apart: int, told: str) -> None:
        assert seconds_for_3000(Stray(tuple(range(apart, 6 * apart, apart)), 1.0), told) <= ALONE + 15

    @settings(max_examples=40)
    @given(st.sets(st.integers(1, 3000), min_size=1, max_size=2), st.sampled_from(["rounded up", "not at all"]))
    def test_two_wherever_they_come(self, numbers: set[int], told: str) -> None:
        assert seconds_for_3000(Stray(tuple(numbers), 1.0), told) <= ALONE + 10

    @pytest.mark.parametrize("told", ["rounded up", "not at all"])
    @pytest.mark.parametrize("count", [3, 5])
    def test_three_or_five_wherever_they_come(self, count: int, told: str) -> None:
        # So few that come by chance after as many requests each cost more; one sample in twenty may.
        chance = random.Random(1)
        strays = [Stray(tuple(chance.sample(range(1, 3001), count)), 1.0) for _ in range(100)]
        late = [stray.numbers for stray in strays if seconds_for_3000(stray, told) > ALONE + 10]
        assert len(late) <= 5

    def test_many_that_look_like_a_limit_are_found_out(self) -> None:
        # Evenly spaced, they look like a limit of thirty; it is tried again after a while.
        result = simulate(Stray(tuple(range(30, 300, 30)), 1.0), TOLD["rounded up"], 90)
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
            # The shortest wait that can be told takes up a whole window of one second. Four of them, to measure a limit
            # and to try it again, are 4 of 50 s; and in each, several of eight workers are rate-limited.
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
        result = simulate(limiter, TOLD["rounded up"], 2 * ideal, enough=runs)
        assert result.passed() == runs
        assert ideal / (result.sent[-1][0] + LATENCY) >= least
        assert result.declined_share < most


@dataclass
class Later:
    """A limiter whose clock is ahead."""

    limiter: Limiter
    ahead: float

    def wait(self, now: float) -> float:
        return self.limiter.wait(now + self.ahead)


class TestWithoutALimit:
    @pytest.mark.parametrize("workers", [1, 8, 64])
    def test_workers_alone_decide(self, workers: int) -> None:
        result = simulate(Nothing(), TOLD["exactly"], 10, workers=workers)
        assert result.passed() >= 0.99 * workers * 10 / LATENCY
        assert result.pace.rate is None


answers = st.tuples(
    st.floats(0, 100, allow_nan=False),  # seconds since the last step
    st.sampled_from(["passed", "declined"]),
    st.none() | st.floats(0, 10_000) | st.integers(0, 10_000).map(float),
    st.floats(0, 20),  # how long ago it was sent
)


class TestAlwaysMakesProgress:
    @given(st.lists(answers, max_size=60))
    def test_whatever_is_answered(self, steps: list[tuple[float, str, float | None, float]]) -> None:
        pace, now, told = Throttle(), 0.0, 0.0
        for passed, answer, retry_after, ago in steps:
            delay = pace.delay(now)
            assert delay >= 0
            now += passed
            if answer == "passed":
                pace.accepted(now, now - ago)
            else:
                pace.rate_limited(now, now - ago, retry_after)
                told = max(told, now + max(retry_after or 0.0, 30.0))
            assert pace.rate is None or pace.rate > 0
            assert math.isfinite(pace._paused_until)
            assert pace._paused_until <= told, "it pauses no longer than asked"
        # However it went, requests pass again once all of them are answered well.
        for _ in range(200):
            now += pace.delay(now)
            pace.accepted(now + LATENCY, now)
        gap = pace.delay(now)
        now += gap
        assert pace.delay(now) <= 60.0

    @given(st.integers(1, 30), st.integers(1, 64), st.sampled_from(sorted(TOLD)))
    def test_under_the_smallest_limits(self, seconds: int, workers: int, told: str) -> None:
        span = 40.0 * seconds + 300
        result = simulate(Sliding(1, float(seconds)), TOLD[told], span, workers=workers)
        assert result.passed(span / 2) >= span / 2 / seconds * 0.25
