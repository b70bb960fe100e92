"""The state of a running sandbox: organization, recorded requests and planned faults. No HTTP."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from airflow_provider_tallyfy.sandbox.faults import Fault, Injection
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord


class RateLimit:
    """A sliding-window rate limit. Requests that were answered with 429 do not count.

    :param requests: number of requests that are allowed.
    :param seconds: length of the window.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds = requests, seconds
        self._taken: deque[float] = deque()

    def wait(self) -> float:
        """Count a request and return 0, or return the seconds until one is allowed."""
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
    :param latency: seconds added to every response.
    :param rate_limit: requests over this limit get 429; ``None`` = no limit.
    :param records: all requests of clients, oldest first.
    :param plan: planned faults and actions, in the order in which they were planned.
    :param answered: number of requests that have ended, answered or cut.
    """

    organization: Organization
    people: People
    latency: float = 0.0
    rate_limit: RateLimit | None = None
    records: list[RequestRecord] = field(default_factory=list)
    plan: list[Injection] = field(default_factory=list)
    answered: int = 0

    def next_fault(self, method: str, route: str) -> Fault | None:
        """Return the fault planned for a request, after running the actions that were planned before it."""
        for entry in list(self.plan):
            if not entry.meets(method, route):
                continue
            if entry.exhausted:
                self.plan.remove(entry)
            if isinstance(entry.effect, Fault):
                return entry.effect
            entry.effect()
        return None
