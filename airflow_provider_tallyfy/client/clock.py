"""The time as engines and pools see it: handed in, so that a test can let it pass faster."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's own clock.

    A test sets another one on the hook (``TallyfyHook.clock``); nothing in ``client`` asks for the time elsewhere.
    """

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait so long, or until the event is set.

        :return: whether it is set.
        """
        return event.wait(seconds)


SYSTEM_CLOCK = Clock()
