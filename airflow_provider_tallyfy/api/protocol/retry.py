"""When a request is repeated, and after how long. Policy and steps only; the engines of ``client`` send and sleep."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar

from airflow_provider_tallyfy.api.protocol.messages import (
    Exchange,
    Flow,
    Lost,
    Reply,
    Request,
    Response,
    may_have_happened,
    why_unreadable,
)

T = TypeVar("T")

#: Answers of servers and proxies that say "not now". 501 and 505 say "never".
_PASSING = frozenset({408, 500, 502, 503, 504, *range(520, 531)})
#: How much longer the range of return times gets with each 429 in a row.
_SPREAD_GROWTH = 1.3


@dataclass(frozen=True)
class Send:
    """Ask the engine to send the request once and come back with a ``Response`` or ``Lost``."""

    request: Request


@dataclass(frozen=True)
class Wait:
    """Ask the engine to wait.

    :param seconds: how long.
    :param reason: why, for the log.
    :param rate_limited: whether Tallyfy asks for it (429), which concerns every request to come.
    """

    seconds: float
    reason: str
    rate_limited: bool = False


Step = Send | Wait


@dataclass(frozen=True)
class Waited:
    """What one request has gone through so far.

    :param faults: waits after passing faults.
    :param fault_seconds: seconds of these waits together.
    :param rate_limited: waits after a 429.
    :param rate_limited_seconds: seconds of these waits together.
    """

    faults: int = 0
    fault_seconds: float = 0.0
    rate_limited: int = 0
    rate_limited_seconds: float = 0.0

    def after(self, wait: Wait) -> Waited:
        """The same with one more wait."""
        if wait.rate_limited:
            seconds = self.rate_limited_seconds + wait.seconds
            return replace(self, rate_limited=self.rate_limited + 1, rate_limited_seconds=seconds)
        return replace(self, faults=self.faults + 1, fault_seconds=self.fault_seconds + wait.seconds)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a request is repeated.

    * 429: every method, because Tallyfy refused to look at the request. Among many workers one request can be refused
      many times through no fault of its own, so this has a patience of its own. ``Retry-After`` (seconds or date) is
      the shortest wait; a random time comes on top, from a range that grows with each 429, so that all who wait do
      not return at the same moment. Without ``Retry-After``: a random time up to a backoff that doubles each time.
      A ``Retry-After`` above ``longest_wait`` (Tallyfy has hourly caps) ends the attempts at once, and the caller
      learns what the server asked for.
    * 5xx, 408 and transport faults: GET, PUT and DELETE. A POST only if none of its bytes left, because Tallyfy has
      no idempotency key.
    * a success that is no answer to the request: GET. A PUT or DELETE only after a read has shown that it was not
      carried out (``Request.after``).

    :param max_retries: repetitions after passing faults; 0 = repeat nothing, not even after a 429.
    :param first_wait: seconds before the first repetition where the server says nothing; doubled each time.
    :param longest_backoff: seconds that this doubling ends at.
    :param longest_wait: seconds that the server may ask for.
    :param longest_in_all: seconds that all waits after passing faults may take together.
    :param max_rate_limited: repetitions after a 429; ``None`` = 100, or none if ``max_retries`` is 0.
    :param longest_rate_limited: seconds that all waits after a 429 may take together.
    :param first_spread: seconds of the range that the first random time on top of ``Retry-After`` is from.
    :param longest_spread: seconds that this range grows to.
    :param jitter: source of a number in [0, 1).
    """

    max_retries: int = 3
    first_wait: float = 1.0
    longest_backoff: float = 20.0
    longest_wait: float = 120.0
    longest_in_all: float = 180.0
    max_rate_limited: int | None = None
    longest_rate_limited: float = 1800.0
    first_spread: float = 1.0
    longest_spread: float = 30.0
    jitter: Callable[[], float] = random.random

    @property
    def patience(self) -> int:
        """Repetitions after a 429."""
        if self.max_rate_limited is not None:
            return self.max_rate_limited
        return 100 if self.max_retries else 0

    def next_wait(self, request: Request, reply: Reply, waited: Waited, *, not_done: bool = False) -> Wait | None:
        """Decide what to do after a reply; ``None`` = this reply is final.

        :param waited: the waits for this request so far.
        :param not_done: whether a read has shown that it was not carried out.
        """
        reason = _passing_fault(request, reply, not_done)
        if reason is None:
            return None
        asked = retry_after(reply) if isinstance(reply, Response) else None
        rate_limited = isinstance(reply, Response) and reply.status == 429
        if rate_limited:
            number, most = waited.rate_limited + 1, self.patience
            left = self.longest_rate_limited - waited.rate_limited_seconds
        else:
            number, most, left = waited.faults + 1, self.max_retries, self.longest_in_all - waited.fault_seconds
        seconds = self._backoff(number, rate_limited) if asked is None else asked + self._spread(number)
        if number > most or seconds > left or (asked is not None and asked > self.longest_wait):
            return None
        if asked is not None:
            reason += f" and asks to wait {asked:.0f} s"
        story = f"{request.label}: {reason}; trying again in {seconds:.1f} s ({number} of {most})"
        return Wait(seconds, story, rate_limited)

    def _spread(self, number: int) -> float:
        """A random time on top of what the server asks for."""
        return self.jitter() * min(self.first_spread * _SPREAD_GROWTH ** min(number - 1, 99), self.longest_spread)

    def _backoff(self, number: int, rate_limited: bool) -> float:
        """A wait where the server names none: after a 429, which many get at once, anything up to the backoff."""
        share = 1.0 if rate_limited else 0.25
        return min(self.first_wait * 2.0 ** min(number - 1, 32), self.longest_backoff) * (1.0 - share * self.jitter())


def exchange(request: Request, policy: RetryPolicy) -> Generator[Step, Reply | None, Exchange]:
    """Send a request as often as the policy says. Yields steps; is sent the reply to each ``Send``.

    For a request that repeats an exchange (``request.after``), the attempts of that one count as well; where the policy
    allows no more, that exchange is returned and nothing is sent.
    """
    doubt: Reply | None = None
    waited, attempts = Waited(), 0
    if request.pause is not None:
        yield Wait(request.pause.seconds, request.pause.reason)
    if request.after is not None:
        attempts = request.after.attempts
        waited = Waited(faults=attempts - 1)
        wait = policy.next_wait(request, request.after.reply, waited, not_done=True)
        if wait is None:
            return request.after
        waited = waited.after(wait)
        yield wait
    while True:
        attempts += 1
        reply = yield Send(request)
        assert reply is not None
        wait = policy.next_wait(request, reply, waited)
        if wait is None:
            return Exchange(request, reply, attempts=attempts, doubt=doubt)
        if may_have_happened(request, reply):
            doubt = reply
        waited = waited.after(wait)
        yield wait


def drive(flow: Flow[T], policy: RetryPolicy) -> Generator[Step, Reply | None, T]:
    """Run a flow, each of its requests repeated as the policy says; what every engine does, apart from the I/O.

    Yields steps; is sent the reply to each ``Send``, and nothing after a ``Wait``. Ends in what the flow ends in, or
    raises what it raises. The flow is closed however this ends: an engine that is interrupted closes this generator.

    :raises Rejected: Tallyfy or a rule refused what the flow asked for.
    :raises ArgumentError: the flow was given something that must not be sent.
    """
    try:
        request = next(flow)
        while True:
            request = flow.send((yield from exchange(request, policy)))
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()


def retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait: from a number, or from a date against the server's own clock.

    ``None`` where it says nothing or nothing readable; a date in the past is 0.
    """
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text, re.ASCII):
        return float(text)
    then = _epoch(text)
    if then is None:
        return None
    now = _epoch(response.headers.get("date", ""))
    return max(0.0, then - (response.received_at if now is None else now))


def _epoch(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # HTTP dates are UTC, also in the old form that does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _passing_fault(request: Request, reply: Reply, not_done: bool) -> str | None:
    """Name the fault if it may pass and the request may be repeated after it."""
    if isinstance(reply, Lost):
        passing = reply.kind != "tls" and (request.repeatable or not reply.sent)  # a wrong certificate stays wrong
        return f"no answer ({reply.detail})" if passing else None
    if reply.status == 429:
        return "Tallyfy answered 429 (too many requests)"
    if not request.repeatable:
        return None
    if reply.status in _PASSING:
        return f"Tallyfy answered {reply.status}"
    # A write that was answered by something else is looked after first: only where it was not done, it is repeated.
    if request.reads or not_done:
        why = why_unreadable(request, reply)
        return f"Tallyfy {why}" if why else None
    return None
