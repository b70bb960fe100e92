"""Many tasks with one request each under one rate limit, in simulated time: all succeed, and the limit is well used."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from airflow_provider_tallyfy.api.protocol.messages import Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Wait, exchange
from tests.unit.test_throttle import Fixed, Limiter, Sliding

REQUEST = Request("DELETE", ("x",))
#: Seconds that an answer takes, and within which the first tasks begin.
LATENCY, BEGIN = 0.05, 0.5


@dataclass
class Result:
    """The result of a simulation.

    :param failed: tasks that gave up.
    :param seconds: until the last one ended.
    """

    failed: int
    seconds: float


def simulate(
    limiter: Limiter, tells: bool, tasks: int, slots: int, policy: RetryPolicy, chance: random.Random
) -> Result:
    """Simulate tasks that send one request each, a number of them at a time, with retries by the policy."""
    numbers, failed, end, left = itertools.count(), 0, 0.0, tasks - slots
    agenda = [(chance.random() * BEGIN, next(numbers), exchange(REQUEST, policy)) for _ in range(slots)]
    for _, _, steps in agenda:
        next(steps)
    heapq.heapify(agenda)
    while agenda:
        now, _, steps = heapq.heappop(agenda)
        wait = limiter.wait(now)
        headers = {"retry-after": str(max(1, math.ceil(wait)))} if tells else {}
        reply: Reply = Response(429, headers) if wait else Response(200, {}, b"{}")
        now += LATENCY
        try:
            step = steps.send(reply)
        except StopIteration as ended:
            failed += not ended.value.ok
            end = max(end, now)
            if left:
                left -= 1
                steps = exchange(REQUEST, policy)
                next(steps)
                heapq.heappush(agenda, (now, next(numbers), steps))
            continue
        assert isinstance(step, Wait)
        next(steps)
        heapq.heappush(agenda, (now + step.seconds, next(numbers), steps))
    return Result(failed, end)


@pytest.mark.parametrize("make", [Sliding, Fixed])
@pytest.mark.parametrize(
    ("tasks", "slots", "requests", "window", "tells", "failed_before"),
    [
        (80, 80, 10, 10.0, True, 20),
        (420, 200, 140, 10.0, True, 0),
        (120, 120, 60, 60.0, False, 60),
        (120, 120, 60, 60.0, True, 0),
        (300, 100, 10, 10.0, True, 50),
        (420, 200, 140, 10.0, False, 0),
    ],
)
def test_all_tasks_succeed_in_time(
    make: Callable[[int, float], Limiter],
    tasks: int,
    slots: int,
    requests: int,
    window: float,
    tells: bool,
    failed_before: int,
) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        policy = RetryPolicy(jitter=chance.random)
        result = simulate(make(requests, window), tells, tasks, slots, policy, chance)
        assert result.failed == 0
        assert result.seconds <= 1.15 * tasks * window / requests + window
        impatient = RetryPolicy(max_rate_limited=3, first_spread=0.0, longest_backoff=60.0, jitter=chance.random)
        assert simulate(make(requests, window), tells, tasks, slots, impatient, chance).failed >= failed_before


def test_a_thousand_tasks_in_two_hundred_slots_at_one_request_per_second() -> None:
    chance = random.Random(1)
    result = simulate(Sliding(10, 10.0), True, 1000, 200, RetryPolicy(jitter=chance.random), chance)
    assert result.failed == 0
    assert result.seconds <= 1160
