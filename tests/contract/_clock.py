"""A clock for hooks in tests: single-run methods do not sleep, and bulk changes run as fast as the test wants."""

from __future__ import annotations

import threading

from airflow_provider_tallyfy.client.clock import Clock


class FastClock(Clock):
    """Records the sleeps that it is asked for, and speeds up the time of bulk changes."""

    def __init__(self) -> None:
        #: Seconds that engines asked to sleep. No real time passes.
        self.slept: list[float] = []
        #: Seconds of a bulk change per real second.
        self.speed = 1.0

    def monotonic(self) -> float:
        return super().monotonic() * self.speed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return super().wait(event, seconds / self.speed)
