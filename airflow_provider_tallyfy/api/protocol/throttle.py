"""One pace for all workers of a task: no limit until Tallyfy names one, then just below it.

Tallyfy's limits are not published as numbers (its pages have named several), so they are learned: from how many
requests it took until a 429, and from how long it asks to wait then. One 429 proves no limit: it may have been about
somebody else's requests, or a mistake. So what it says is tried first, at a pace somewhat above. If clearly more gets
through than the limit would allow, there is none; if another 429 comes after as many requests as before, there is one.
Trying loses nothing, for what is sent early in a window is not sent late in it.

All workers slow down at once, and the pace creeps back up, because the limit may have been shared with somebody who has
left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Growth per second, as a share of the pace: well below the last known limit, and else. The latter grows with the
#: square of the time since the last pause: near a limit the pace should stay, but a limit that is long gone be left.
_FAST, _SLOW = 0.03, 0.0001
#: What "well below" means, as a share of the last known limit, and the seconds in which slow growth doubles.
_BELOW, _QUIET = 0.96, 40.0
#: The share of the first measured limit to begin with.
_MARGIN = 0.985
#: With fewer requests than this let through before a 429, chance may have set their number: the growth per second
#: until more is known.
_FEW, _SEARCHING = 20, 0.2
#: How much faster than the assumed limit requests are sent to try it, and the same where few got through before: the
#: slower, the fewer requests are under way, and so rate-limited, when the limit turns out to be real.
_TRYING, _TRYING_FEW = 1.5, 3.0
#: What must get through to prove that a limit is none, compared with what it would allow: a share, and a number.
_REFUTED_SHARE, _REFUTED_MORE = 1.1, 2
#: Two measurements of a limit agree if one is at most so many times the other, and a limit is believed after so many
#: agreements in a row, or so many where few got through.
_AGREE, _BELIEVED, _BELIEVED_FEW = 1.25, 1, 2
#: After so many measurements it is believed whether they agree or not: with Retry-After, and without it.
_MOST_TRIES, _MOST_TRIES_UNTOLD = 6, 2
#: With fewer requests than this let through, measurements may agree by chance.
_CHANCE = 1000
#: Seconds without a 429 after which a limit that is believed is tried again, and how much longer each time.
_AGAIN, _AGAIN_GROWTH = 15.0, 3.0
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
    _limit: float | None = None
    _since: float | None = None
    _accepted: int = 0
    _resumed: bool = True
    _grown_at: float = 0.0
    _silent_pauses: int = 0
    _window: float | None = None
    _searching: bool = False
    #: What a limit that is being tried would let through in one window; ``None`` = none is being tried.
    _trying: int | None = None
    _tries: int = 0
    _agreements: int = 0
    _last_measured: float | None = None
    #: Seconds of the window of the limit that is believed, when it is tried again, and the pace until then.
    _believed_window: float | None = None
    _told: bool = False
    _again_after: float = _AGAIN
    _pace_before: float | None = None

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
            self._resumed = True
            if self._window is not None:
                self._try_or_believe(self._window)
            self._since, self._accepted, self._silent_pauses = self._paused_until, 0, 0
        self._accepted += 1
        if self.rate is None:
            return
        if self._resumed and self._trying is not None:
            if self._accepted > _REFUTED_SHARE * self._trying + _REFUTED_MORE:
                self._forget()
            return
        if self._believed_window is not None and now - self._paused_until > self._again_after:
            self._try_again(now, self._believed_window)
            return
        if self._since is not None and now - self._since > _MEMORY:
            self._since, self._accepted = (self._since + now) / 2.0, self._accepted // 2
        if not self._resumed and self._window is not None:  # sent before the first 429, answered after it
            self.rate = self._measured()
        # Time in which nobody had anything to send is no proof that more would pass.
        step = min(max(0.0, now - self._grown_at), max(1.0, 2.0 / self.rate))
        self._grown_at = max(now, self._grown_at)
        growth = min(_SLOW * (1.0 + ((now - self._paused_until) / _QUIET) ** 2), _FAST)
        if self._searching:
            growth = _SEARCHING
        elif self._limit is not None and self.rate < _BELOW * self._limit:
            growth = _FAST
        self.rate *= 1.0 + growth * step

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
        since = now if self._since is None else self._since
        # What got through from the end of the last pause to the end of this one: the limit, however Tallyfy counts.
        if not self._resumed and retry_after is not None:
            self._searching = self._searching or self._accepted < _FEW  # the pause was too short, not the pace too high
        elif self._pace_before is not None:  # the limit is as it was
            self.rate, self._pace_before, self._trying = self._pace_before, None, None
            if self._told or self._tries >= _MOST_TRIES_UNTOLD:
                self._window = None
        elif self.rate is None or not self._resumed or self._trying is not None:
            self._trying = None
            self._told = retry_after is not None
            self._searching = self._accepted < _FEW
            if retry_after is None:
                self._window = sent_at - since + pause / 2.0  # it ends during the pause, no telling when
            elif float(retry_after).is_integer():
                # Windows are whole seconds, and so are waits, rounded up: both together leave one possible length.
                self._window = max(math.floor(sent_at - since + pause), 1.0)
            else:
                self._window = sent_at - since + pause
            self.rate = self._measured()
        else:
            self._window = None
            self._searching = False
            self._limit = min(self.rate, self._accepted / max(now - since, 0.001))
            measured = max(self._accepted, 1) / max(now - since + max(pause - 1.0, 0.0), 0.001)
            self.rate = max(min(max(measured, _MOST_LOSS * self.rate), _LEAST_LOSS * self.rate), _LEAST)
        self._resumed = False
        self._paused_at, self._paused_until = now, now + pause
        self._grown_at = self._next = self._paused_until
        return pause

    def _measured(self) -> float:
        """The pace that the first limit allows, as far as it is known."""
        if not self._accepted:
            return _UNKNOWN
        return max(_MARGIN * self._accepted / self._window, _LEAST) if self._window else _LEAST

    def _try_or_believe(self, window: float) -> None:
        """Decide, when a pause is over, whether the limit just measured is believed or tried."""
        if not self._accepted:  # somebody else had used up all there was
            self._forget()
            return
        measured = self._accepted / window
        last, self._last_measured = self._last_measured, measured
        agrees = last is not None and max(measured, last) <= _AGREE * min(measured, last)
        self._agreements = self._agreements + 1 if agrees else 0
        self._tries += 1
        few = self._accepted < _FEW
        enough = _BELIEVED_FEW if self._accepted < _CHANCE else _BELIEVED
        most = _MOST_TRIES if self._told else _MOST_TRIES_UNTOLD
        if self._agreements >= enough or self._tries > most:
            if self._told:
                self._believed_window, self._searching = window, False
            return
        self._trying = self._accepted
        if not self._told and not few:
            # Measuring again would be no better: without Retry-After, pauses make the window look longer than it is.
            self._pace_before = self.rate
        # Fast enough that what refutes the limit gets through within one window.
        self.rate = max((_TRYING_FEW if few else _TRYING) * (self._accepted + _REFUTED_MORE) / window, _LEAST)

    def _try_again(self, now: float, window: float) -> None:
        """See whether a limit that has been believed for a while is one."""
        assert self.rate is not None
        self._again_after *= _AGAIN_GROWTH
        self._pace_before = self.rate
        self._trying = math.ceil(self.rate * window)
        self.rate = self.rate * _TRYING + _REFUTED_MORE / window
        self._since, self._accepted = now, 0
        self._next = min(self._next, now)

    def _forget(self) -> None:
        """There is no such limit."""
        self._next = 0.0
        self.rate = self._limit = self._window = self._trying = self._last_measured = None
        self._believed_window = self._pace_before = None
        self._again_after = _AGAIN
        self._tries = self._agreements = 0
        self._searching = False
