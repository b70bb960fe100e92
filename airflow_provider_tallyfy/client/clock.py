"""The clock of engines and pools. A test can pass a faster one."""

from __future__ import annotations

import threading
import time


class Clock:
    """The system clock.

    A test replaces it on the hook (``TallyfyHook.clock``). Retries, waits and rate limits use no other clock.
    """

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point in time; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or the time is over.

        :return: whether it is set.
        """
        return event.wait(seconds)


SYSTEM_CLOCK = Clock()
