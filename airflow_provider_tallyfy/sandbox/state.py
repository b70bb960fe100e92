"""What a running sandbox knows: the organization, what it was asked, and what is to go wrong. No HTTP."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from airflow_provider_tallyfy.sandbox.faults import Fault, Injection
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord


class RateLimit:
    """At most so many requests in any such span; rate-limited ones do not count.

    :param requests: how many.
    :param seconds: the span.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds = requests, seconds
        self._taken: deque[float] = deque()

    def wait(self) -> float:
        """Take a slot and return 0, or return the seconds until one is free."""
        now = time.monotonic()
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        if len(self._taken) < self.requests:
            self._taken.append(now)
            return 0.0
        return self._taken[0] + self.seconds - now


@dataclass
class SandboxState:
    """Shared by the server, the control endpoints and the pages. Guarded by the organization's lock.

    :param organization: members, templates, runs.
    :param people: what scripted people are still to do.
    :param latency: seconds added to every answer.
    :param rate_limit: what is over it gets 429; ``None`` for no limit.
    :param records: every request of a client, oldest first.
    :param plan: faults and actions still to come, in the order in which they were planned.
    :param answered: how many requests are over, answered or cut.
    """

    organization: Organization
    people: People
    latency: float = 0.0
    rate_limit: RateLimit | None = None
    records: list[RequestRecord] = field(default_factory=list)
    plan: list[Injection] = field(default_factory=list)
    answered: int = 0

    def next_fault(self, method: str, route: str) -> Fault | None:
        """The fault that the plan has for a request; actions that were planned before it are taken."""
        for entry in list(self.plan):
            if not entry.meets(method, route):
                continue
            if entry.exhausted:
                self.plan.remove(entry)
            if isinstance(entry.effect, Fault):
                return entry.effect
            entry.effect()
        return None
