"""When to repeat a request, and how long to wait before. The engines in ``client`` send and sleep."""

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

#: Statuses after which a retry may succeed. After 501 and 505 it can't.
_TRANSIENT = frozenset({408, 500, 502, 503, 504, *range(520, 531)})
#: Growth of the range of random waits with each 429 in a row.
_SPREAD_GROWTH = 1.3


@dataclass(frozen=True)
class Send:
    """Ask the engine to send the request once and to return a ``Response`` or ``Lost``."""

    request: Request


@dataclass(frozen=True)
class Wait:
    """Ask the engine to wait.

    :param seconds: how long.
    :param reason: why, for the log.
    :param rate_limited: whether it follows a 429, which applies to all further requests.
    """

    seconds: float
    reason: str
    rate_limited: bool = False


Step = Send | Wait


@dataclass(frozen=True)
class Waited:
    """The waits for one request so far.

    :param faults: number of waits after transient faults.
    :param fault_seconds: their total length.
    :param rate_limited: number of waits after a 429.
    :param rate_limited_seconds: their total length.
    """

    faults: int = 0
    fault_seconds: float = 0.0
    rate_limited: int = 0
    rate_limited_seconds: float = 0.0

    def after(self, wait: Wait) -> Waited:
        """Return a copy with one more wait."""
        if wait.rate_limited:
            seconds = self.rate_limited_seconds + wait.seconds
            return replace(self, rate_limited=self.rate_limited + 1, rate_limited_seconds=seconds)
        return replace(self, faults=self.faults + 1, fault_seconds=self.fault_seconds + wait.seconds)


@dataclass(frozen=True)
class RetryPolicy:
    """Which requests are repeated, how often, and after which waits.

    * After a 429: every request, because Tallyfy did not process it. One of many workers may get many 429s in a row, so
      these retries have limits of their own. The wait is ``Retry-After`` (seconds or date) plus a random time, so that
      waiting clients do not all return at once; the range of that random time grows with each 429. Without
      ``Retry-After``, the wait is a random time up to a backoff that doubles each time. If ``Retry-After`` is above
      ``longest_wait`` (Tallyfy has hourly limits), the request is not repeated, and the error names the wait.
    * After a 5xx, a 408 or a transport fault: GET, PUT and DELETE. A POST only if none of its bytes were sent, because
      Tallyfy has no idempotency keys.
    * After a 2xx that is not an answer to the request: GET. A PUT or DELETE only after a read has shown that it was not
      carried out (``Request.after``).

    :param max_retries: retries after transient faults; 0 = no retries at all, not even after a 429.
    :param first_wait: seconds before the first retry if the server names no wait; doubled each time.
    :param longest_backoff: most seconds that this doubling leads to.
    :param longest_wait: most seconds that the server may ask for.
    :param longest_in_all: most seconds for all waits after transient faults.
    :param max_rate_limited: retries after a 429; ``None`` = 100, or none if ``max_retries`` is 0.
    :param longest_rate_limited: most seconds for all waits after a 429.
    :param first_spread: the random time that is first added to ``Retry-After`` is below this many seconds.
    :param longest_spread: most seconds that this range grows to.
    :param jitter: returns a random number in [0, 1).
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
    def rate_limited_retries(self) -> int:
        """Retries after a 429."""
        if self.max_rate_limited is not None:
            return self.max_rate_limited
        return 100 if self.max_retries else 0

    def next_wait(self, request: Request, reply: Reply, waited: Waited, *, not_done: bool = False) -> Wait | None:
        """Return the wait before the next attempt; ``None`` = this reply is final.

        :param waited: the waits for this request so far.
        :param not_done: whether a read has shown that the request was not carried out.
        """
        reason = _transient_fault(request, reply, not_done)
        if reason is None:
            return None
        asked = retry_after(reply) if isinstance(reply, Response) else None
        rate_limited = isinstance(reply, Response) and reply.status == 429
        if rate_limited:
            number, most = waited.rate_limited + 1, self.rate_limited_retries
            left = self.longest_rate_limited - waited.rate_limited_seconds
        else:
            number, most, left = waited.faults + 1, self.max_retries, self.longest_in_all - waited.fault_seconds
        seconds = self._backoff(number, rate_limited) if asked is None else asked + self._spread(number)
        if number > most or seconds > left or (asked is not None and asked > self.longest_wait):
            return None
        if asked is not None:
            reason += f" and asks to wait {asked:.0f} s"
        message = f"{request.label}: {reason}; retrying in {seconds:.1f} s (retry {number} of {most})"
        return Wait(seconds, message, rate_limited)

    def _spread(self, number: int) -> float:
        """Return a random time to add to the wait that the server asks for."""
        return self.jitter() * min(self.first_spread * _SPREAD_GROWTH ** min(number - 1, 99), self.longest_spread)

    def _backoff(self, number: int, rate_limited: bool) -> float:
        """Return a wait if the server names none. After a 429, which many clients get at once, it is fully random."""
        share = 1.0 if rate_limited else 0.25
        return min(self.first_wait * 2.0 ** min(number - 1, 32), self.longest_backoff) * (1.0 - share * self.jitter())


def exchange(request: Request, policy: RetryPolicy) -> Generator[Step, Reply | None, Exchange]:
    """Send a request as often as the policy says. Yields steps; receives the reply to each ``Send``.

    If the request repeats an exchange (``request.after``), the attempts of that exchange count as well. If the policy
    allows no more attempts, that exchange is returned and nothing is sent.
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
    """Run a flow and repeat its requests as the policy says. This is all that an engine does, apart from the I/O.

    Yields steps; receives the reply to each ``Send``, and nothing after a ``Wait``. Returns what the flow returns, and
    always closes the flow: an engine that is interrupted closes this generator.

    :raises Rejected: if a request of the flow failed, or the flow found a problem.
    :raises ArgumentError: for an argument that must not be sent.
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
    """Return the seconds that the server asks to wait, as a number or as a date, which is compared with its own clock.

    ``None`` = there is no valid ``Retry-After``; a date in the past is 0.
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
        # HTTP dates are UTC, even in the old format without a zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _transient_fault(request: Request, reply: Reply, not_done: bool) -> str | None:
    """Name the fault if it is transient and the request may be repeated."""
    if isinstance(reply, Lost):
        transient = reply.kind != "tls" and (request.repeatable or not reply.sent)  # a retry fixes no certificate
        return f"no answer ({reply.detail})" if transient else None
    if reply.status == 429:
        return "Tallyfy answered 429 (too many requests)"
    if not request.repeatable:
        return None
    if reply.status in _TRANSIENT:
        return f"Tallyfy answered {reply.status}"
    # If a write gets a 2xx that is no answer to it, a read must first show that it was not carried out.
    if request.reads or not_done:
        why = why_unreadable(request, reply)
        return f"Tallyfy {why}" if why else None
    return None
