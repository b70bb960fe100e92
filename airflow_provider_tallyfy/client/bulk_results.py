"""The results of a bulk change as they come in: the report, the unclear answers, the progress, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from threading import Lock
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Exchange, gave_up
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.runs.report import Entry, Report, Result
from airflow_provider_tallyfy.client.bulk_options import BulkOptions
from airflow_provider_tallyfy.client.clock import Clock
from airflow_provider_tallyfy.client.pool import Stopped
from airflow_provider_tallyfy.exceptions import TallyfyApiError, TallyfyError

#: After this many failures in a row without an answer or with a 5xx, Tallyfy is down: going on would take hours.
DOWN_AFTER = 10


class BulkResults:
    """Records the result of each run.

    :param report: the report to fill.
    :param options: the options of the bulk change.
    :param stop: stops the bulk change, for a reason.
    :param log: a logger, for progress lines.
    :param clock: tells the time.
    """

    def __init__(
        self, report: Report, options: BulkOptions, stop: Callable[[str], None], log: Any, clock: Clock
    ) -> None:
        self.report = report
        #: Exchanges by run id that do not show whether the run was changed.
        self.unclear: dict[str, Exchange] = {}
        self._options = options
        self._stop = stop
        self._log = log
        self._clock = clock
        self._failures = self._unexpected = self._without_answer = 0
        self._total = len(report.entries)
        self._new: list[Entry] = []
        self._calling = Lock()
        self._started = self._last_progress = clock.monotonic()

    def set(self, run_id: str, result: Result, reason: str = "", run: Run | None = None) -> None:
        """Record a result."""
        self.report.set(run_id, result, reason, run)
        self._new.append(self.report.entries[run_id])

    def add(self, run_id: str, result: Any) -> None:
        """Record what a worker returned or raised for a run. No error of a single run ends the bulk change."""
        if isinstance(result, Exchange):
            self.unclear[run_id] = result
            self._count_outage(result.status is None or gave_up(result.status))
        elif isinstance(result, Outcome):
            self._count_outage(False)
            kind = "changed" if result.how == "checked" else result.how
            note = result.note if result.how in {"checked", "modified"} else ""
            if kind == "modified" and self.report.doing == "update" and self._options.look_first:
                note += ", by somebody or by an earlier try of this task"
            if result.before is not None and kind == "changed":
                self.report.entries[run_id].before = result.before
            self.set(run_id, kind, note, result.run)
        elif isinstance(result, TallyfyApiError) and result.problem is not None:
            self.fail(run_id, result.problem)
        elif isinstance(result, TallyfyError):
            self.fail(run_id, Problem(Kind.REFUSED, str(result), "", ""))
        elif isinstance(result, Stopped):
            self.report.entries[run_id].begun = False
            self._new.append(self.report.entries[run_id])
        else:
            why = f"{type(result).__name__}: {result}; it may or may not have been done"
            self._fail(run_id, Problem(Kind.INDETERMINATE, why, "", ""))
            self._unexpected += 1
            if self._unexpected >= DOWN_AFTER:
                self._stop(f"{self._unexpected} runs ended in unexpected errors")

    def fail(self, run_id: str, problem: Problem, *, is_check: bool = False) -> None:
        """Record a failure, and stop after too many.

        :param is_check: whether the run was read to check it, after all writes.
        """
        if problem.kind is Kind.AUTH:
            self._stop("Tallyfy no longer accepts the access token")
        elif problem.kind is Kind.RATE_LIMITED:
            self._stop("Tallyfy asks to wait longer than a task should wait")
        self._fail(run_id, problem)
        if not is_check:
            lost = problem.kind in {Kind.UNREACHABLE, Kind.INDETERMINATE} and problem.http_status is None
            self._count_outage(lost or gave_up(problem.http_status or 0))

    def _fail(self, run_id: str, problem: Problem) -> None:
        self.report.fail(run_id, problem)
        entry = self.report.entries[run_id]
        entry.unclear = entry.unclear or entry.before is not None  # part of an update may have been written
        self._new.append(entry)
        self._failures += 1
        limit = self._options.max_failures
        if limit is not None and self._failures >= limit:
            self._stop(f"{self._failures} runs failed (max_failures={limit})")

    def _count_outage(self, no_answer: bool) -> None:
        """Count failures in a row that suggest an outage, and stop after too many."""
        self._without_answer = self._without_answer + 1 if no_answer else 0
        if self._without_answer >= DOWN_AFTER:
            self._stop(f"Tallyfy gave no answer, or answered 5xx or 408, for {self._without_answer} runs in a row")

    def leave_unclear(self, why: str) -> None:
        """Record that it remains unknown whether the unclear runs were changed."""
        for run_id, exchange in self.unclear.items():
            message = (
                f"{exchange.request.label} may or may not have been done: its answer was lost or unclear, and {why}"
            )
            self.report.fail(
                run_id, Problem(Kind.INDETERMINATE, message, exchange.request.method, exchange.request.path)
            )
            self._new.append(self.report.entries[run_id])
        self.unclear = {}

    def begin(self, run_ids: Collection[str]) -> None:
        """Record that these runs are about to be written to, and pass that and the new results to ``on_note``."""
        for run_id in run_ids:
            self.report.entries[run_id].begun = True
        with self._calling:
            new, self._new = self._new, []
            if self._options.on_note is not None and (new or run_ids):
                self._options.on_note(new, list(run_ids))

    def replace(self, run_id: str, before: Mapping[str, Any]) -> None:
        """Record the values that an update is about to replace. Called by the workers."""
        entry = self.report.entries[run_id]
        entry.before = before
        if self._options.on_note is not None:
            with self._calling:
                self._options.on_note([entry], [])

    def show_progress(self) -> None:
        """Write a progress line, if the last one is old enough."""
        now = self._clock.monotonic()
        if now - self._last_progress < self._options.progress_every:
            return
        self._last_progress = now
        counts = self.report.counts
        done = self._total - counts["not_tried"] + len(self.unclear)
        rate = done / (now - self._started)
        left = f", about {(self._total - done) / rate:.0f} s left" if rate > 0 and done < self._total else ""
        self._log.info("%d of %d runs done, %d failed, %.1f runs/s%s.", done, self._total, counts["failed"], rate, left)
        if self._options.on_progress is not None:
            self._options.on_progress(self.report)
