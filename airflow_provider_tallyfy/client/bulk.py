"""Archive, activate or update many runs: several at a time, after reading their current state, with every result known.

The results are in ``bulk_results.py``, the lists are read in ``bulk_reading.py``, the workers are in ``pool.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request
from airflow_provider_tallyfy.api.protocol.pagination import read_page_number
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.runs import archive, read, update
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import same_instant
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.runs.report import Report, Target, plain
from airflow_provider_tallyfy.api.timestamps import instant
from airflow_provider_tallyfy.client.bulk_options import BulkOptions, Doing
from airflow_provider_tallyfy.client.bulk_reading import Reading, awaited, read_now, read_states, states_in_list
from airflow_provider_tallyfy.client.bulk_results import BulkResults
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.pool import Pool, Stopped
from airflow_provider_tallyfy.client.transport import Transport
from airflow_provider_tallyfy.exceptions import TallyfyBulkError, TallyfyError

#: How far the worker's clock, which gives the start of a report, may be ahead of Tallyfy's.
CLOCK_SKEW = timedelta(minutes=2)


@dataclass
class BulkChange:
    """One change of many runs. Call :meth:`run` once; :attr:`report` shows the progress at any time.

    :param organization_id: the organization of the runs.
    :param doing: ``archive``, ``activate``, ``update``, or ``restore`` = put back the values that an update replaced.
    :param targets: the runs.
    :param options: how to do it.
    :param new_transport: returns a transport with a connection of its own, for one worker.
    :param max_retries: retries of a request after transient faults.
    :param log: a logger.
    :param prepared: the changes of an update, from :func:`~airflow_provider_tallyfy.api.runs.update.prepare`.
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
        self._results = BulkResults(self.report, self.options, self.stop, self.log, self.clock)
        self._org = self.organization_id
        self._wanted = self.doing == "archive"
        #: Runs that no list has shown.
        self._unlisted: dict[str, Target] = {}
        self._at_once = self._checking = False
        self._thread_began = self._all_begun = self._over = False
        self._pool: Pool | None = None
        asked = self.options.skip_modified
        self._skip_modified = any(target.seen for target in self.targets) if asked is None else asked

    def stop(self, why: str, *, at_once: bool = False) -> None:
        """Begin no further run. Requests under way are finished. A signal handler may call this.

        :param at_once: do not check unclear results either.
        """
        self.report.stopped = self.report.stopped or why
        self._at_once = self._at_once or at_once
        if self._pool is not None and (at_once or not self._checking):
            self._pool.stop.set()

    def forget_when_seen(self, run_ids: Collection[str]) -> None:
        """Ignore when these runs were last seen, because an earlier try may have modified them."""
        self.targets = [replace(t, seen=None) if t.run_id in run_ids else t for t in self.targets]

    def run(self) -> Report:
        """Change the runs.

        This happens in a thread of its own: a signal handler runs in the main thread, and in Airflow 2 it raises an
        exception at any point there. A lock that is being acquired at that moment would never be released.

        :return: the result of every run. Failures of single runs are in it, not raised.
        :raises TallyfyError: if the change could not go on, for example because a list can't be read.
        """
        # In this thread, because making a transport looks up the connection, and Airflow supports that only here.
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
                if not self._thread_began:  # the start of the thread was interrupted
                    break
            raise
        if isinstance(failure, Exception) and not isinstance(failure, TallyfyError):
            raise TallyfyBulkError(
                f"{self.report.sentence()}. Ended with an unexpected {type(failure).__name__}: {plain(str(failure))}",
                self.report.summary(),
            ) from failure
        if failure is not None:
            raise failure
        return self.report

    def _run(self, pool: Pool, ended: SimpleQueue[BaseException | None]) -> None:
        self._thread_began = True
        failure = None
        try:
            with pool:
                self._change_all(pool)
        except BaseException as error:
            failure = error
        self._over = True
        ended.put(failure)

    def _change_all(self, pool: Pool) -> None:
        self._pool = pool
        if self.report.stopped:
            return
        try:
            self._write(pool)
            self._check_unclear(pool)
        except BaseException as failure:
            self.stop(f"interrupted by {type(failure).__name__}")
            for target, result in pool.drain():
                self._results.add(target.run_id, result)
            self._results.leave_unclear("the task was stopped before the run was checked")
            raise
        finally:
            self.report.requests = pool.request_count
            if not self.report.counts["not_tried"]:
                self.report.stopped = ""

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, pool: Pool) -> None:
        items: Iterable[Target | Future[Any]] = self.targets
        if self.doing in {"archive", "activate"} and (
            self._skip_modified
            or self.options.look_first
            or self.options.dry_run
            or any(target.archived_since for target in self.targets)
        ):
            items = self._listed(pool)
        self._write_to(pool, items, self._write_flow)
        if self._unlisted and not pool.stop.is_set():
            self._write_to(pool, list(self._unlisted.values()), self._read_and_write_flow)

    def _write_to(
        self,
        pool: Pool,
        items: Iterable[Target | Future[Any]],
        flow: Callable[[Target], Flow[Outcome | Exchange]],
    ) -> None:
        for target, result in pool.run(self._recorded(items), flow, self._tick):
            self._results.add(target.run_id, result)

    def _recorded(self, items: Iterable[Target | Future[Any]]) -> Iterator[Target | Future[Any]]:
        """Record each run before a worker gets it, so that no write is unknown if the process is killed."""
        with suppress(Stopped):  # raised while a list is read
            for item in items:
                self._results.begin([item.run_id] if isinstance(item, Target) and not self.options.dry_run else [])
                yield item
        self._all_begun = True

    def _tick(self) -> None:
        if self._all_begun or (self._pool is not None and self._pool.stop.is_set()):
            self._results.begin([])  # until then, results are passed on together with the next run
        self._results.show_progress()

    def _write_flow(self, target: Target) -> Flow[Outcome | Exchange]:
        if self.doing in {"archive", "activate"}:
            return archive.attempt(self._request(target), self._wanted)
        prepared = self.prepared
        if self.doing == "restore":
            if not target.before:
                raise TallyfyError("the report does not have the old values, so nothing can be restored")
            prepared = target.before
        return update.apply(
            self._org,
            target.run_id,
            prepared,
            seen=target.seen if self._skip_modified else None,
            dry_run=self.options.dry_run,
            before_writing=lambda before: self._results.replace(target.run_id, before),
        )

    def _request(self, target: Target) -> Request:
        make = run_endpoints.archive_run if self._wanted else run_endpoints.activate_run
        return make(self._org, target.run_id)

    def _read_and_write_flow(self, target: Target) -> Flow[Outcome | Exchange]:
        """Change a run that no list showed: read it first."""
        exchange = yield run_endpoints.get_run(self._org, target.run_id)
        found = read.state_in(exchange)
        if found is None:
            raise read.unknown_run(self._org, target.run_id)
        if found.archived is self._wanted:
            return Outcome(found.run, "already")
        if reason := self._reason_to_skip(target, found.run):
            return Outcome(found.run, "modified", reason)
        if self.options.dry_run:
            return Outcome(found.run, "changed")
        return (yield from archive.attempt(self._request(target), self._wanted))

    def _listed(self, pool: Pool) -> Iterator[Target | Future[Any]]:
        """Yield the runs to write to, as soon as a page shows that a run is not in the wanted state.

        The list of the runs that can be changed (live ones to archive, archived ones to activate) is read from its last
        page to its first. A changed run leaves the list, which shifts only later pages, and these have been read. One
        page is read ahead, so the state of a run is only a few seconds old when the run is written to.
        """
        left = {target.run_id: target for target in self.targets}
        self._unlisted = left
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
                    continue  # already in the wanted state, although Tallyfy lists it
                target = left.pop(str(row.get("id")), None)
                if target is None:
                    continue
                if reason := self._reason_to_skip(target, row):
                    self._results.set(target.run_id, "modified", reason, row)
                elif self.options.dry_run:
                    self._results.set(target.run_id, "changed", run=row)
                else:
                    yield target
            if ahead is None or not left:
                break
        yield from self._drop_finished(pool)

    def _drop_finished(self, pool: Pool) -> Reading[None]:
        """Find the unlisted runs that are already in the wanted state, by reading the other list."""
        if self._unlisted:
            state = "only" if self._wanted else None
            found = yield from states_in_list(pool, self._org, set(self._unlisted), state)
            for run_id, run_state in found.items():
                self._results.set(run_id, "already", run=run_state.run)
                del self._unlisted[run_id]

    def _reason_to_skip(self, target: Target, run: Run) -> str:
        """Return why a run that is not in the wanted state is skipped; empty if it is not."""
        if self._skip_modified and target.seen is not None and not same_instant(run.get("last_updated"), target.seen):
            return f"it was modified at {run.get('last_updated')}, after it was found"
        if target.archived_since is None:
            return ""
        since, archived_at = instant(target.archived_since), instant(run.get("archived_at"))
        if since is not None and archived_at is not None and archived_at >= since - CLOCK_SKEW:
            return ""
        return f"it was archived at {run.get('archived_at')}, before the task that wrote the report began"

    # -- checking ----------------------------------------------------------------------------------------------------

    def _check_unclear(self, pool: Pool, *, again: bool = True) -> None:
        """Read all runs whose answer was unclear: from the list of archived runs, and the remaining few one by one.

        :param again: write once more to runs that were not changed, and got an answer that did not match the request.
        """
        unclear = self._results.unclear
        if not unclear:
            return
        self.log.info("Checking %d runs whose answer was lost or unclear.", len(unclear))
        self._checking = True
        pool.stop.clear()  # after a stop nothing more is written, but earlier writes are still checked
        if self._at_once:  # read after clear(), because a signal handler may set both at any time
            pool.stop.set()
        try:
            found = read_now(read_states(pool, self._org, set(unclear)), self._tick)
        except Stopped:
            self._results.leave_unclear("the task was stopped before the run was checked")
            return
        except TallyfyError as fault:
            self._results.leave_unclear(f"reading it failed too ({fault})")
            return
        repeat: list[Target] = []
        by_id = {target.run_id: target for target in self.targets} if again else {}
        for run_id, exchange in unclear.items():
            state = found.get(run_id)
            not_done = state is not None and state.archived is not self._wanted
            if again and exchange.unreadable and not_done and not self.report.stopped:
                repeat.append(by_id[run_id])
                continue
            try:
                outcome = archive.judge(exchange, state, self._wanted)
            except Rejected as rejected:
                self._results.fail(run_id, rejected.problem, is_check=True)
            else:
                note = outcome.note if outcome.how == "checked" else ""
                self._results.set(run_id, "already" if outcome.how == "already" else "changed", note, outcome.run)
        self._results.unclear = {}
        self._results.begin([])
        if repeat:
            self._checking = False
            self._write_to(pool, repeat, self._write_flow)
            self._check_unclear(pool, again=False)
