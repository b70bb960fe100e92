"""When a request is repeated, and after how long. A policy is data and arithmetic; who sleeps is the transport."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from airflow_provider_tallyfy.api.protocol.messages import (
    Exchange,
    Lost,
    Reply,
    Request,
    Response,
    may_have_happened,
    why_unreadable,
)

#: Answers of servers and proxies that say "not now". 501 and 505 say "never".
_PASSING = frozenset({408, 500, 502, 503, 504, *range(520, 531)})


@dataclass(frozen=True)
class Send:
    """Ask the transport to send the request once and come back with an ``Response`` or ``Lost``."""

    request: Request


@dataclass(frozen=True)
class Wait:
    """Ask the transport to wait.

    :param seconds: how long.
    :param reason: why, for the log.
    :param rate_limited: whether it is Tallyfy that asks for it (429), which concerns every request to come.
    """

    seconds: float
    reason: str
    rate_limited: bool = False


Step = Send | Wait


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a request is repeated.

    * 429: every method, for Tallyfy refused to look at it. ``Retry-After`` (seconds or date) is obeyed up to
      ``longest_wait``; a longer one ends the attempts, and the caller learns what the server asked for.
    * 5xx, 408 and transport faults: GET, PUT and DELETE. A POST only if none of its bytes left, for Tallyfy
      has no idempotency key.
    * a success that is no answer to the request: GET. A PUT or DELETE only after a read has shown that it was not
      carried out (``Request.after``).

    :param max_retries: repetitions after the first attempt; 0 = none.
    :param first_wait: seconds before the first repetition where the server says nothing; doubled each time.
    :param longest_wait: seconds that one wait may take.
    :param longest_in_all: seconds that all waits of one request may take together.
    :param max_rate_limited: repetitions after a 429, where they are to be another number: among many workers one
        request can be refused several times in a row through no fault of its own. ``None`` = ``max_retries``.
    :param jitter: source of a number in [0, 1); a wait is up to a quarter shorter, so that many tasks don't
        come back at the same moment.
    """

    max_retries: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_in_all: float = 180.0
    max_rate_limited: int | None = None
    jitter: Callable[[], float] = random.random

    def next_wait(
        self, request: Request, reply: Reply, attempt: int, waited: float, *, not_done: bool = False
    ) -> Wait | None:
        """Decide after attempt number ``attempt`` (from 1); ``None`` = this reply is final.

        :param waited: seconds waited for this request so far.
        :param not_done: whether a read has shown that the attempt was not carried out.
        """
        reason = _passing_fault(request, reply, not_done)
        rate_limited = isinstance(reply, Response) and reply.status == 429
        most = self.max_rate_limited if rate_limited and self.max_rate_limited is not None else self.max_retries
        if reason is None or attempt > most:
            return None
        asked = retry_after(reply) if isinstance(reply, Response) else None
        if asked is None:
            backoff = min(self.first_wait * 2.0 ** min(attempt - 1, 32), self.longest_wait)
            seconds = backoff * (1 - 0.25 * self.jitter())
        else:
            seconds = asked
        if seconds > self.longest_wait or waited + seconds > self.longest_in_all:
            return None
        story = f"{request.label}: {reason}; trying again in {seconds:.1f} s ({attempt} of {most})"
        return Wait(seconds, story, rate_limited)


def exchange(request: Request, policy: RetryPolicy) -> Generator[Step, Reply | None, Exchange]:
    """Send a request as often as the policy says. Yields steps; is sent the reply to each ``Send``.

    For a request that repeats an exchange (``request.after``), the attempts of that one count as well; where the policy
    allows no more, that exchange is returned and nothing is sent.
    """
    doubt: Reply | None = None
    waited, attempt = 0.0, 0
    if request.after is not None:
        attempt = request.after.attempts
        wait = policy.next_wait(request, request.after.reply, attempt, waited, not_done=True)
        if wait is None:
            return request.after
        waited += wait.seconds
        yield wait
    while True:
        attempt += 1
        reply = yield Send(request)
        assert reply is not None
        wait = policy.next_wait(request, reply, attempt, waited)
        if wait is None:
            return Exchange(request, reply, attempts=attempt, doubt=doubt)
        if may_have_happened(request, reply):
            doubt = reply
        waited += wait.seconds
        yield wait


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
