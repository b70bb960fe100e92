"""One request rate for all workers of a task: unlimited until Tallyfy answers 429, then just below its rate limit.

Tallyfy does not publish its rate limits reliably (its pages have named several), so this class measures them: how many
requests got through before a 429, and how long Tallyfy asks to wait. A single 429 proves no limit: other clients may
have caused it, or it may be a mistake. So a measured limit goes through three states:

* *on trial*: requests are sent faster than the limit allows. If clearly more get through, there is no such limit; if
  the next 429 comes after about as many requests as the last one, there is. A trial costs little, because requests sent
  early in a window are not sent late in it. It is timed so that waits in whole seconds lose nothing.
* *believed*: requests are sent just below the limit. The rate grows slowly, because the limit may have been shared with
  a client that has stopped; a 429 lowers it.
* *on trial again*: after some time without a 429. That time gets longer with each new trial.

All workers slow down at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

#: Growth per second, as a share of the rate: well below the last known limit, and otherwise. The latter grows with the
#: square of the time since the last pause: the rate should stay near a limit, but leave a limit that no longer holds.
_FAST, _SLOW = 0.03, 0.0001
#: What "well below" means, as a share of the last known limit; and the seconds in which slow growth doubles.
_BELOW, _QUIET = 0.96, 40.0
#: The share of a measured limit to use; and how much too low the limit may be if the length of its window is a guess.
_MARGIN, _GUESS = 0.985, 1.3
#: The share of a window that a trial takes; and how many seconds early its 429 may come without costing a whole second.
#: The slower the trial, the fewer requests are under way, and so rate-limited, if the limit turns out to be real.
_TRIAL, _EARLY = 0.9, 0.25
#: The share of a window that a trial takes if the length of the window is a guess.
_TRIAL_GUESSED = 0.5
#: Seconds of a trial in a short window, most of which the shortest wait takes up.
_BURST = 0.1
#: From this many seconds on, a window counts as long. The longer a window, the less often do stray 429s look like a
#: limit, and the more does a trial cost. A trial in a short window begins anywhere in it; if windows follow the clock,
#: as many requests again get through after its end.
_LONG = 5.0
#: A limit is refuted if more requests get through than it allows times this factor (for short windows, for long
#: windows), plus this number.
_REFUTED, _REFUTED_LONG, _REFUTED_MORE = 2.0, 1.1, 2
#: Two 429s are about the same limit if the numbers of requests before them differ by no more than this share. A limit
#: is believed after this many agreements in a row; with a long window, after one.
_AGREE, _AGREEMENTS = 0.1, 2
#: After this many trials a limit is believed even without agreement, because it may be shared with other clients.
_MOST_TRIALS = 6
#: A believed limit is tried again after this many seconds and windows without a 429; and the growth of that time.
_AGAIN, _AGAIN_WINDOWS, _AGAIN_GROWTH = 6.0, 6.0, 4.0
#: How much faster than a believed limit requests are sent to try it again.
_AGAIN_PACE = 1.5
#: A later 429 leaves at most and at least this share of the rate.
_LEAST_LOSS, _MOST_LOSS = 0.98, 0.5
#: Seconds after which half of the count is dropped, because the rate was different then.
_MEMORY = 120.0
#: Seconds to pause after a 429 without Retry-After; doubled while nothing gets through.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: Lowest rate: with so much time between two requests, pauses are enough.
_LEAST = 1.0 / _LONGEST_PAUSE
#: Rate after a pause if no limit is known: one request checks whether the pause was long enough.
_UNKNOWN = 1.0
#: Shortest pause after a 429, whatever Retry-After says: it is in whole seconds, and 0 would be no pause.
_SHORTEST_PAUSE = 0.5


@dataclass(frozen=True)
class Limit:
    """A rate limit, as a 429 suggests it.

    :param requests: how many requests get through in one window.
    :param seconds: length of the window.
    :param measured: whether Retry-After gave the end of the window; if not, the window may be a third shorter.
    """

    requests: int
    seconds: float
    measured: bool = True

    @property
    def pace(self) -> float:
        """Requests per second just below the limit."""
        if not self.requests:
            return _UNKNOWN
        return max(_MARGIN * self.requests / self.seconds, _LEAST)

    @property
    def trial_pace(self) -> float:
        """Requests per second that refute the limit within its window, if it is not real.

        If it is real, the 429 comes a little less than a whole number of seconds before the end of the window, because
        Retry-After is rounded up.
        """
        whole = math.floor(_TRIAL * (self.seconds - 1.0))
        span = whole + _EARLY if whole > 0 else _BURST
        if not self.measured:
            span = _TRIAL_GUESSED * self.seconds if self.seconds >= _LONG else _BURST
        return max((self.requests + _REFUTED_MORE) / span, _LEAST)

    def is_refuted_by(self, accepted: int) -> bool:
        """Whether the limit would not have let so many requests through."""
        share = _REFUTED_LONG if self.seconds >= _LONG else _REFUTED
        return accepted > share * self.requests + _REFUTED_MORE

    def agrees_with(self, other: Limit) -> bool:
        """Whether both may be the same limit."""
        return abs(self.requests - other.requests) <= _AGREE * max(self.requests, other.requests)


@dataclass
class Evidence:
    """The evidence for a limit: successive 429s, each of which came before a trial had refuted the limit."""

    last: Limit | None = None
    trials: int = 0
    agreements: int = 0

    def add(self, limit: Limit) -> bool:
        """Take in another 429.

        :return: whether the limit is believed.
        """
        self.trials += 1
        if self.last is not None and limit.agrees_with(self.last):
            self.agreements += 1
            # More requests get through if a window ends in between.
            self.last = replace(limit, requests=min(limit.requests, self.last.requests))
        else:
            self.agreements, self.last = 0, limit
        return self.agreements >= (1 if limit.seconds >= _LONG else _AGREEMENTS) or self.trials > _MOST_TRIALS


@dataclass
class Throttle:
    """Decides when to send the next request. It has no clock: every method takes the time, in seconds.

    Requests are evenly spaced. The time lost to a pause is not made up for, because a burst would hit the limit again.

    :param rate: requests per second; ``None`` = no limit known.
    """

    rate: float | None = None
    _next: float = 0.0
    _paused_until: float = 0.0
    _paused_at: float = -1.0
    _since: float | None = None
    _accepted: int = 0
    _resumed: bool = True
    _silent_pauses: int = 0
    #: Length of the window before the last 429, until the pause is over; and whether it is measured, not guessed.
    _window: float | None = None
    _measured: bool = True
    #: The limit on trial, and the evidence for it.
    _on_trial: Limit | None = None
    _evidence: Evidence = field(default_factory=Evidence)
    #: The believed limit, the seconds after which it is tried again, and the rate before that trial.
    _believed: Limit | None = None
    _again_after: float = 0.0
    _pace_before: float | None = None
    #: The last rate that was too high, and the time of the last growth.
    _too_high: float | None = None
    _grown_at: float = 0.0

    def delay(self, now: float) -> float:
        """Reserve the next time to send.

        :return: seconds to wait before sending.
        """
        if self._since is None:
            self._since = now
        place = max(now, self._paused_until)
        if self.rate is not None:
            place = max(place, self._next)
            self._next = place + 1.0 / self.rate
        return place - now

    def paused(self, now: float) -> bool:
        """Whether Tallyfy asked for a pause that is not over."""
        return now < self._paused_until

    def accepted(self, now: float, sent_at: float) -> None:
        """Count a request that was not rate-limited, and let the rate grow with time.

        :param sent_at: when the request was sent.
        """
        if not self._resumed and sent_at > self._paused_at:  # the pause was long enough
            self._resume()
        self._accepted += 1
        if self.rate is None:
            return
        if not self._resumed:  # sent before the 429, answered after it
            if self._window is not None:
                self.rate = Limit(self._accepted, self._window).pace
        elif self._on_trial is not None:
            if self._on_trial.is_refuted_by(self._accepted):
                self._forget()
        elif self._believed is not None and now - self._paused_until > self._again_after:
            self._try_again(now, self._believed)
        else:
            self._grow(now)

    def rate_limited(self, now: float, sent_at: float, retry_after: float | None) -> float | None:
        """Slow down after a 429.

        Requests that were under way at the first 429 get one too; they belong to the same pause.

        :param sent_at: when the rate-limited request was sent.
        :param retry_after: seconds that Tallyfy asks to wait; ``None`` = it does not say.
        :return: seconds of the pause that begins; ``None`` if it has already begun.
        """
        if sent_at <= self._paused_at:
            if retry_after is not None:
                self._paused_until = max(self._paused_until, now + retry_after)
            return None
        if retry_after is None:
            pause = min(_FIRST_PAUSE * 2.0**self._silent_pauses, _LONGEST_PAUSE)
            self._silent_pauses = min(self._silent_pauses + 1, 16)
        else:
            pause = max(retry_after, _SHORTEST_PAUSE)
        if self._resumed and self._pace_before is not None:  # the trial confirmed the limit
            self.rate, self._pace_before, self._on_trial = self._pace_before, None, None
        elif self._resumed and self._believed is not None:
            self._slow_down(now, pause)
        elif self._resumed or (retry_after is None and self._window is not None):
            self._measure(sent_at, retry_after, pause)
        # Otherwise the pause was too short; the rate was not too high.
        self._resumed = False
        self._paused_at, self._paused_until = now, now + pause
        self._grown_at = self._next = self._paused_until
        return pause

    def _measure(self, sent_at: float, retry_after: float | None, pause: float) -> None:
        """Measure a limit: the requests that got through from the end of the last pause to the end of this one.

        Tallyfy allows that many, whichever way it counts.
        """
        self._on_trial, self._measured = None, retry_after is not None
        took = sent_at - (sent_at if self._since is None else self._since)
        if retry_after is None:
            self._window = took + pause / 2.0  # it ends at an unknown time during the pause
        elif float(retry_after).is_integer():
            # Windows are whole seconds, and Retry-After is rounded up to whole seconds: only one length fits both.
            self._window = max(math.floor(took + pause), 1.0)
        else:
            self._window = took + pause
        self.rate = Limit(self._accepted, self._window).pace

    def _resume(self) -> None:
        """Decide after a pause whether to believe the measured limit or to try it."""
        if self._window is not None:
            limit = Limit(self._accepted, self._window, self._measured)
            if not limit.requests:  # another client had used up the whole limit
                self._forget()
            elif self._evidence.add(limit):
                self._believed = limit = self._evidence.last or limit
                self.rate = limit.pace
                if not limit.measured:
                    self._too_high = self.rate * _GUESS
                self._again_after = max(self._again_after, _AGAIN, _AGAIN_WINDOWS * limit.seconds)
            else:
                self._on_trial, self.rate = limit, limit.trial_pace
        self._window = None
        self._resumed = True
        self._since, self._accepted, self._silent_pauses = self._paused_until, 0, 0

    def _try_again(self, now: float, limit: Limit) -> None:
        """Begin a trial of a limit that has been believed for some time."""
        assert self.rate is not None
        self._again_after *= _AGAIN_GROWTH
        self._pace_before = self.rate
        self._on_trial = replace(limit, requests=math.ceil(self.rate * limit.seconds))
        self.rate = self.rate * _AGAIN_PACE + _REFUTED_MORE / limit.seconds
        self._since, self._accepted = now, 0
        self._next = min(self._next, now)

    def _grow(self, now: float) -> None:
        """Let the rate grow with time."""
        assert self.rate is not None
        if self._since is not None and now - self._since > _MEMORY:
            self._since, self._accepted = (self._since + now) / 2.0, self._accepted // 2
        # Time without requests is no evidence that more would get through.
        step = min(max(0.0, now - self._grown_at), max(1.0, 2.0 / self.rate))
        self._grown_at = max(now, self._grown_at)
        growth = min(_SLOW * (1.0 + ((now - self._paused_until) / _QUIET) ** 2), _FAST)
        if self._too_high is not None and self.rate < _BELOW * self._too_high:
            growth = _FAST
        self.rate *= 1.0 + growth * step

    def _slow_down(self, now: float, pause: float) -> None:
        """Lower a rate that was a little too high to the rate that got through."""
        assert self.rate is not None
        span = now - (now if self._since is None else self._since)
        self._too_high = min(self.rate, self._accepted / max(span, 0.001))
        measured = max(self._accepted, 1) / max(span + max(pause - 1.0, 0.0), 0.001)
        self.rate = max(min(max(measured, _MOST_LOSS * self.rate), _LEAST_LOSS * self.rate), _LEAST)

    def _forget(self) -> None:
        """Drop the limit: it is refuted."""
        self._next = 0.0
        self.rate = self._too_high = self._window = self._on_trial = self._believed = self._pace_before = None
        self._evidence = Evidence()
