"""Several workers on kept connections, which share one request rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.messages import Flow, Lost, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Wait, retry_after
from airflow_provider_tallyfy.api.protocol.throttle import Throttle
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.transport import Transport

T = TypeVar("T")
Item = TypeVar("Item")

#: So many 429s one request may get before it fails. All workers share the rate limit, so some requests get many.
MAX_RATE_LIMITED = 25


class Stopped(Exception):
    """The pool was stopped before this item was written."""


class Pool:
    """Runs one flow per item, several at a time.

    :param new_transport: returns a transport with a connection of its own; called in the caller's thread.
    :param concurrency: number of workers.
    :param max_retries: retries after transient faults other than 429.
    :param log: a logger for waits and replies.
    :param clock: tells the time, and waits.
    """

    def __init__(
        self,
        new_transport: Callable[[], Transport],
        concurrency: int,
        max_retries: int,
        log: Any,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.throttle = Throttle()
        self.clock = clock
        self._log = log
        self.stop = threading.Event()
        self._lock = threading.Lock()
        # Held by the one worker that waits to send next. If all workers reserved their times in advance, these would
        # outlast a pause and add to the times reserved after it: twice the rate, and the next 429.
        self._turn = threading.Lock()
        policy = RetryPolicy(
            max_retries=max_retries,
            max_rate_limited=MAX_RATE_LIMITED,
            longest_in_all=3600.0,
            longest_rate_limited=3600.0,
        )
        self._transports = [new_transport() for _ in range(concurrency + 1)]
        workers = [_Worker(self, transport, policy, log) for transport in self._transports]
        # The last one reads lists while the others write; it shares their rate.
        *self._idle, self._reader = workers
        self._workers = (*self._idle, self._reader)
        # With many workers, some items are queued, because handing them out one by one takes up to a tenth of the
        # workers' time. With few workers, none are: the fewer items are begun, the fewer still run after a stop.
        self._most_begun = concurrency + max(concurrency - 8, 0) // 4
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="tallyfy")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="tallyfy-read")
        self._under_way: dict[Future[Any], Any] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop.set()
        self._ahead.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        for transport in self._transports:
            transport.close()

    @property
    def request_count(self) -> int:
        """The number of requests that all workers have sent."""
        return sum(worker.request_count for worker in self._workers)

    def read(self, flow: Flow[T]) -> Future[T]:
        """Perform a flow that reads, while the workers work; one at a time."""
        return self._ahead.submit(self._reader.perform, flow)

    def run(
        self,
        items: Iterable[Item | Future[Any]],
        flow: Callable[[Item], Flow[T]],
        tick: Callable[[], None],
        every: float = 1.0,
    ) -> Iterator[tuple[Item, T | Exception]]:
        """Perform a flow for each item; yield each item with its result or exception, in order of completion.

        Items are taken only when workers are free, or soon will be. After a stop, queued items end in :class:`Stopped`.

        :param items: the items. A ``Future`` among them means that the next item is not known before it is done.
            Results are yielded meanwhile, because one of them may be the reason to stop.
        :param tick: called while waiting.
        :param every: approximate seconds between two calls of ``tick``.
        """
        source = iter(items)
        while True:
            awaited = None if self.stop.is_set() else self._begin(source, flow)
            if not self._under_way and awaited is None:
                return
            yield from self._finished(every, awaited)
            tick()

    def drain(self) -> Iterator[tuple[Any, Any]]:
        """Stop, wait for the requests under way, and yield their results."""
        self.stop.set()
        self._threads.shutdown(wait=True)
        for future, item in self._under_way.items():
            yield item, _result(future)
        self._under_way = {}

    def _begin(self, source: Iterator[Any], flow: Callable[[Any], Flow[Any]]) -> Future[Any] | None:
        """Give items to free workers; return the future that the next item waits for, if there is one."""
        while len(self._under_way) < self._most_begun:
            item = next(source, None)
            if item is None or isinstance(item, Future):
                return item
            self._under_way[self._threads.submit(self._work, flow, item)] = item
        return None

    def _finished(self, timeout: float, awaited: Future[Any] | None) -> Iterator[tuple[Any, Any]]:
        done, _ = wait([*self._under_way, *filter(None, (awaited,))], timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            if future is not awaited:
                yield self._under_way.pop(future), _result(future)

    def _work(self, flow: Callable[[Any], Flow[Any]], item: Any) -> Any:
        with self._lock:
            worker = self._idle.pop()
        try:
            worker.wrote = False
            return worker.perform(flow(item))
        finally:
            with self._lock:
                self._idle.append(worker)

    def before_sending(self) -> float:
        """Wait until the next request may be sent; return the time."""
        with self._turn:
            while True:
                with self._lock:
                    delay = self.throttle.delay(self.clock.monotonic())
                if delay > 0:
                    self.clock.wait(self.stop, delay)
                now = self.clock.monotonic()
                with self._lock:
                    if self.stop.is_set() or not self.throttle.paused(now):
                        return now

    def after_answer(self, reply: Reply, sent_at: float) -> None:
        """Adapt the rate to the reply."""
        now = self.clock.monotonic()
        pause = None
        with self._lock:
            if isinstance(reply, Response) and reply.status == 429:
                pause = self.throttle.rate_limited(now, sent_at, retry_after(reply))
            elif not isinstance(reply, Lost):
                self.throttle.accepted(now, sent_at)
        if pause is not None:
            self._log.info("Tallyfy answered 429 (too many requests). All workers pause for %.1f s.", pause)


class _Worker(Engine):
    """An engine that shares the rate and the pauses of its pool, and can be stopped between requests."""

    def __init__(self, pool: Pool, transport: Transport, policy: RetryPolicy, log: Any) -> None:
        super().__init__(transport, policy, log, pool.clock)
        self._pool = pool
        self._was_rate_limited = False
        #: Whether a write for this item may have been carried out. If so, its flow goes on even after a stop.
        self.wrote = False

    def send(self, request: Request) -> Reply:
        sent_at = self._pool.before_sending()
        if self._pool.stop.is_set():
            if not self.wrote:
                raise Stopped
            if self._was_rate_limited:  # after a stop there is no time to wait as long as Tallyfy asks
                return Lost("cut", "stopped while Tallyfy asked to wait", sent=True)
        wrote, self.wrote = self.wrote, self.wrote or request.method != "GET"
        reply = super().send(request)
        self._pool.after_answer(reply, sent_at)
        self._was_rate_limited = isinstance(reply, Response) and reply.status == 429
        if self._was_rate_limited:
            self.wrote = wrote  # a rate-limited request changed nothing
        return reply

    def wait(self, step: Wait) -> None:
        if not step.rate_limited:  # after a 429, all workers pause, and the next send() waits for the end of the pause
            self.log.debug("%s", self.transport.scrub.text(step.reason))
            self.clock.wait(self._pool.stop, step.seconds)


def _result(future: Future[Any]) -> Any:
    """Return the result of an item, or its exception."""
    failure = future.exception()
    return future.result() if failure is None else failure
