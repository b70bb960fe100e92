"""Archive, activate or update many runs: freshly checked, several at a time, every doubt settled, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Literal

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request, gave_up
from airflow_provider_tallyfy.api.protocol.pagination import read_page_number
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem, Rejected
from airflow_provider_tallyfy.api.runs import archive, read, update
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import same_instant
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.runs.report import Entry, Report, Result, Target, plain
from airflow_provider_tallyfy.api.timestamps import instant
from airflow_provider_tallyfy.client.bulk_options import BulkOptions, Doing
from airflow_provider_tallyfy.client.bulk_reading import Reading, T, awaited, find, states
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.pool import Pool, Stopped
from airflow_provider_tallyfy.client.requests_transport import Transport
from airflow_provider_tallyfy.exceptions import TallyfyApiError, TallyfyBulkError, TallyfyError

#: Out of reach or failing (5xx) so often in a row, Tallyfy is down, and going through the rest would take hours.
DOWN_AFTER = 10
#: How far the worker's clock, by which a report says when it began, may be ahead of Tallyfy's.
CLOCK_SKEW = timedelta(minutes=2)


@dataclass
class BulkChange:
    """One change of many runs: made, then :meth:`run` once; :attr:`report` says at any time how far it is.

    :param organization_id: the organization of the runs.
    :param doing: ``archive``, ``activate``, ``update``, or ``restore`` = put back what an update replaced.
    :param targets: the runs.
    :param options: how.
    :param new_transport: makes a transport with a connection of its own, for one of the workers.
    :param max_retries: repetitions of a request after a passing fault.
    :param log: a logger.
    :param prepared: the changes of an update, as :func:`~airflow_provider_tallyfy.api.runs.update.prepare` gave them.
    :param clock: tells the time, and waits.
    """

    organization_id: str
    doing: Doing
    targets: list[Target]
    options: BulkOptions
    new_transport: Callable[[], Transport]
    max_retries: int
    log: Any
    prepared: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        self.report = Report.of(self.doing, self.targets, dry_run=self.options.dry_run)
        self._org = self.organization_id
        self._wanted = self.doing == "archive"
        self._doubts: dict[str, Exchange] = {}
        self._unseen: dict[str, Target] = {}
        self._failures = self._down = self._unforeseen = 0
        self._done: list[Entry] = []
        self._noting = Lock()
        self._at_once = self._settling = False
        self._begun = self._all_begun = self._over = False
        self._pool: Pool | None = None
        self._started = self._told = self.clock.monotonic()
        asked = self.options.skip_modified
        self._guard = any(target.seen for target in self.targets) if asked is None else asked

    def stop(self, why: str, *, at_once: bool = False) -> None:
        """Begin nothing more. Requests under way are finished. May be called from a signal handler.

        :param at_once: don't even settle doubts.
        """
        self.report.stopped = self.report.stopped or why
        self._at_once = self._at_once or at_once
        if self._pool is not None and (at_once or not self._settling):
            self._pool.stop.set()

    def forget_when_seen(self, run_ids: Collection[str]) -> None:
        """Forget when these runs were seen: an earlier try wrote to them, and maybe did not get to the end."""
        self.targets = [replace(t, seen=None) if t.run_id in run_ids else t for t in self.targets]

    def run(self) -> Report:
        """Do it.

        All of it is done in a thread of its own. A signal's handler runs in the main thread, and in Airflow 2 raises
        there whatever it interrupts; a lock that is just being taken would stay taken, and everybody wait for ever.

        :return: what became of every run; failures of single runs are in it, not raised.
        :raises TallyfyError: if it could not go on, such as when a list can't be read.
        """
        # Here, because this looks up the connection, which Airflow does for the task's own thread.
        pool = Pool(self.new_transport, self.options.concurrency, self.max_retries, self.log, self.clock)
        ended: SimpleQueue[BaseException | None] = SimpleQueue()
        try:
            Thread(target=self._run, args=(pool, ended), name="tallyfy-bulk", daemon=True).start()
            failure = ended.get()
        except BaseException as interruption:
            self.stop(f"interrupted by {type(interruption).__name__}", at_once=True)
            while not self._over:
                with suppress(Empty):
                    ended.get(timeout=1.0)
                if not self._begun:  # the thread's start itself was interrupted
                    break
            raise
        if isinstance(failure, Exception) and not isinstance(failure, TallyfyError):
            raise TallyfyBulkError(
                f"{self.report.sentence()}. It was ended by {type(failure).__name__}: {plain(str(failure))}",
                self.report.summary(),
            ) from failure
        if failure is not None:
            raise failure
        return self.report

    def _run(self, pool: Pool, ended: SimpleQueue[BaseException | None]) -> None:
        self._begun = True
        failure = None
        try:
            with pool:
                self._go_through(pool)
        except BaseException as error:
            failure = error
        self._over = True
        ended.put(failure)

    def _go_through(self, pool: Pool) -> None:
        self._pool = pool
        if self.report.stopped:
            return
        try:
            self._write(pool)
            self._settle(pool)
        except BaseException as failure:
            self.stop(f"interrupted by {type(failure).__name__}")
            for target, result in pool.drain():
                self._note(target, result)
            self._leave_in_doubt("the task was stopped before it was checked")
            raise
        finally:
            self.report.requests = pool.request_count
            if not self.report.counts["not_tried"]:
                self.report.stopped = ""

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, pool: Pool) -> None:
        items: Iterable[Target | Future[Any]] = self.targets
        if self.doing in {"archive", "activate"} and (
            self._guard
            or self.options.look_first
            or self.options.dry_run
            or any(target.archived_since for target in self.targets)
        ):
            items = self._still_to_do(pool)
        for target, result in pool.run(self._noted(items), self._flow, self._tick):
            self._note(target, result)
        if self._unseen and not pool.stop.is_set():
            rest = list(self._unseen.values())
            for target, result in pool.run(self._noted(rest), self._careful_flow, self._tick):
                self._note(target, result)

    def _noted(self, items: Iterable[Target | Future[Any]]) -> Iterator[Target | Future[Any]]:
        """Note each run before a worker gets it, so that a killed process has left no write that nobody knows of."""
        for item in items:
            begun = []
            if isinstance(item, Target) and not self.options.dry_run:
                self.report.entries[item.run_id].begun = True
                begun.append(item.run_id)
            self._pass_on(begun)
            yield item
        self._all_begun = True

    def _pass_on(self, begun: list[str]) -> None:
        """Pass on what became of runs, and which ones are about to be written to."""
        if self.options.on_note is None:
            self._done.clear()
            return
        with self._noting:
            done, self._done = self._done, []
            if done or begun:
                self.options.on_note(done, begun)

    def _flow(self, target: Target) -> Flow[Outcome | Exchange]:
        """What a worker does for one run."""
        if self.doing in {"archive", "activate"}:
            return archive.attempt(self._request(target), self._wanted)
        prepared = self.prepared
        if self.doing == "restore":
            if not target.before:
                why = "the report does not say what was there before, so nothing can be put back"
                raise TallyfyError(why)
            prepared = target.before

        def before_writing(before: Mapping[str, Any]) -> None:
            """Note what the update is about to replace."""
            entry = self.report.entries[target.run_id]
            entry.before = before
            if self.options.on_note is not None:
                with self._noting:
                    self.options.on_note([entry], [])

        return update.apply(
            self._org,
            target.run_id,
            prepared,
            seen=target.seen if self._guard else None,
            dry_run=self.options.dry_run,
            before_writing=before_writing,
        )

    def _request(self, target: Target) -> Request:
        make = run_endpoints.archive_run if self._wanted else run_endpoints.activate_run
        return make(self._org, target.run_id)

    def _careful_flow(self, target: Target) -> Flow[Outcome | Exchange]:
        """For a run that no list showed: look at it alone before writing."""
        exchange = yield run_endpoints.get_run(self._org, target.run_id)
        found = read.state_in(exchange)
        if found is None:
            raise read.unknown_run(self._org, target.run_id)
        if found.archived is self._wanted:
            return Outcome(found.run, "already")
        if reason := self._reason_to_leave(target, found.run):
            return Outcome(found.run, "modified", reason)
        if self.options.dry_run:
            return Outcome(found.run, "changed")
        return (yield from archive.attempt(self._request(target), self._wanted))

    def _still_to_do(self, pool: Pool) -> Iterator[Target | Future[Any]]:
        with suppress(Stopped):
            yield from self._freshly_seen(pool)

    def _freshly_seen(self, pool: Pool) -> Iterator[Target | Future[Any]]:
        """Yield the runs to write to, each as soon as a freshly read page shows it in the state to be changed.

        The list of the runs that can be changed (live ones to archive, archived ones to activate) is read from its
        last page to its first: what is written to leaves the list, and would shift the pages after it, which have been
        read by then. One page is read ahead, so a run is written to within a few seconds of being looked at.
        """
        left = {target.run_id: target for target in self.targets}
        self._unseen = left
        listing = run_endpoints.list_runs(self._org, archived=None if self._wanted else "only", sort="created_at")
        first = yield from awaited(pool.read(read_page_number(listing, 1)))
        number = first.total_pages or 1
        ahead = pool.read(read_page_number(listing, number)) if number > 1 else None
        while True:
            page = first if ahead is None else (yield from awaited(ahead))
            number -= 1
            ahead = pool.read(read_page_number(listing, number)) if number > 0 and len(left) else None
            for row in page.rows:
                if bool(row.get("archived_at", not self._wanted)) is self._wanted:
                    continue  # listed, but in the wanted state: Tallyfy's lists are not taken at their word
                target = left.pop(str(row.get("id")), None)
                if target is None:
                    continue
                if reason := self._reason_to_leave(target, row):
                    self._set(target.run_id, "modified", reason, row)
                elif self.options.dry_run:
                    self._set(target.run_id, "changed", run=row)
                else:
                    yield target
            if ahead is None or not left:
                break
        yield from self._drop_finished(pool)

    def _drop_finished(self, pool: Pool) -> Reading[None]:
        """Of the runs that the list did not show, find those that are in the wanted state already, in one walk."""
        if self._unseen:
            state = "only" if self._wanted else None
            for run_id, found in (yield from find(pool, self._org, set(self._unseen), state)).items():
                self._set(run_id, "already", run=found.run)
                del self._unseen[run_id]

    def _reason_to_leave(self, target: Target, run: Run) -> str:
        """Why a run is left alone although it is in the state to be changed; empty if it is not."""
        if self._guard and target.seen is not None and not same_instant(run.get("last_updated"), target.seen):
            return f"it was modified at {run.get('last_updated')}, after it was found"
        if target.archived_since is None:
            return ""
        since, archived_at = instant(target.archived_since), instant(run.get("archived_at"))
        if since is not None and archived_at is not None and archived_at >= since - CLOCK_SKEW:
            return ""
        return f"it was archived at {run.get('archived_at')}, before the task that wrote the report began"

    # -- settling ----------------------------------------------------------------------------------------------------

    def _settle(self, pool: Pool, *, again: bool = True) -> None:
        """Settle all doubts together, in one walk over the archived runs; the few that it does not show, one by one.

        :param again: write once more to the runs for which something else than Tallyfy answered, and nothing was done.
        """
        if not self._doubts:
            return
        self.log.info("Checking %d runs whose answer was lost or unclear.", len(self._doubts))
        self._settling = True
        pool.stop.clear()  # after a stop nothing more is written, but what was written is still to be told right
        if self._at_once:  # read after the clear, before which it may have been set
            pool.stop.set()
        try:
            found = self._finish(states(pool, self._org, set(self._doubts)))
        except Stopped:
            self._leave_in_doubt("the task was stopped before it was checked")
            return
        except TallyfyError as fault:
            self._leave_in_doubt(f"checking it failed too ({fault})")
            return
        repeat: list[Target] = []
        by_id = {target.run_id: target for target in self.targets} if again else {}
        for run_id, exchange in self._doubts.items():
            state = found.get(run_id)
            not_done = state is not None and state.archived is not self._wanted
            if again and exchange.unreadable and not_done and not self.report.stopped:
                repeat.append(by_id[run_id])
                continue
            try:
                outcome = archive.judge(exchange, found.get(run_id), self._wanted)
            except Rejected as rejected:
                self._failed(run_id, rejected.problem)
            else:
                result: Literal["already", "changed"] = "already" if outcome.how == "already" else "changed"
                self._set(run_id, result, outcome.note if outcome.how == "checked" else "", outcome.run)
        self._doubts = {}
        self._pass_on([])
        if repeat:
            self._settling = False
            for target, came_of_it in pool.run(self._noted(repeat), self._flow, self._tick):
                self._note(target, came_of_it)
            self._settle(pool, again=False)

    def _leave_in_doubt(self, why: str) -> None:
        for run_id, exchange in self._doubts.items():
            message = (
                f"{exchange.request.label} may or may not have been done: its answer was lost or unclear, and {why}"
            )
            self.report.fail(
                run_id, Problem(Kind.INDETERMINATE, message, exchange.request.method, exchange.request.path)
            )
            self._done.append(self.report.entries[run_id])
        self._doubts = {}

    def _finish(self, reading: Reading[T]) -> T:
        """Read to the end, with nothing else going on."""
        try:
            while True:
                wait([next(reading)], timeout=1.0)
                self._tick()
        except StopIteration as end:
            value: T = end.value
            return value

    # -- noting ------------------------------------------------------------------------------------------------------

    def _set(self, run_id: str, result: Result, reason: str = "", run: Run | None = None) -> None:
        self.report.set(run_id, result, reason, run)
        self._done.append(self.report.entries[run_id])

    def _note(self, target: Target, result: Any) -> None:
        """Note what came of a run. Whatever it is, it is about this run alone."""
        run_id = target.run_id
        if isinstance(result, Exchange):
            self._doubts[run_id] = result
            self._count_down(result.status is None or gave_up(result.status))
        elif isinstance(result, Outcome):
            self._count_down(False)
            kind = "changed" if result.how == "checked" else result.how
            note = result.note if result.how in {"checked", "modified"} else ""
            if kind == "modified" and self.doing == "update" and self.options.look_first:
                note += ", by somebody or by an earlier try of this task that did not finish it"
            if result.before is not None and kind == "changed":
                self.report.entries[run_id].before = result.before
            self._set(run_id, kind, note, result.run)
        elif isinstance(result, TallyfyApiError) and result.problem is not None:
            self._failed(run_id, result.problem)
        elif isinstance(result, TallyfyError):
            self._failed(run_id, Problem(Kind.REFUSED, str(result), "", ""))
        elif isinstance(result, Stopped):
            self.report.entries[run_id].begun = False
            self._done.append(self.report.entries[run_id])
        else:
            why = f"{type(result).__name__}: {result}; it may or may not have been done"
            self._failed(run_id, Problem(Kind.INDETERMINATE, why, "", ""), unforeseen=True)

    def _failed(self, run_id: str, problem: Problem, *, unforeseen: bool = False) -> None:
        self.report.fail(run_id, problem)
        entry = self.report.entries[run_id]
        entry.unclear = entry.unclear or entry.before is not None  # of an update, some may have been written
        self._done.append(entry)
        self._failures += 1
        self._unforeseen += unforeseen
        limit = self.options.max_failures
        if problem.kind is Kind.AUTH:
            self.stop("Tallyfy no longer accepts the access token")
        elif problem.kind is Kind.RATE_LIMITED:
            self.stop("Tallyfy asks to wait longer than a task should")
        elif limit is not None and self._failures >= limit:
            self.stop(f"{self._failures} runs failed (max_failures={limit})")
        elif self._unforeseen >= DOWN_AFTER:
            self.stop(f"{self._unforeseen} runs ended in errors that nobody foresaw")
        if not self._settling and not unforeseen:
            lost = problem.kind in {Kind.UNREACHABLE, Kind.INDETERMINATE} and problem.http_status is None
            self._count_down(lost or gave_up(problem.http_status or 0))

    def _count_down(self, down: bool) -> None:
        """Note whether Tallyfy seems to be down, and stop when it has seemed so for long."""
        self._down = self._down + 1 if down else 0
        if self._down >= DOWN_AFTER:
            self.stop(f"Tallyfy gave no answer, or answered 5xx or 408, for {self._down} runs in a row")

    def _tick(self) -> None:
        if self._all_begun or (self._pool is not None and self._pool.stop.is_set()):
            self._pass_on([])  # before, results are passed on together with the next run that is begun
        now = self.clock.monotonic()
        if now - self._told < self.options.progress_every:
            return
        self._told = now
        counts = self.report.counts
        total = len(self.targets)
        done = total - counts["not_tried"] + len(self._doubts)
        rate = done / (now - self._started)
        left = f", about {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        self.log.info("%d of %d runs done, %d failed, %.1f runs/s%s.", done, total, counts["failed"], rate, left)
        if self.options.on_progress is not None:
            self.options.on_progress(self.report)
