"""Both engines with the same flows: requests, waits and exceptions, and that flows are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Flow, Lost, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem, Rejected
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.client.async_engine import AsyncEngine
from airflow_provider_tallyfy.client.clock import Clock
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.scrub import Scrubber
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyError, TallyfyNotFoundError
from tests.contract._clock import FastClock

SECRET = "s3cr3t-token"
FIRST, SECOND = Request("GET", ("first",)), Request("DELETE", ("second",))
OK = Response(200, {}, b'{"data": {}}')


class Memory:
    """A transport that answers from a list, and raises the exceptions in it."""

    scrub = Scrubber(SECRET)

    def __init__(self, *replies: Reply | BaseException) -> None:
        self._replies = iter(replies)
        self.sent: list[Request] = []

    def send(self, request: Request) -> Reply:
        self.sent.append(request)
        reply = next(self._replies)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def close(self) -> None:
        """Nothing to close."""


class AsyncMemory(Memory):
    async def send(self, request: Request) -> Reply:  # type: ignore[override]  # the async side of the same thing
        await asyncio.sleep(0)
        return super().send(request)


class Driver:
    """An engine under test, and a record of its requests and waits."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.waits: list[float] = []
        self.sent: list[Request] = []
        self.count = 0

    def __call__(self, flow: Flow[Any], *replies: Reply | BaseException) -> Any:
        policy = RetryPolicy(jitter=lambda: 0.0)
        if self.kind == "blocking":
            clock, memory = FastClock(), Memory(*replies)
            self.waits, self.sent = clock.slept, memory.sent
            engine = Engine(memory, policy, clock=clock)
            try:
                return engine.perform(flow)
            finally:
                self.count = engine.request_count
        memory = AsyncMemory(*replies)
        self.sent = memory.sent

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async_engine = AsyncEngine(memory, policy, sleep=sleep)
        try:
            return asyncio.run(async_engine.perform(flow))
        finally:
            self.count = async_engine.request_count


@pytest.fixture(params=["blocking", "async"])
def drive(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


class Closed:
    """Records whether the flow was closed, and by which exception."""

    how: str = "still open"


def two(closed: Closed, then: Callable[[], object] = lambda: None) -> Flow[list[int | None]]:
    try:
        first = yield FIRST
        then()
        second = yield SECOND
        return [first.status, second.status]
    except GeneratorExit:
        closed.how = "interrupted"
        raise
    finally:
        closed.how = "ended" if closed.how == "still open" else closed.how


def refuse() -> None:
    raise Rejected(Problem(Kind.NOT_FOUND, f"no run {SECRET}", "GET", f"/{SECRET}", errors={"id": [SECRET]}))


def mistake() -> None:
    raise ArgumentError(f"run_id={SECRET!r} is no id")


def test_perform_returns_the_result_of_the_flow(drive: Driver) -> None:
    closed = Closed()
    assert drive(two(closed), OK, OK) == [200, 200]
    assert (drive.sent, drive.waits, drive.count, closed.how) == ([FIRST, SECOND], [], 2, "ended")


def test_each_request_is_repeated_according_to_the_policy(drive: Driver) -> None:
    limited = Response(429, {"retry-after": "7"})
    lost = Lost("cut", "cut", sent=True)
    assert drive(two(Closed()), lost, OK, limited, limited, Response(503), OK) == [200, 200]
    assert (drive.sent, drive.waits, drive.count) == ([FIRST] * 2 + [SECOND] * 4, [1, 7, 7, 1], 6)


@pytest.mark.parametrize(("then", "error"), [(refuse, TallyfyNotFoundError), (mistake, TallyfyArgumentError)])
def test_errors_of_a_flow_become_public_exceptions_without_secrets(
    drive: Driver, then: Callable[[], object], error: type[TallyfyError]
) -> None:
    closed = Closed()
    with pytest.raises(error) as caught:
        drive(two(closed, then), OK)
    assert SECRET not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
    assert caught.value.__cause__ is None
    assert (drive.sent, closed.how) == ([FIRST], "ended")


class Interruption(BaseException):
    """Like the exception that Airflow 2.11 raises in a killed task."""


@pytest.mark.parametrize("fault", [Interruption(), KeyboardInterrupt(), OSError("a mistake of ours")], ids=repr)
def test_an_interrupted_request_closes_the_flow(drive: Driver, fault: BaseException) -> None:
    closed = Closed()
    with pytest.raises(type(fault)):
        drive(two(closed), OK, fault)
    assert (drive.sent, closed.how) == ([FIRST, SECOND], "interrupted")


def test_an_interrupted_wait_closes_the_flow() -> None:
    class Broken(Clock):
        def sleep(self, seconds: float) -> None:
            raise Interruption

    closed = Closed()
    with pytest.raises(Interruption):
        Engine(Memory(Response(503)), RetryPolicy(), clock=Broken()).perform(two(closed))
    assert closed.how == "interrupted"


@pytest.mark.parametrize("where", ["in a request", "in a wait"])
def test_cancelling_closes_the_flow(where: str) -> None:
    closed = Closed()
    reached: list[Request] = []

    class Stuck:
        scrub = Scrubber(SECRET)

        async def send(self, request: Request) -> Reply:
            reached.append(request)
            if where == "in a request":
                await asyncio.Event().wait()
            return Response(503)

    async def cancel() -> None:
        task = asyncio.ensure_future(AsyncEngine(Stuck(), RetryPolicy()).perform(two(closed)))
        while not reached:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert (reached, closed.how) == ([FIRST], "interrupted")


def test_a_flow_without_requests_returns_immediately(drive: Driver) -> None:
    def flow() -> Flow[int]:
        yield from ()
        return 7

    assert drive(flow()) == 7
    assert drive.sent == []
