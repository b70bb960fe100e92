"""Which requests are retried, after which waits, and that retries always end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Send, Step, Wait, Waited, exchange, retry_after

NOW = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone.utc)
METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH")
ANY, STATE, READ, NONE = (
    frozenset(METHODS),
    frozenset({"GET", "HEAD", "PUT", "DELETE"}),
    frozenset({"GET", "HEAD"}),
    frozenset(""),
)


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def answer(status: int, body: bytes = b"{}", **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW.timestamp())


#: What came back, and the methods whose request is sent again because of it.
_POLICY: list[tuple[Reply, frozenset[str]]] = [
    *((answer(status), NONE) for status in (200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 409, 410, 422, 451)),
    (answer(429), ANY),
    *((answer(status), STATE) for status in (408, 500, 502, 503, 504, 520, 522, 524, 530)),
    *((answer(status), NONE) for status in (501, 505, 511)),
    *((Lost(kind, "x", sent=False), ANY) for kind in ("dns", "refused", "proxy", "connect-timeout", "cut")),
    *((Lost(kind, "x", sent=True), STATE) for kind in ("timeout", "cut")),
    (Lost("tls", "x", sent=False), NONE),  # a retry fixes no certificate
    (answer(200, b"<html>"), READ),
    (answer(200, b'{"data":'), READ),
    (answer(200, b""), NONE),
    (answer(404, b"<html>"), NONE),
]


def _name(value: object) -> str:
    """Return a test id that is the same in each process, because sets have no order."""
    return " ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)


@pytest.mark.parametrize(("reply", "methods"), _POLICY, ids=_name)
def test_retried_methods(reply: Reply, methods: frozenset[str]) -> None:
    policy = RetryPolicy(jitter=lambda: 0.0)
    assert {m for m in METHODS if policy.next_wait(Request(m, ("x",)), reply, Waited()) is not None} == methods


_RETRY_AFTER: list[tuple[str | None, float | None]] = [
    (None, None),
    ("", None),
    ("0", 0),
    ("7", 7),
    (" 7 ", 7),
    ("1.5", 1.5),
    ("3600", 3600),
    ("9" * 12, 999999999999),
    (http_date(30), 30),
    (http_date(-30), 0),
    (http_date(7200), 7200),
    # The two older forms of an HTTP date; both mean UTC, whatever the worker's own time zone.
    ("Sunday, 22-Nov-26 06:00:30 GMT", 30),
    ("Sun Nov 22 06:00:30 2026", 30),
    ("soon", None),
    ("-5", None),
    ("٣", None),
    ("1e3", None),
    ("5 minutes", None),
    ("Sun, 99 Nov 2026 06:00:30 GMT", None),
    ("Sun, 22 Nov 99999 06:00:30 GMT", None),
    ("nan", None),
]


@pytest.fixture(params=["UTC", "America/New_York"])
def _time_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """The time zone of the worker."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TZ", request.param)
    time.tzset()
    yield
    patch.undo()
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(("text", "seconds"), _RETRY_AFTER, ids=str)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(answer(429) if text is None else answer(429, retry_after=text)) == seconds


def test_date_is_compared_with_the_servers_clock() -> None:
    # The worker's clock is an hour ahead. Compared with it, the date would be past.
    assert retry_after(answer(429, date=http_date(-3600), retry_after=http_date(-3590))) == 10
    assert retry_after(answer(429, date="gibberish", retry_after=http_date(10))) == 10


def drive(request: Request, policy: RetryPolicy, replies: list[Reply]) -> tuple[Exchange, list[float]]:
    """Perform an exchange; the last reply is repeated for ever."""
    steps, waits, sent = exchange(request, policy), list[float](), 0
    step: Step = next(steps)
    try:
        while True:
            if isinstance(step, Wait):
                waits.append(step.seconds)
                step = next(steps)
            else:
                assert step == Send(request)
                sent += 1
                step = steps.send(replies[min(sent, len(replies)) - 1])
    except StopIteration as end:
        done: Exchange = end.value
        assert done.attempts == sent
        return done, waits


_LOST = Lost("timeout", "no answer", sent=True)
_UNSENT = Lost("refused", "refused", sent=False)


@pytest.mark.parametrize(
    ("replies", "waits", "attempts", "doubt"),
    [
        ([answer(200)], [], 1, None),
        ([answer(503)], [1, 2, 4], 4, answer(503)),
        ([answer(503), answer(200)], [1], 2, answer(503)),
        ([_UNSENT], [1, 2, 4], 4, None),
        ([_UNSENT, _LOST, answer(404)], [1, 2], 3, _LOST),
        ([answer(429), answer(200)], [1], 2, None),
        (
            [answer(429, retry_after="5"), answer(503), answer(429, retry_after="0")],
            [5, 1, *[0] * 99],
            102,
            answer(503),
        ),
        # A 429 does not count as a retry after a fault.
        ([*[answer(429, retry_after="2")] * 9, answer(503)], [*[2] * 9, 1, 2, 4], 13, answer(503)),
        ([answer(429, retry_after="120")], [120] * 15, 16, None),
        ([answer(429, retry_after="121")], [], 1, None),
        ([answer(429, retry_after="3"), answer(429, retry_after="3600")], [3], 2, None),
        ([answer(503, retry_after=http_date(3600))], [], 1, None),
    ],
)
def test_waits_attempts_and_doubt_of_an_exchange(
    replies: list[Reply], waits: list[float], attempts: int, doubt: Reply | None
) -> None:
    done, waited = drive(Request("DELETE", ("x",)), RetryPolicy(jitter=lambda: 0.0), replies)
    assert (waited, done.attempts, done.doubt) == (waits, attempts, doubt)


def test_sum_of_waits_after_faults_is_limited() -> None:
    policy = RetryPolicy(max_retries=20, longest_in_all=180, jitter=lambda: 0.0)
    done, waits = drive(Request("GET", ("x",)), policy, [answer(503, retry_after="50")])
    assert (waits, done.attempts) == ([50, 50, 50], 4)


def test_sum_of_waits_after_429_is_limited_to_half_an_hour() -> None:
    done, waits = drive(Request("GET", ("x",)), RetryPolicy(), [answer(429, retry_after="60")])
    assert 1700 < sum(waits) <= 1800
    assert done.attempts == len(waits) + 1


@pytest.mark.parametrize("reply", [answer(429), answer(429, retry_after="0"), answer(503), _UNSENT], ids=str)
def test_max_retries_of_0_means_no_retries(reply: Reply) -> None:
    done, waits = drive(Request("GET", ("x",)), RetryPolicy(max_retries=0), [reply])
    assert (waits, done.attempts) == ([], 1)


@pytest.mark.parametrize(
    ("headers", "shortest", "longest"),
    [
        ({"retry-after": "7"}, [7, 7, 7, 7], [8, 8.3, 8.69, 9.197]),
        ({"retry-after": "0"}, [0, 0, 0, 0], [1, 1.3, 1.69, 2.197]),
        ({}, [0, 0, 0, 0, 0, 0], [1, 2, 4, 8, 16, 20]),
    ],
)
def test_random_waits_after_429_come_from_a_growing_range(
    headers: dict[str, str], shortest: list[float], longest: list[float]
) -> None:
    ends = []
    for share in (0.0, 1.0):
        policy = RetryPolicy(max_rate_limited=len(longest), jitter=lambda share=share: share)  # type: ignore[misc]  # mypy can't infer a lambda with a default
        ends.append(drive(Request("GET", ("x",)), policy, [Response(429, headers)])[1])
    low, high = (ends[0], ends[1]) if headers else (ends[1], ends[0])
    assert low == pytest.approx(shortest)
    assert high == pytest.approx(longest)


def test_reason_of_a_wait_names_request_and_fault() -> None:
    policy = RetryPolicy(jitter=lambda: 0.5)
    wait = policy.next_wait(Request("GET", ("organizations", "o", "runs")), answer(502), Waited(faults=1))
    assert wait == Wait(1.75, "GET /runs: Tallyfy answered 502; retrying in 1.8 s (retry 2 of 3)")
    asked = policy.next_wait(Request("POST", ("me",)), answer(429, retry_after="9"), Waited())
    assert asked is not None
    assert (asked.seconds, asked.rate_limited) == (9.5, True)
    assert asked.reason == (
        "POST /me: Tallyfy answered 429 (too many requests) and asks to wait 9 s; retrying in 9.5 s (retry 1 of 100)"
    )


_retry_afters = st.none() | st.integers(0, 10**12).map(str) | st.floats(-9, 9e9).map(str) | st.text(max_size=8)
_replies = st.one_of(
    st.builds(
        lambda status, header: answer(status) if header is None else answer(status, retry_after=header),
        st.sampled_from([200, 204, 302, 400, 404, 429, 429, 429, 500, 501, 503, 522]),
        _retry_afters,
    ),
    st.builds(Lost, st.sampled_from(["dns", "refused", "tls", "proxy", "timeout", "cut"]), st.just("x"), st.booleans()),
)
_policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 20),
    first_wait=st.floats(0.01, 10),
    longest_wait=st.floats(0, 100),
    longest_in_all=st.floats(0, 300),
    longest_rate_limited=st.floats(0, 3000),
    max_rate_limited=st.none() | st.integers(0, 30),
    jitter=st.floats(0, 1, exclude_max=True).map(lambda share: lambda: share),
)


@given(st.sampled_from(METHODS), _policies, st.lists(_replies, min_size=1, max_size=40))
def test_retries_end_within_the_limits(method: str, policy: RetryPolicy, replies: list[Reply]) -> None:
    done, waits = drive(Request(method, ("x",)), policy, replies)
    assert done.attempts == len(waits) + 1 <= 1 + policy.max_retries + policy.rate_limited_retries
    assert all(0 <= seconds <= max(policy.longest_wait + policy.longest_spread, 20) for seconds in waits)
    assert sum(waits) <= policy.longest_in_all + policy.longest_rate_limited + 1e-6
    before_last = [replies[min(n, len(replies) - 1)] for n in range(done.attempts - 1)]
    if method in {"POST", "PATCH"}:
        # Nothing that may have been carried out is ever sent again.
        assert all(
            not reply.sent if isinstance(reply, Lost) else reply.status == 429  # rate-limited
            for reply in before_last
        )
        assert not done.doubt
    maybe = [reply for reply in before_last if (reply.sent if isinstance(reply, Lost) else reply.status >= 500)]
    assert done.doubt == (maybe[-1] if maybe else None)


@given(st.binary(max_size=60))
def test_read_is_retried_if_its_body_is_not_json(body: bytes) -> None:
    try:
        readable = not body.strip() or json.loads(body) is not ...
    except ValueError:
        readable = False
    wait = RetryPolicy().next_wait(Request("GET", ("x",)), answer(200, body), Waited())
    assert (wait is None) is readable
