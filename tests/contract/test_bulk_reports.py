"""The report file of a bulk task: its contents are never lost, and it never overwrites the report of other work."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.report import Report, targets
from airflow_provider_tallyfy.api.runs.saved_report import Header, read_report
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyBulkError,
    TallyfyReportError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._bulk import Task, let_time_fly, live, rows_in, rows_of
from tests.contract._clock import FastClock
from tests.contract._example_organization import truth


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class TestReportFile:
    def test_contains_every_run(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids, done = sandbox.add_runs(40, "Grüße"), sandbox.add_runs(2, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*ids, *done], report_path=report_path)
        rows = rows_in(report_path)
        assert {run_id: row["result"] for run_id, row in rows.items()} == {
            **dict.fromkeys(ids, "changed"),
            **dict.fromkeys(done, "already"),
        }
        assert rows[ids[0]]["name"] == "Grüße 1"

    def test_undo(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(120, unmodified_days=60))
        done = sandbox.add_runs(3, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*rows, *done], report_path=report_path)
        modified = rows[7]["id"]
        sandbox.organization.runs[modified].last_updated += 60
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)
        assert (result["total"], result["changed"], result["modified"]) == (120, 119, 1)
        assert all(truth(sandbox, run_id)["is_archived"] for run_id in (*done, modified))
        assert sum(run["is_archived"] for run in sandbox.runs()) == 4

    def test_retries_add_up(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        sandbox.forget_faults()
        result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["already"]) == (30, 0), "this task changed all of them"
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 30

    def test_killed_retry_keeps_the_results_of_the_first_try(
        self, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        sandbox.fail("GET", "/runs", Fault.status(403), times=None)
        with pytest.raises(AirflowFailException):
            task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        rows = rows_in(report_path)
        assert sum(row["result"] == "changed" for row in rows.values()) == 29
        assert all(row["last_updated"] for row in rows.values() if row["result"] == "changed")
        sandbox.forget_faults()
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 29

    def test_report_of_another_dag_run_is_not_an_earlier_try(
        self, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        ids = sandbox.add_runs(5)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        sandbox.fail("GET", "/runs", Fault.status(403), times=1)
        rows = [{"id": run_id, "last_updated": "2026-01-01T00:00:00Z"} for run_id in ids]
        with pytest.raises(AirflowFailException):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=rows, report_path=report_path)
        result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["already"]) == (0, 5)

    def test_no_temporary_file_is_left(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / "r.jsonl"))
        assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


class Broken(Exception):
    """Like the error that Airflow raises when its API is down."""


class TestSaved:
    """No failure around the task loses its results."""

    @pytest.mark.parametrize("broken", ["push", "log"])
    def test_report_is_saved_before_airflow_can_fail(
        self, broken: str, report_path: str, sandbox: Sandbox, task: Task, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise Broken

        ids = sandbox.add_runs(40)
        with monkeypatch.context() as patch:
            place: Any = task if broken == "push" else _report_files
            patch.setattr(place, broken, fail)
            with pytest.raises(Broken):
                task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        assert (bool(task.pushed), live(sandbox)) == (broken == "log", 0)
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 40
        assert live(sandbox) == 40

    def test_each_run_is_recorded_before_its_request_is_sent(
        self, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        path = tmp_path / "r.jsonl"
        sandbox.latency = 0.002
        ids = sandbox.add_runs(60)
        known: list[tuple[bool, int]] = []

        def look() -> None:
            asked = sandbox.requests[-1].call.rpartition("/")[2]
            rows = read_report(path.read_text()).rows
            unknown = [run_id for run_id, row in rows.items() if row.get("unclear")]
            known.append((asked in unknown, len(unknown)))

        sandbox.when("DELETE", "/runs/*", look, times=None)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=str(path))
        assert len(known) == 60
        assert all(noted for noted, _ in known)
        assert max(number for _, number in known) <= 2 * 8, "the results of the others are recorded too"
        assert not any(row.get("unclear") for row in rows_in(str(path)).values())

    def test_untried_runs_are_unclear_in_object_storage_until_the_task_ends(
        self, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        path = f"file://{tmp_path}/r.jsonl"
        ids = sandbox.add_runs(30)
        unclear: list[int] = []
        sandbox.when(
            "DELETE",
            "/runs/*",
            lambda: unclear.append(sum(bool(row.get("unclear")) for row in rows_in(path).values())),
        )
        sandbox.fail("DELETE", "/runs/*", Fault.rate_limited("3600"), times=None, after=10)
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=path)
        assert unclear == [30]
        rows = rows_in(path).values()
        assert sum(row["result"] == "not_tried" for row in rows) > 10
        assert not any(row.get("unclear") for row in rows if row["result"] == "not_tried")

    @pytest.mark.parametrize("when", ["at the beginning", "on the way", "at the end"])
    def test_full_disk_at_any_moment_loses_no_result(
        self, when: str, sandbox: Sandbox, task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path, written = tmp_path / "r.jsonl", _report_files.ReportFile.write
        moments: list[str] = []

        def full(*_: Any, **__: Any) -> int:
            raise OSError(28, "No space left on device")

        def writing(self: Any, report: Report, *, ended: bool = False) -> None:
            moments.append("at the end" if ended else "at the beginning")
            if moments[-1] == when:
                monkeypatch.setattr(Path, "write_text", full)
            written(self, report, ended=ended)

        monkeypatch.setattr(_report_files.ReportFile, "write", writing)
        if when == "on the way":
            monkeypatch.setattr(os, "write", full)
        arguments = {"run_ids": sandbox.add_runs(20), "report_path": str(path)}
        if when == "on the way":
            assert task.execute(TallyfyBulkArchiveRunsOperator, **arguments)["changed"] == 20
            return
        with pytest.raises(TallyfyReportError, match=r"r\.jsonl' can't be written: OSError: .* No space left"):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        assert len(sandbox.requests) == (0 if when == "at the beginning" else 20)
        if when == "at the end":
            assert task.pushed["summary"]["changed"] == 20
            assert [row["result"] for row in rows_in(str(path)).values()] == ["changed"] * 20

    @pytest.mark.parametrize("path", ["file/x", "folder", "\0"])
    def test_unwritable_path_is_refused_before_anything_is_sent(
        self, path: str, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        with pytest.raises(TallyfyArgumentError, match="can't be"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / path))
        assert sandbox.requests == []

    def test_file_that_is_not_a_report_is_not_overwritten(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("password: hunter2\n")
        for arguments in ({"report_path": str(path), "run_ids": sandbox.add_runs(2)}, {"from_report": str(path)}):
            with pytest.raises(
                TallyfyArgumentError, match=r"notes\.txt.*line 1 is not a line of a bulk report"
            ) as caught:
                task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
            assert "hunter2" not in str(caught.value)
        assert (path.read_text(), sandbox.requests) == ("password: hunter2\n", [])

    @pytest.mark.parametrize(
        ("first", "second", "words"),
        [
            ({"identity": {"map_index": 3}}, {}, "it belongs to another task"),
            ({"identity": {"task_id": "guard"}}, {}, "it belongs to another task"),
            ({"identity": {"dag_id": "other", "run_id": "r9"}}, {}, "it belongs to another task"),
            ({}, {"dry_run": True}, "this is a dry run"),
            ({}, {"dry_run": True, "try_number": 2}, "this is a dry run"),
            ({}, {"identity": {"run_id": "r2"}}, None),
            ({"dry_run": True}, {}, None),
            ({"dry_run": True, "identity": {"task_id": "guard"}}, {}, None),
        ],
    )
    def test_report_of_other_work_is_not_overwritten(
        self, first: Any, second: Any, words: str | None, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        old, new = sandbox.add_runs(3), sandbox.add_runs(4)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=old, report_path=report_path, **first)
        if words is None:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=new, report_path=report_path, **second)
            assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 4
            return
        sandbox.forget_requests()
        with pytest.raises(TallyfyArgumentError, match=f"contains a report that would be lost: {words}"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=new, report_path=report_path, **second)
        assert sandbox.requests == []
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 3

    def test_two_tasks_that_write_to_one_path_at_the_same_time_lose_no_report(
        self, report_path: str, sandbox: Sandbox, task: Task, clock: FastClock
    ) -> None:
        # Object storage has no lock. With real time, the moment between a read and a write is short compared with the
        # seconds between two writes. A clock that runs 500 times faster would change that.
        clock.speed = 1.0
        first, second = sandbox.add_runs(20), sandbox.add_runs(5)
        other = Header("archive", sandbox.organization_id, dag_id="sweep", dag_run_id="r1", task_id="t", map_index=1)
        report = Report.of("archive", targets("run_ids", second))
        sandbox.when("DELETE", "/runs/*", lambda: _report_files.ReportFile(report_path, other).write(report), after=10)
        with pytest.raises(TallyfyArgumentError, match="was overwritten by another task in the meantime"):
            task.execute(
                TallyfyBulkArchiveRunsOperator, run_ids=first, report_path=report_path, identity={"task_id": "bulk"}
            )
        assert task.pushed["summary"]["changed"] == 20
        assert list(rows_in(report_path)) == second
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=f"{report_path}.bulk.0")["changed"] == 20

    def test_rewrite_keeps_the_report_that_another_task_wrote_in_between(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """Object storage cannot append lines, so the report is rewritten every few seconds."""
        path = f"file://{tmp_path}/today.jsonl"
        mine, others = sandbox.add_runs(2), sandbox.add_runs(3)
        own = Header("archive", sandbox.organization_id, dag_id="sweep", dag_run_id="r1", task_id="mine")
        file = _report_files.ReportFile(path, own)
        report = Report.of("archive", targets("run_ids", mine))
        file.write(report)
        _report_files.ReportFile(path, replace(own, task_id="other")).write(
            Report.of("archive", targets("run_ids", others)), ended=True
        )
        file.write(report)
        with pytest.raises(TallyfyArgumentError, match="was overwritten by another task in the meantime"):
            file.write(report, ended=True)
        assert list(rows_in(path)) == others
        assert list(rows_in(f"{path}.mine.0")) == mine

    def test_abandoned_try_that_goes_on_keeps_the_results_of_the_next_try(
        self, report_path: str, sandbox: Sandbox, task: Task, clock: FastClock
    ) -> None:
        """Airflow lost contact with the first try and started another one, while the first is still running."""
        clock.speed = 1.0
        ids = sandbox.add_runs(30)
        identity = ("sweep", "r1", "TallyfyBulkArchiveRunsOperator")
        header = Header("archive", sandbox.organization_id, False, *identity, try_number=2, began=_report_files.now())

        def second_try() -> None:
            file = _report_files.ReportFile(report_path, header)
            file.look()
            change = TallyfyHook(task.conn_id).bulk_change("archive", ids, look_first=True, on_note=file.add)
            file.write(change.report)
            file.write(change.run(), ended=True)

        def next_try() -> None:
            threads.append(threading.Thread(target=second_try))
            threads[0].start()

        threads: list[threading.Thread] = []
        sandbox.latency = 0.01
        sandbox.when("DELETE", "/runs/*", next_try, after=10)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        threads[0].join()
        assert live(sandbox) == 0
        assert (
            task.execute(
                TallyfyBulkActivateRunsOperator, from_report=report_path, include_unclear=True, skip_modified=False
            )["changed"]
            == 30
        )

    def test_partial_line_does_not_make_the_report_unreadable(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids, write = sandbox.add_runs(3), os.write
        file = _report_files.ReportFile(str(tmp_path / "r.jsonl"), Header("archive", "o"))
        file.write(Report.of("archive", targets("run_ids", ids)))

        def full(descriptor: int, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[:20])

        file.add([], [ids[0]])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(TallyfyReportError, match="No space left"):
                file.add([], [ids[1]])
        file.add([], [ids[2]])
        file.close()
        assert [bool(row.get("unclear")) for row in rows_in(file.path).values()] == [True, False, True]

    def test_full_disk_is_logged_once(
        self, sandbox: Sandbox, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(TallyfyBulkArchiveRunsOperator, "log", logging.getLogger("task"), raising=False)
        lines: list[str] = []
        monkeypatch.setattr(logging.getLogger("task"), "warning", lambda message, *args: lines.append(message % args))

        def full(*_: Any) -> None:
            raise TallyfyReportError("full")

        monkeypatch.setattr(_report_files.ReportFile, "add", full)
        task.execute(
            TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(50), report_path=str(tmp_path / "r.jsonl")
        )
        assert lines.count("full") == 1

    def test_cleared_dag_run_keeps_the_runs_that_are_no_longer_found(
        self, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        # The DAG run was cleared: the search no longer finds the runs that the first try archived.
        ids = sandbox.add_runs(10)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids[:6], report_path=report_path)
        again = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, run_ids=ids[6:], report_path=report_path)
        assert again["changed"] == 10
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 10
        assert live(sandbox) == 10
