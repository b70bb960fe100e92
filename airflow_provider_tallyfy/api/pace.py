"""One pace for all workers of a task: no limit until Tallyfy names one, then just below it.

Tallyfy's limits are not published as numbers (its pages have named several), so they are learned: from how many
requests it took until a 429, and from how long it asks to wait then. All workers slow down at once, and the pace
creeps back up, for the limit may have been shared with somebody who has left.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds of unused time that may be made up for at once, such as a pause that was rounded up to a whole second.
CREDIT = 1.0
#: Growth per second, as a share: well below the last known limit, near it, and well above it.
_FAST, _SLOW = 0.03, 0.002
_NEAR = 0.97
_ABOVE = 1.03
#: Seconds to pause after a 429 that does not say how long; doubled while nothing gets through.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


@dataclass
class Pace:
    """When the next request may go. Knows no clock: every method is told the time, in seconds.

    :param rate: requests per second; ``None`` = no limit known.
    """

    rate: float | None = None
    _next: float = 0.0
    _paused_until: float = 0.0
    _paused_at: float = -1.0
    _limit: float = 0.0
    _since: float | None = None
    _accepted: int = 0
    _grown_at: float = 0.0
    _silent_pauses: int = 0

    def delay(self, now: float) -> float:
        """Take the next place in the queue.

        :return: seconds to wait before sending.
        """
        if self._since is None:
            self._since = now
        start = max(now, self._paused_until)
        if self.rate is None:
            return start - now
        place = max(self._next, start - CREDIT)
        self._next = place + 1.0 / self.rate
        return max(place, start) - now

    def paused(self, now: float) -> bool:
        """Whether Tallyfy asked for a pause that is not over."""
        return now < self._paused_until

    def accepted(self, now: float) -> None:
        """Count a request that was not declined, and let the pace grow with time."""
        self._accepted += 1
        if self.rate is None:
            return
        self._silent_pauses = 0
        step = min(max(0.0, now - self._grown_at), 1.0)
        self._grown_at = now
        near = _NEAR * self._limit < self.rate < _ABOVE * self._limit
        self.rate *= 1.0 + (_SLOW if near else _FAST) * step

    def declined(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """Slow down after a 429.

        Requests that were under way when the first 429 came are declined too; they belong to the same pause.

        :param sent_at: when the declined request was sent.
        :param retry_after: seconds that Tallyfy asks to wait, ``None`` where it does not say.
        """
        if sent_at <= self._paused_at:
            if retry_after is not None:
                self._paused_until = max(self._paused_until, now + retry_after)
            return
        if retry_after is None:
            pause = min(_FIRST_PAUSE * 2.0**self._silent_pauses, _LONGEST_PAUSE)
            self._silent_pauses = min(self._silent_pauses + 1, 16)
        else:
            pause = retry_after
        since = now if self._since is None else self._since
        # What got through from the last pause to the end of this one: the limit, however Tallyfy counts.
        measured = max(self._accepted, 1) / max(now - since + pause, 0.001)
        if self.rate is None:
            # The wait is rounded up to whole seconds, so the limit may be that much higher: come near it fast.
            self._limit = max(self._accepted, 1) / max(now - since + pause - 1.0, 0.001) if pause >= 2.0 else measured
            self.rate = measured
        else:
            self._limit = self.rate
            self.rate = min(max(measured, 0.5 * self.rate), 0.97 * self.rate)
        self._paused_at, self._paused_until = now, now + pause
        self._since, self._accepted, self._grown_at = now, 0, now + pause
        self._next = min(self._next, self._paused_until)
