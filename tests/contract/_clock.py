"""A clock for hooks under test: single-run methods do not sleep, bulk changes live as fast as the test wants."""

from __future__ import annotations

import threading

from airflow_provider_tallyfy.client.clock import Clock


class FastClock(Clock):
    """One that notes what it is asked to sleep, and lets the time of bulk changes fly."""

    def __init__(self) -> None:
        #: Seconds that engines wanted to sleep; none of them passes.
        self.slept: list[float] = []
        #: How many seconds of a bulk change pass in one.
        self.speed = 1.0

    def monotonic(self) -> float:
        return super().monotonic() * self.speed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return super().wait(event, seconds / self.speed)
