"""One pace for all workers of a task: no limit until Tallyfy names one, then just below it.

Tallyfy's limits are not published as numbers (its pages have named several), so they are learned: from how many
requests it took until a 429, and from how long it asks to wait then. One 429 proves no limit: it may have been about
somebody else's requests, or a mistake. So a limit passes through three states:

* *on trial*: requests go faster than it allows. If clearly more gets through, there is no limit; if the next 429 comes
  after as many requests as the last one, there is. A trial costs little, because what is sent early in a window is not
  sent late in it, and it is timed to lose nothing to waits in whole seconds.
* *believed*: requests go just below it. The pace creeps up, because the limit may have been shared with somebody who
  has left, and a 429 lowers it.
* *on trial again*: after a while without a 429, each time a longer one.

All workers slow down at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

#: Growth per second, as a share of the pace: well below the last known limit, and else. The latter grows with the
#: square of the time since the last pause: near a limit the pace should stay, but a limit that is long gone be left.
_FAST, _SLOW = 0.03, 0.0001
#: What "well below" means, as a share of the last known limit, and the seconds in which slow growth doubles.
_BELOW, _QUIET = 0.96, 40.0
#: The share of a measured limit to use, and how much too low it may be where the length of the window is a guess.
_MARGIN, _GUESS = 0.985, 1.3
#: How much of a window a trial takes, and the seconds that its 429 may come early without costing one. The slower, the
#: fewer requests are under way, and so rate-limited, when the limit turns out to be real.
_TRIAL, _EARLY = 0.9, 0.25
#: The former where the length of the window is a guess.
_TRIAL_UNTOLD = 0.5
#: Seconds of a trial where the window leaves no choice, because the shortest wait takes up most of it.
_BURST = 0.1
#: From how many seconds on a window is long. The longer it is, the less often do stray 429s look like it, and the more
#: does a trial cost. A trial of a short one begins anywhere in it, and where windows are spans of the clock, as much
#: again gets through after its end.
_LONG = 5.0
#: What must get through to refute a limit with a short and a long window, compared with what it allows, and how many
#: more.
_REFUTED, _REFUTED_LONG, _REFUTED_MORE = 2.0, 1.1, 2
#: Two 429s are about the same limit if the numbers that got through before them differ by that share at most. A limit
#: is believed after so many agreements in a row, and with a long window after one.
_AGREE, _AGREEMENTS = 0.1, 2
#: After so many trials it is believed whether they agree or not: it may be shared with others.
_MOST_TRIALS = 6
#: Seconds and windows without a 429 after which a believed limit is tried again, and how much longer each time.
_AGAIN, _AGAIN_WINDOWS, _AGAIN_GROWTH = 6.0, 6.0, 4.0
#: How much faster than a believed limit requests are sent to try it again.
_AGAIN_PACE = 1.5
#: What a later 429 leaves of the pace, at most and at least.
_LEAST_LOSS, _MOST_LOSS = 0.98, 0.5
#: Seconds after which half of what was counted is forgotten: the pace was another then.
_MEMORY = 120.0
#: Seconds to pause after a 429 that does not say how long; doubled while nothing gets through.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: Slowest pace: with that much time between two requests, the pauses can do the rest.
_LEAST = 1.0 / _LONGEST_PAUSE
#: Pace after a pause where nothing is known: one request looks whether the pause was long enough.
_UNKNOWN = 1.0
#: Shortest pause after a 429, whatever it says: waits are told in whole seconds, and 0 would be no pause.
_SHORTEST_PAUSE = 0.5


@dataclass(frozen=True)
class Limit:
    """What a 429 suggests.

    :param requests: how many get through.
    :param seconds: in how long.
    :param told: whether the end of the window was told, by Retry-After. Else it may be a third shorter.
    """

    requests: int
    seconds: float
    told: bool = True

    @property
    def pace(self) -> float:
        """Requests per second just below it."""
        if not self.requests:
            return _UNKNOWN
        return max(_MARGIN * self.requests / self.seconds, _LEAST)

    @property
    def trial_pace(self) -> float:
        """Requests per second that refute it within its window.

        If it is real, the 429 comes a little less than a whole number of seconds before the window ends, because waits
        are rounded up.
        """
        whole = math.floor(_TRIAL * (self.seconds - 1.0))
        span = whole + _EARLY if whole > 0 else _BURST
        if not self.told:
            span = _TRIAL_UNTOLD * self.seconds if self.seconds >= _LONG else _BURST
        return max((self.requests + _REFUTED_MORE) / span, _LEAST)

    def is_refuted_by(self, accepted: int) -> bool:
        """Whether so many would not have got through."""
        share = _REFUTED_LONG if self.seconds >= _LONG else _REFUTED
        return accepted > share * self.requests + _REFUTED_MORE

    def agrees_with(self, other: Limit) -> bool:
        """Whether both may be the same."""
        return abs(self.requests - other.requests) <= _AGREE * max(self.requests, other.requests)


@dataclass
class Evidence:
    """What speaks for a limit: 429s in a row, each before the trial of the last one refuted it."""

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
            # More gets through where a window of the clock ends in between.
            self.last = replace(limit, requests=min(limit.requests, self.last.requests))
        else:
            self.agreements, self.last = 0, limit
        return self.agreements >= (1 if limit.seconds >= _LONG else _AGREEMENTS) or self.trials > _MOST_TRIALS


@dataclass
class Throttle:
    """When the next request may go. Knows no clock: every method is told the time, in seconds.

    Requests are evenly spaced, and time that a pause cost is not made up for: a burst would meet the same limit again.

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
    #: Of the limit that the last 429 measured, until the pause is over: the length of its window, and whether that is
    #: told.
    _window: float | None = None
    _told: bool = True
    #: The limit that is on trial, and what speaks for one.
    _on_trial: Limit | None = None
    _evidence: Evidence = field(default_factory=Evidence)
    #: The limit that is believed, after how many seconds it is tried again, and the pace before that.
    _believed: Limit | None = None
    _again_after: float = 0.0
    _pace_before: float | None = None
    #: The last pace that was too high, and when the pace has grown.
    _too_high: float | None = None
    _grown_at: float = 0.0

    def delay(self, now: float) -> float:
        """Take the next place in the queue.

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
        """Count a request that was not rate-limited, and let the pace grow with time.

        :param sent_at: when it was sent.
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

        Requests that were under way when the first 429 came are rate-limited too; they belong to the same pause.

        :param sent_at: when the rate-limited request was sent.
        :param retry_after: seconds that Tallyfy asks to wait, ``None`` where it does not say.
        :return: seconds of the pause that begins, ``None`` if it has begun before.
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
        if self._resumed and self._pace_before is not None:  # the limit is as it was
            self.rate, self._pace_before, self._on_trial = self._pace_before, None, None
        elif self._resumed and self._believed is not None:
            self._slow_down(now, pause)
        elif self._resumed or (retry_after is None and self._window is not None):
            self._measure(sent_at, retry_after, pause)
        # Else the pause was too short, not the pace too high.
        self._resumed = False
        self._paused_at, self._paused_until = now, now + pause
        self._grown_at = self._next = self._paused_until
        return pause

    def _measure(self, sent_at: float, retry_after: float | None, pause: float) -> None:
        """Take what got through from the end of the last pause to the end of this one for the limit.

        However Tallyfy counts, that is what it allows.
        """
        self._on_trial, self._told = None, retry_after is not None
        took = sent_at - (sent_at if self._since is None else self._since)
        if retry_after is None:
            self._window = took + pause / 2.0  # it ends during the pause, no telling when
        elif float(retry_after).is_integer():
            # Windows are whole seconds, and so are waits, rounded up: both together leave one possible length.
            self._window = max(math.floor(took + pause), 1.0)
        else:
            self._window = took + pause
        self.rate = Limit(self._accepted, self._window).pace

    def _resume(self) -> None:
        """Decide, when a pause is over, whether the limit just measured is believed or tried."""
        if self._window is not None:
            limit = Limit(self._accepted, self._window, self._told)
            if not limit.requests:  # somebody else had used up all there was
                self._forget()
            elif self._evidence.add(limit):
                self._believed = limit = self._evidence.last or limit
                self.rate = limit.pace
                if not limit.told:
                    self._too_high = self.rate * _GUESS
                self._again_after = max(self._again_after, _AGAIN, _AGAIN_WINDOWS * limit.seconds)
            else:
                self._on_trial, self.rate = limit, limit.trial_pace
        self._window = None
        self._resumed = True
        self._since, self._accepted, self._silent_pauses = self._paused_until, 0, 0

    def _try_again(self, now: float, limit: Limit) -> None:
        """See whether a limit that has been believed for a while is one."""
        assert self.rate is not None
        self._again_after *= _AGAIN_GROWTH
        self._pace_before = self.rate
        self._on_trial = replace(limit, requests=math.ceil(self.rate * limit.seconds))
        self.rate = self.rate * _AGAIN_PACE + _REFUTED_MORE / limit.seconds
        self._since, self._accepted = now, 0
        self._next = min(self._next, now)

    def _grow(self, now: float) -> None:
        """Let the pace grow with time."""
        assert self.rate is not None
        if self._since is not None and now - self._since > _MEMORY:
            self._since, self._accepted = (self._since + now) / 2.0, self._accepted // 2
        # Time in which nobody had anything to send is no proof that more would pass.
        step = min(max(0.0, now - self._grown_at), max(1.0, 2.0 / self.rate))
        self._grown_at = max(now, self._grown_at)
        growth = min(_SLOW * (1.0 + ((now - self._paused_until) / _QUIET) ** 2), _FAST)
        if self._too_high is not None and self.rate < _BELOW * self._too_high:
            growth = _FAST
        self.rate *= 1.0 + growth * step

    def _slow_down(self, now: float, pause: float) -> None:
        """Lower the pace that was somewhat too high, to what got through."""
        assert self.rate is not None
        span = now - (now if self._since is None else self._since)
        self._too_high = min(self.rate, self._accepted / max(span, 0.001))
        measured = max(self._accepted, 1) / max(span + max(pause - 1.0, 0.0), 0.001)
        self.rate = max(min(max(measured, _MOST_LOSS * self.rate), _LEAST_LOSS * self.rate), _LEAST)

    def _forget(self) -> None:
        """There is no such limit."""
        self._next = 0.0
        self.rate = self._too_high = self._window = self._on_trial = self._believed = self._pace_before = None
        self._evidence = Evidence()
