"""Bulk changes with every fault: the report agrees with the true state, and a retry completes the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs.report import Report
from airflow_provider_tallyfy.api.runs.saved_report import SavedReport, read_report
from airflow_provider_tallyfy.exceptions import TallyfyAuthError, TallyfyUnreachableError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkActivateRunsOperator, TallyfyBulkArchiveRunsOperator
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import Task, check_sums, check_truth, let_time_fly, rows_of, times
from tests.contract._clock import FastClock

Connect = Callable[..., TallyfyHook]

RUNS = 200
TIMEOUT = 0.4


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("tallyfy_", "tallyfy-read"))]


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@dataclass(frozen=True)
class Case:
    """A fault, and the expected result for 200 runs.

    :param fault: the fault.
    :param count: number of requests that meet it; ``None`` = all that follow.
    :param after: number of requests before that.
    :param ends: whether all runs are changed without a retry; ``None`` = depends on which request meets the fault.
    :param stopped: the reason why not all runs were tried, if so.
    """

    fault: Fault
    count: int | None = 30
    after: int = 20
    ends: bool | None = True
    stopped: str = ""


CASES = {
    "429 in seconds": Case(Fault.rate_limited("1"), 12),
    "429 in a storm": Case(Fault.rate_limited("2"), 60, 10),
    "429 at once": Case(Fault.rate_limited("1"), 8, 0),
    "429 with a date": Case(Fault.rate_limited(in_seconds(2)), 12),
    "429 with a date in the past": Case(Fault.rate_limited(in_seconds(-60)), 12),
    "429 with garbage": Case(Fault.rate_limited("soon"), 12),
    "429 with a negative number": Case(Fault.rate_limited("-5"), 12),
    "429 without a word": Case(Fault.rate_limited(None), 12),
    "429 in HTML": Case(Fault.rate_limited(None, html=True), 12),
    "429 for an hour": Case(Fault.rate_limited("3600"), None, 60, False, "wait longer"),
    "503": Case(Fault.server_error(503), 3),
    "500 in HTML": Case(Fault.server_error(500, html=True), 3),
    "500 with a stack": Case(Fault.server_error(500, leak=True), 3),
    "503 for some": Case(Fault.server_error(503), 24, ends=None),
    "permanent 504": Case(Fault.server_error(504), None, 60, False, "in a row"),
    "error after it was done": Case(Fault.error_after(502)),
    "permanent error after it was done": Case(Fault.error_after(500, html=True), None, 60, False, "in a row"),
    "cut before": Case(Fault.drop_before(), 3),
    "reset before": Case(Fault.drop_before(reset=True), 3),
    "cut before, for some": Case(Fault.drop_before(), 24, ends=None),
    "cut after": Case(Fault.drop_after()),
    "reset after": Case(Fault.drop_after(reset=True)),
    "permanently cut": Case(Fault.drop_before(), None, 60, False, "in a row"),
    "half an answer": Case(Fault.truncated()),
    "a web page instead of an answer": Case(Fault.not_json()),
    "permanently no JSON": Case(Fault.not_json(html=False), None, 0),
    "success without the run": Case(Fault.unreadable_page(), None, 0),
    "answers that come late": Case(Fault.slow(0.02), None, 0),
    "answers that come too late": Case(Fault.slow_after(2 * TIMEOUT), 6),
    "requests that arrive too late": Case(Fault.slow(1.5 * TIMEOUT), 6),
    "403": Case(Fault.status(403), 5, ends=False),
    "418": Case(Fault.status(418), 5, ends=False),
    "a redirect": Case(Fault.redirect("https://elsewhere.example/"), 5, ends=False),
    "a 404 that lies": Case(Fault.status(404), 5, ends=False),
    "a 404 in HTML": Case(Fault.status(404, "<h1>Not Found</h1>"), 5, ends=False),
    "a 422": Case(Fault.status(422, {"message": "No.", "errors": {"run": ["locked"]}}), 5, ends=False),
}


#: Faults to test with rows, for which a task reads pages before it writes.
WITH_ROWS = (
    "429 in a storm",
    "429 for an hour",
    "503 for some",
    "error after it was done",
    "cut after",
    "permanently cut",
    "permanently no JSON",
    "a 404 that lies",
)
TABLE = [*((name, "ids") for name in CASES), *((name, "rows") for name in WITH_ROWS)]


class TestArchive:
    @pytest.mark.parametrize(("name", "given"), TABLE)
    def test_report_is_right_and_a_retry_completes_the_work(
        self, name: str, given: str, sandbox: Sandbox, connect: Connect
    ) -> None:
        case = CASES[name]
        ids = sandbox.add_runs(RUNS, "Old", unmodified_days=90)
        others = sandbox.add_runs(5, "Current")
        hook = connect(sandbox, extra={"timeout": TIMEOUT})
        wanted: Any = rows_of(sandbox, ids) if given == "rows" else ids
        sandbox.fail("DELETE", "/runs/*", case.fault, times=case.count, after=case.after)

        report = hook.archive_runs(wanted)

        check_sums(report, ids)
        settle_down(sandbox)
        check_truth(sandbox, report, archived=True)
        if case.ends:
            assert report.counts["changed"] == RUNS, report.summary()
        elif case.ends is False:
            assert not report.complete
            assert case.stopped in report.stopped
            assert bool(report.stopped) is bool(case.stopped), report.stopped
        check_retry(sandbox, hook, report, wanted)
        assert all(run is not None and not run["is_archived"] for run in map(sandbox.run, others))

    @pytest.mark.parametrize("get_archived", ["200", "404"])
    @pytest.mark.parametrize("second_archive", ["200", "404"])
    @pytest.mark.parametrize("archive_body", ["object", "empty", "204"])
    def test_lost_answers_with_every_form_of_reading(
        self, get_archived: Any, second_archive: Any, archive_body: Any, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        sandbox.behaviour = Behaviour(
            get_archived=get_archived, second_archive=second_archive, archive_body=archive_body
        )
        ids = sandbox.add_runs(RUNS)
        sandbox.fail("DELETE", "/runs/*", Fault.drop_after(), times=20, after=20)
        report = hook.archive_runs(ids)
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert report.counts["changed"] == RUNS
        assert all(times(sandbox, run_id, "archived") == 1 for run_id in ids)

    def test_token_revoked_during_the_task(self, sandbox: Sandbox, connect: Connect) -> None:
        ids = sandbox.add_runs(RUNS)
        sandbox.when("DELETE", "/runs/*", lambda: sandbox.revoke(sandbox.token), after=60)
        report = connect(sandbox).archive_runs(ids)
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert report.counts["changed"] == 60
        assert 1 <= report.counts["failed"] <= 9
        assert "access token" in report.stopped
        assert not report.retryable()
        renewed = connect(sandbox, password=sandbox.token_for("standard"))
        check_retry(sandbox, renewed, report, ids)

    def test_token_revoked_before_the_task(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(RUNS))
        sandbox.revoke(sandbox.token)
        change = hook.bulk_change("archive", rows)
        with pytest.raises(TallyfyAuthError):
            change.run()
        check_sums(change.report, [row["id"] for row in rows])
        assert change.report.counts["not_tried"] == RUNS

    def test_light_member(self, sandbox: Sandbox, connect: Connect) -> None:
        ids = sandbox.add_runs(RUNS)
        report = connect(sandbox, password=sandbox.token_for("light")).archive_runs(ids)
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert report.counts["failed"] == RUNS
        assert all("403" in entry.reason for entry in report.entries.values())
        assert not report.retryable()

    def test_server_down_during_the_task(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(RUNS)
        sandbox.when("DELETE", "/runs/*", lambda: gone.start(), after=60)
        gone = threading.Thread(target=sandbox.stop)
        report = hook.archive_runs(ids)
        gone.join()
        check_sums(report, ids)
        check_truth(sandbox, report, archived=True)
        assert "in a row" in report.stopped
        assert report.retryable()
        sandbox.start()
        check_retry(sandbox, hook, report, ids)

    def test_server_down_while_pages_are_read(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(RUNS))
        sandbox.when("DELETE", "/runs/*", lambda: gone.start(), after=10)
        gone = threading.Thread(target=sandbox.stop)
        change = hook.bulk_change("archive", rows)
        try:
            change.run()
        except TallyfyUnreachableError:
            assert "TallyfyUnreachableError" in change.report.stopped
        gone.join()
        check_sums(change.report, [row["id"] for row in rows])
        check_truth(sandbox, change.report, archived=True)
        assert not change.report.complete
        sandbox.start()
        check_retry(sandbox, hook, change.report, rows)


def check_retry(sandbox: Sandbox, hook: TallyfyHook, report: Report, wanted: Any) -> None:
    """Check that a second try without faults changes the remaining runs and no others."""
    sandbox.forget_faults()
    done = [run_id for run_id in report.entries if times(sandbox, run_id, "archived")]
    retried = hook.archive_runs(wanted, look_first=True)
    check_sums(retried, report.entries)
    assert retried.complete, retried.summary()
    assert {run_id for run_id, entry in retried.entries.items() if entry.result == "already"} == set(done)
    assert all(times(sandbox, run_id, "archived") == 1 for run_id in report.entries)
    check_truth(sandbox, retried, archived=True)


def settle_down(sandbox: Sandbox) -> None:
    """Wait until late requests are carried out, also those of a killed process."""
    pause = threading.Event()
    for _ in range(500):
        if all(record.answered_at is not None for record in sandbox.requests):
            return
        pause.wait(0.02)


UPDATES = {
    name: CASES[name]
    for name in (
        "429 in seconds",
        "429 for an hour",
        "503",
        "503 for some",
        "permanent 504",
        "error after it was done",
        "cut before",
        "cut after",
        "reset after",
        "half an answer",
        "a web page instead of an answer",
        "permanently no JSON",
        "success without the run",
        "answers that come too late",
        "403",
        "a 404 that lies",
        "a 422",
    )
}

#: An update whose tags are ignored and then attached one by one has more requests that can fail.
UPDATE_TABLE = [
    *((name, "replace") for name in UPDATES),
    *((name, "ignore") for name in ("429 for an hour", "503 for some", "cut after", "403")),
]


class TestUpdate:
    @pytest.fixture
    def changes(self, sandbox: Sandbox) -> dict[str, Any]:
        return {"summary": "Seen", "add_tags": [sandbox.add_tag("Stale")]}

    def check(self, sandbox: Sandbox, report: Report, changes: dict[str, Any]) -> None:
        members = [run["users"] for run in sandbox.runs()]
        assert all(users == members[0] and users for users in members), "an update lost members"
        for run_id, entry in report.entries.items():
            run = sandbox.run(run_id)
            assert run is not None
            done = run["summary"] == "Seen" and run["tags"] == changes["add_tags"]
            if entry.result in {"changed", "already"}:
                assert done, entry
            elif entry.result == "not_tried":
                assert run["summary"] == "", entry

    @pytest.mark.parametrize(("name", "put_tags"), UPDATE_TABLE)
    def test_report_is_right_and_a_retry_completes_the_work(
        self, name: str, put_tags: Any, sandbox: Sandbox, connect: Connect, changes: dict[str, Any]
    ) -> None:
        case = UPDATES[name]
        sandbox.behaviour = Behaviour(put_tags=put_tags)
        member = sandbox.add_member("ann@example.com")
        ids = sandbox.add_runs(80, users=[member])
        hook = connect(sandbox, extra={"timeout": TIMEOUT})
        sandbox.fail("PUT", "/runs/*", case.fault, times=case.count, after=min(case.after, 40))

        report = hook.update_runs(ids, changes)

        check_sums(report, ids)
        settle_down(sandbox)
        self.check(sandbox, report, changes)
        if case.ends:
            assert report.counts["changed"] == len(ids), report.summary()
        elif case.ends is False:
            assert not report.complete
        sandbox.forget_faults()
        retried = hook.update_runs(ids, changes, look_first=True)
        check_sums(retried, ids)
        assert retried.complete, retried.summary()
        self.check(sandbox, retried, changes)

    def test_token_revoked_during_the_task(self, sandbox: Sandbox, hook: TallyfyHook, changes: dict[str, Any]) -> None:
        ids = sandbox.add_runs(RUNS, users=[sandbox.add_member("ann@example.com")])
        sandbox.when("PUT", "/runs/*", lambda: sandbox.revoke(sandbox.token), after=60)
        report = hook.update_runs(ids, changes)
        check_sums(report, ids)
        self.check(sandbox, report, changes)
        assert "access token" in report.stopped
        # The runs before the sixty-first, except for one whose request body is still being sent at that moment.
        accepted = sum(record.method == "PUT" and record.status == 200 for record in sandbox.requests)
        assert report.counts["changed"] == accepted
        assert 52 <= accepted <= 60

    def test_server_down_during_the_task(self, sandbox: Sandbox, hook: TallyfyHook, changes: dict[str, Any]) -> None:
        ids = sandbox.add_runs(RUNS, users=[sandbox.add_member("ann@example.com")])
        sandbox.when("PUT", "/runs/*", lambda: gone.start(), after=60)
        gone = threading.Thread(target=sandbox.stop)
        report = hook.update_runs(ids, changes)
        gone.join()
        check_sums(report, ids)
        self.check(sandbox, report, changes)
        assert "in a row" in report.stopped
        sandbox.start()
        retried = hook.update_runs(ids, changes, look_first=True)
        assert retried.complete
        self.check(sandbox, retried, changes)


class TestKilled:
    """The process of the task is killed and started again, as Airflow does."""

    @pytest.mark.parametrize(
        ("name", "method", "interrupt"),
        [("TallyfyBulkArchiveRunsOperator", "DELETE", False), ("TallyfyBulkUpdateRunsOperator", "PUT", True)],
        ids=["archive in Airflow 3", "update in Airflow 2"],
    )
    def test_sigterm(
        self,
        name: str,
        method: str,
        interrupt: bool,
        sandbox: Sandbox,
        hook: TallyfyHook,
        tmp_path: Path,
    ) -> None:
        outcome, saved = self.run(sandbox, hook, tmp_path, name, method, signal.SIGTERM, interrupt)
        report = saved.rows
        assert outcome == ("Terminated" if interrupt else "TallyfyBulkError")
        done = {run_id for run_id, row in report.items() if row["result"] == "changed"}
        assert 0 < len(done) < RUNS
        assert {run_id for run_id in report if self.is_done(sandbox, run_id)} == done
        assert {row["result"] for row in report.values()} == {"changed", "not_tried"}

    @pytest.mark.parametrize(
        ("name", "method"),
        [("TallyfyBulkArchiveRunsOperator", "DELETE"), ("TallyfyBulkUpdateRunsOperator", "PUT")],
        ids=["archive", "update"],
    )
    def test_sigkill(self, name: str, method: str, sandbox: Sandbox, hook: TallyfyHook, tmp_path: Path) -> None:
        outcome, saved = self.run(sandbox, hook, tmp_path, name, method, signal.SIGKILL, False)
        assert outcome == ""
        report = saved.rows
        assert len(report) == RUNS, "the report is there from the beginning"
        done = {run_id for run_id in report if self.is_done(sandbox, run_id)}
        told = {run_id for run_id, row in report.items() if row["result"] == "changed"}
        unclear = {run_id for run_id, row in report.items() if row.get("unclear")}
        assert 50 < len(told) < RUNS
        assert told <= done <= told | unclear, "every request was recorded before it was sent"
        assert len(unclear) <= 8, "the requests in progress, and no others"
        if method == "PUT":
            assert all(report[run_id]["before"] == {"summary": ""} for run_id in done)
        doing = (
            hook.archive_runs
            if method == "DELETE"
            else lambda ids, **options: hook.update_runs(ids, {"summary": "Seen"}, **options)
        )
        retried = doing(list(report), look_first=True)
        check_sums(retried, report)
        assert retried.complete
        assert {run_id for run_id, entry in retried.entries.items() if entry.result == "already"} == done
        assert all(self.is_done(sandbox, run_id) for run_id in report)

    @pytest.mark.parametrize("retried", [True, False], ids=["after the retry", "at once"])
    def test_undo_of_what_was_archived_by_a_killed_try(
        self, retried: bool, sandbox: Sandbox, hook: TallyfyHook, tmp_path: Path, task: Task
    ) -> None:
        name = "TallyfyBulkArchiveRunsOperator"
        _, saved = self.run(sandbox, hook, tmp_path, name, "DELETE", signal.SIGKILL, False)
        report = str(tmp_path / "report.jsonl")
        if retried:
            operator = TallyfyBulkArchiveRunsOperator(
                task_id="bulk", tallyfy_conn_id=hook.tallyfy_conn_id, run_ids=list(saved.rows), report_path=report
            )
            task.run(operator, 2, task_id="bulk")
            assert len(sandbox.runs(archived=True)) == RUNS
        task.execute(TallyfyBulkActivateRunsOperator, from_report=report, include_unclear=True)
        assert sandbox.runs(archived=True) == []

    def test_interruption_at_any_moment_leaves_a_right_report(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        """An exception is raised anywhere in the main thread. Nothing hangs, and the report is right."""
        sandbox.add_runs(24)
        sandbox.latency = 0.001
        driver = Path(__file__).with_name("interrupt_driver.py")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(driver), "150", hook.tallyfy_conn_id],
            env={**os.environ, "PYTHONPATH": str(driver.parents[2])},
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("ended ", "interrupted "))]
        assert len(lines) == 150
        assert {line[0] for line in lines} == {"ended", "interrupted"}
        assert [line for line in lines if line[-1] != "right"] == []

    @staticmethod
    def is_done(sandbox: Sandbox, run_id: str) -> bool:
        run = sandbox.run(run_id)
        assert run is not None
        return bool(run["is_archived"]) or run["summary"] == "Seen"

    @staticmethod
    def run(
        sandbox: Sandbox, hook: TallyfyHook, folder: Path, name: str, method: str, sig: int, interrupt: bool
    ) -> tuple[str, SavedReport]:
        """Kill a task after about seventy writes; return its last output and its report."""
        ids = sandbox.add_runs(RUNS)
        sandbox.latency = 0.01
        process: list[subprocess.Popen[str]] = []
        sandbox.when(method, "/runs/*", lambda: os.kill(process[0].pid, sig), after=70)
        path = folder / "report.jsonl"
        more = {"summary": "Seen"} if method == "PUT" else {}
        arguments = {
            "run_ids": ids,
            "tallyfy_conn_id": hook.tallyfy_conn_id,
            "report_path": str(path),
            "interrupt": interrupt,
            **more,
        }
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("bulk_driver.py")), name]
        root = str(Path(__file__).parents[2])
        process.append(
            subprocess.Popen(
                [*command, json.dumps(arguments)],
                env={**os.environ, "PYTHONPATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        output, _ = process[0].communicate(timeout=100)
        sandbox.latency = 0.0
        settle_down(sandbox)
        assert process[0].returncode in {1, -sig}, output
        lines = output.splitlines() if process[0].returncode == 1 else [""]
        return lines[-1], read_report(path.read_text())
