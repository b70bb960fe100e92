"""Several workers on kept connections, at one pace for all of them."""

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

#: How often one request may be answered 429 before it counts as failed: the pause is everybody's, so bad luck is no
#: fault of the request.
MAX_RATE_LIMITED = 25


class Stopped(Exception):
    """The work was stopped before this run was written to."""


class Pool:
    """Runs one flow per item, several at a time.

    :param new_transport: makes a transport with a connection of its own; called in the caller's thread.
    :param concurrency: how many at a time.
    :param max_retries: repetitions after passing faults other than 429.
    :param log: where waits and replies are told.
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
        # Held by the one worker that waits for the next place. Places taken ahead by all of them would outlive a pause
        # and come on top of those that are given out after it: twice the pace, and the next 429.
        self._turn = threading.Lock()
        policy = RetryPolicy(
            max_retries=max_retries,
            max_rate_limited=MAX_RATE_LIMITED,
            longest_in_all=3600.0,
            longest_rate_limited=3600.0,
        )
        self._transports = [new_transport() for _ in range(concurrency + 1)]
        workers = [_Worker(self, transport, policy, log) for transport in self._transports]
        # The last one reads lists while the others write, at the same pace.
        *self._idle, self._reader = workers
        self._workers = (*self._idle, self._reader)
        # Where many workers get free at a time, some items wait in line, for handing them out one by one takes up to a
        # tenth of the workers' time. Few have none: the fewer items are begun, the fewer follow the one that says stop.
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
        """How many requests all workers have sent."""
        return sum(worker.request_count for worker in self._workers)

    def read(self, flow: Flow[T]) -> Future[T]:
        """Run a reading flow beside the workers; one at a time."""
        return self._ahead.submit(self._reader.perform, flow)

    def run(
        self,
        items: Iterable[Item | Future[Any]],
        flow: Callable[[Item], Flow[T]],
        tick: Callable[[], None],
        every: float = 1.0,
    ) -> Iterator[tuple[Item, T | Exception]]:
        """Run a flow for each item; yield what came of each, in the order in which they end.

        Few items, if any, are taken before workers get free; those that a stop finds waiting end in :class:`Stopped`.

        :param items: the items. A ``Future`` among them says: nothing to do before this is done. What the workers have
            finished is yielded meanwhile, for it may be the reason to stop waiting.
        :param tick: called now and then while waiting.
        :param every: seconds between two calls of ``tick``, about.
        """
        source = iter(items)
        while True:
            awaited = None if self.stop.is_set() else self._begin(source, flow)
            if not self._under_way and awaited is None:
                return
            yield from self._finished(every, awaited)
            tick()

    def drain(self) -> Iterator[tuple[Any, Any]]:
        """Stop; wait for the requests under way, and yield what came of them."""
        self.stop.set()
        self._threads.shutdown(wait=True)
        for future, item in self._under_way.items():
            yield item, _result(future)
        self._under_way = {}

    def _begin(self, source: Iterator[Any], flow: Callable[[Any], Flow[Any]]) -> Future[Any] | None:
        """Give free workers something to do; return what the next item waits for."""
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
        """Wait for the next place; return the time of sending."""
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
        """Tell the pace what became of a request."""
        now = self.clock.monotonic()
        pause = None
        with self._lock:
            if isinstance(reply, Response) and reply.status == 429:
                pause = self.throttle.rate_limited(now, sent_at, retry_after(reply))
            elif not isinstance(reply, Lost):
                self.throttle.accepted(now, sent_at)
        if pause is not None:
            self._log.info("Tallyfy answered 429 (too many requests); all workers pause for %.1f s.", pause)


class _Worker(Engine):
    """An engine whose waits are everybody's where Tallyfy asks for them, and that can be stopped between requests."""

    def __init__(self, pool: Pool, transport: Transport, policy: RetryPolicy, log: Any) -> None:
        super().__init__(transport, policy, log, pool.clock)
        self._pool = pool
        self._was_rate_limited = False
        #: Whether a write of this item may have been carried out. If so, it is followed up even after a stop.
        self.wrote = False

    def send(self, request: Request) -> Reply:
        sent_at = self._pool.before_sending()
        if self._pool.stop.is_set():
            if not self.wrote:
                raise Stopped
            if self._was_rate_limited:  # after a stop nobody waits as long as Tallyfy asks for
                return Lost("cut", "stopped while Tallyfy asked to wait", sent=True)
        wrote, self.wrote = self.wrote, self.wrote or request.method != "GET"
        reply = super().send(request)
        self._pool.after_answer(reply, sent_at)
        self._was_rate_limited = isinstance(reply, Response) and reply.status == 429
        if self._was_rate_limited:
            self.wrote = wrote  # a rate-limited request changed nothing
        return reply

    def wait(self, step: Wait) -> None:
        if not step.rate_limited:  # a 429 has slowed the pace down for everybody, and the next send waits for that
            self.log.debug("%s", self.transport.scrub.text(step.reason))
            self.clock.wait(self._pool.stop, step.seconds)


def _result(future: Future[Any]) -> Any:
    """What came of an item: a result, or the exception."""
    failure = future.exception()
    return future.result() if failure is None else failure
