"""Bulk changes that are stopped: by a limit, a fault, a person, or an unexpected exception."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs.report import Report
from airflow_provider_tallyfy.client import bulk as _bulk
from airflow_provider_tallyfy.client import pool as _pool
from airflow_provider_tallyfy.client.bulk_results import DOWN_AFTER
from airflow_provider_tallyfy.exceptions import TallyfyBulkError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import check_sums, check_truth, count, let_time_fly, rows_of
from tests.contract._clock import FastClock
from tests.contract._example_organization import UNKNOWN

Connect = Callable[..., TallyfyHook]


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class TestStopped:
    def test_after_max_failures(self, sandbox: Sandbox, connect: Connect) -> None:
        ids = sandbox.add_runs(200)
        report = connect(sandbox, password=sandbox.token_for("light")).archive_runs(ids, max_failures=5)
        check_sums(report, ids)
        assert 5 <= report.counts["failed"] < 5 + 8
        assert report.stopped == "5 runs failed (max_failures=5)"
        assert "Stopped early: 5 runs failed" in report.sentence()

    def test_max_failures_reached_with_the_last_run_is_not_a_stop(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        report = hook.archive_runs([*sandbox.add_runs(10), UNKNOWN], max_failures=1)
        assert report.counts["failed"] == 1
        assert report.stopped == ""

    def test_fewer_failures_than_max_failures_do_not_stop(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(50)
        sandbox.fail("DELETE", "/runs/*", Fault.status(403), times=4)
        report = hook.archive_runs(ids, max_failures=5)
        assert report.counts["failed"] == 4
        assert report.counts["changed"] == 46

    @pytest.mark.parametrize(
        "fault",
        [Fault.server_error(503), Fault.drop_before(), Fault.drop_after(), Fault.error_after(500), Fault.truncated()],
        ids=lambda fault: fault.name,
    )
    @pytest.mark.parametrize("doing", ["archive", "update"])
    def test_when_tallyfy_is_down(self, doing: str, fault: Fault, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(100)
        sandbox.fail("*", "/runs/*", fault, times=None)
        report = hook.archive_runs(ids) if doing == "archive" else hook.update_runs(ids, {"summary": "x"})
        check_sums(report, ids)
        assert "in a row" in report.stopped
        assert report.counts["not_tried"] >= 100 - DOWN_AFTER - 3 * 8
        assert report.retryable()

    def test_by_a_signal_during_requests(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(200)
        change = hook.bulk_change("archive", ids)
        sandbox.when("DELETE", "/runs/*", lambda: change.stop("enough"), after=50)
        report = change.run()
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert 50 <= report.counts["changed"] < 70
        assert report.stopped == "enough"
        assert count(sandbox, "DELETE") == report.counts["changed"], (
            "requests in progress were finished, and no others sent"
        )

    def test_before_it_begins(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        change = hook.bulk_change("archive", sandbox.add_runs(5))
        change.stop("enough")
        assert change.run().counts["not_tried"] == 5
        assert sandbox.requests == []

    @pytest.mark.parametrize("at_once", [False, True])
    def test_while_unclear_answers_are_checked(self, at_once: bool, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(150)
        sandbox.behaviour = Behaviour(archive_body="empty")
        change = hook.bulk_change("archive", ids)
        sandbox.when("GET", "/runs", lambda: change.stop("enough", at_once=at_once))
        report = change.run()
        check_sums(report, ids)
        if at_once:
            assert all("may or may not" in entry.reason for entry in report.entries.values())
            assert report.retryable()
        else:
            assert report.counts["changed"] == 150
        assert report.stopped == "", "all were tried"

    def test_at_once_leaves_unclear_answers_unchecked(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(50)
        sandbox.behaviour = Behaviour(archive_body="empty")
        change = hook.bulk_change("archive", ids)
        sandbox.when("DELETE", "/runs/*", lambda: change.stop("killed", at_once=True), after=20)
        report = change.run()
        check_sums(report, ids)
        assert report.counts["changed"] == 0, "nothing is claimed unread"
        assert count(sandbox, "GET") == 0

    def test_during_a_wait_that_tallyfy_asked_for(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # Rate-limited requests changed nothing, so after a stop they are not repeated.
        ids = sandbox.add_runs(100)
        change = hook.bulk_change("archive", ids)
        sandbox.when("DELETE", "/runs/*", lambda: change.stop("enough"), after=30)
        sandbox.fail("DELETE", "/runs/*", Fault.rate_limited("30"), times=None, after=20)
        report = change.run()
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert report.counts == {"changed": 20, "already": 0, "modified": 0, "failed": 0, "not_tried": 80}
        assert count(sandbox, "DELETE") <= 30 + 8

    def test_during_a_wait_after_a_lost_answer(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run()
        change = hook.bulk_change("archive", [run_id])
        sandbox.fail("DELETE", "/runs/*", Fault.drop_after())
        sandbox.when("DELETE", "/runs/*", lambda: change.stop("enough"))
        sandbox.fail("DELETE", "/runs/*", Fault.rate_limited("30"), times=None)
        report = change.run()
        assert report.counts["changed"] == 1, "a read shows that it is archived"
        assert count(sandbox, "DELETE") == 2

    def test_failure_is_noticed_while_pages_are_read(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # One run on each page, so that the task waits for pages while writes fail.
        ids = sandbox.add_runs(600, unmodified_days=60)
        rows = rows_of(sandbox, ids[::100])
        sandbox.fail("GET", "/runs", Fault.slow(0.05), times=None)
        sandbox.fail("DELETE", "/runs/*", Fault.rate_limited("86400"), times=None)
        report = hook.archive_runs(rows)
        assert "wait longer" in report.stopped
        assert 1 <= report.counts["failed"] <= 6

    def test_unexpected_error_in_a_worker_fails_only_its_run(
        self, sandbox: Sandbox, hook: TallyfyHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = sandbox.add_runs(60)
        change = hook.bulk_change("archive", ids)
        note = _pool.Pool.after_answer
        answered = []

        def broken(self: Any, reply: Any, sent_at: float) -> None:
            answered.append(reply)
            if len(answered) in {20, 21, 22}:
                raise ZeroDivisionError("a mistake")
            note(self, reply, sent_at)

        monkeypatch.setattr(_pool.Pool, "after_answer", broken)
        report = change.run()
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert (report.counts["failed"], report.counts["changed"]) == (3, 57)
        assert all(run["is_archived"] for run in sandbox.runs())
        assert [entry.reason for entry in report.entries.values() if entry.unclear] == [
            "ZeroDivisionError: a mistake; it may or may not have been done"
        ] * 3

    def test_many_unexpected_errors_stop_the_change(
        self, sandbox: Sandbox, hook: TallyfyHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise ZeroDivisionError("a mistake")

        monkeypatch.setattr(_pool.Pool, "after_answer", broken)
        ids = sandbox.add_runs(60)
        report = hook.archive_runs(ids)
        check_sums(report, ids)
        assert report.stopped == f"{DOWN_AFTER} runs ended in unexpected errors"
        assert DOWN_AFTER <= report.counts["failed"] <= DOWN_AFTER + 8

    def test_unexpected_error_outside_the_workers_becomes_an_error_of_this_provider(
        self, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        def broken(report: Report) -> None:
            raise ZeroDivisionError("a mistake")

        ids = sandbox.add_runs(30)
        change = hook.bulk_change("archive", ids, on_progress=broken, progress_every=0)
        with pytest.raises(TallyfyBulkError, match="Ended with an unexpected ZeroDivisionError: a mistake"):
            change.run()
        check_sums(change.report, ids)
        check_truth(sandbox, change.report, archived=True)

    @pytest.mark.parametrize("given", ["ids", "rows"])
    def test_by_an_exception_at_any_line(self, given: str, sandbox: Sandbox, connect: Connect) -> None:
        """2.11 raises the exception at any point of the task's thread. The report still contains every write.

        Tries line after line, until the thread only waits. TestKilled in test_bulk_faults tests the rest.
        """
        steps, was_interrupted = 0, True
        while was_interrupted:
            steps += 1
            was_interrupted = False
            ids = sandbox.add_runs(3)
            change = connect(sandbox).bulk_change("archive", ids if given == "ids" else rows_of(sandbox, ids))
            try:
                with interrupted(after=steps):
                    change.run()
            except Interruption:
                was_interrupted = True
            check_sums_after_interruption(change.report, ids)
            check_truth(sandbox, change.report, archived=True)
        assert 10 < steps < 1000
        assert change.report.complete


class Interruption(BaseException):
    """The exception that a signal handler raises."""


@contextlib.contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Raise an exception in this thread after a number of lines of the code that changes runs."""
    left = after

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in {_bulk.__file__, _pool.__file__}:
            return None
        left -= event == "line"
        if not left and event == "line":
            raise Interruption
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def check_sums_after_interruption(report: Report, ids: list[str]) -> None:
    assert sorted(report.entries) == sorted(ids)
    assert sum(report.counts.values()) == len(ids)
