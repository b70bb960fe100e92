"""The operators for many runs: what they take, what they leave in XComs and files, and how they fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.report import UNCLEAR, Report, Target, read_report
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyAuthError,
    TallyfyBulkError,
    TallyfyBulkRefusedError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
    TallyfyListRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import let_time_fly, rows_of
from tests.contract._clock import FastClock
from tests.contract._office import UNKNOWN, truth


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class Task:
    """Executes operators as a task would, and keeps what they push."""

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.pushed: dict[str, Any] = {}

    def execute(self, operator_class: Callable[..., Any], try_number: int = 1, **arguments: Any) -> Any:
        operator = operator_class(task_id="bulk", tallyfy_conn_id=self.conn_id, **arguments)
        return self.run(operator, try_number)

    def run(self, operator: Any, try_number: int = 1) -> Any:
        self.pushed = {}
        return operator.execute({"ti": SimpleNamespace(try_number=try_number, xcom_push=self._push)})

    def _push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))


@pytest.fixture
def task(hook: TallyfyHook) -> Task:
    return Task(hook.tallyfy_conn_id)


@pytest.fixture(params=["file", "object storage"])
def report_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a report, which is not there yet."""
    path = tmp_path / "reports" / "today.jsonl"
    if request.param == "file":
        return str(path)
    path.parent.mkdir()  # a bucket
    return f"file://{path}"


class TestXCom:
    def test_is_small_whatever_the_number(self, sandbox: Sandbox, task: Task) -> None:
        few = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(50))
        many = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(2000))
        assert (few["changed"], many["changed"]) == (50, 2000)
        assert len(json.dumps(many)) - len(json.dumps(few)) < 20

    def test_is_small_though_all_fail(self, sandbox: Sandbox, task: Task) -> None:
        sizes = []
        for number in (50, 400):
            ids = sandbox.add_runs(number)
            sandbox.fail("DELETE", "/runs/*", Fault.status(403, {"message": "No. " * 1000}), times=None)
            with pytest.raises(TallyfyBulkRefusedError) as caught:
                task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids)
            sizes.append(len(json.dumps(task.pushed)))
            assert len(str(caught.value)) < 5000
        assert sizes[1] - sizes[0] < 50
        assert sizes[1] < 20_000

    def test_says_what_was_done(self, sandbox: Sandbox, task: Task) -> None:
        done, ids = sandbox.add_runs(2, archived=True), sandbox.add_runs(3)
        result = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*done, *ids])
        assert result == task.pushed["summary"]
        assert result["sentence"] == "5 runs: 3 archived, 2 already so."
        assert result["doing"] == "archive"
        counts = {name: result[name] for name in ("total", "changed", "already", "modified", "failed", "not_tried")}
        assert counts == {"total": 5, "changed": 3, "already": 2, "modified": 0, "failed": 0, "not_tried": 0}


class TestFailure:
    def test_others_are_done_and_the_task_fails_with_counts(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(10)
        with pytest.raises(TallyfyBulkRefusedError, match="11 runs: 10 archived, 1 failed") as caught:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*ids[:5], UNKNOWN, *ids[5:]])
        assert UNKNOWN in str(caught.value)
        assert isinstance(caught.value, AirflowFailException), "no retry would help"
        assert caught.value.summary == task.pushed["summary"]
        assert all(truth(sandbox, run_id)["is_archived"] for run_id in ids)

    def test_passing_faults_are_worth_a_retry(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        with pytest.raises(TallyfyBulkError, match="A retry does only what is still to do") as caught:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids)
        assert not isinstance(caught.value, AirflowFailException)
        sandbox.heal()
        sandbox.forget_requests()
        result = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, try_number=2)
        assert (result["changed"], result["already"]) == (1, 29)
        assert sum(call.startswith("DELETE") for call in sandbox.calls) == 1

    def test_stopped_early_is_a_failure(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(60)
        sandbox.fail("DELETE", "/runs/*", Fault.rate_limited("3600"), times=None, after=10)
        with pytest.raises(TallyfyBulkError, match="Stopped early: Tallyfy asks to wait longer") as caught:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids)
        assert not isinstance(caught.value, AirflowFailException)
        assert task.pushed["summary"]["not_tried"] >= 40

    def test_revoked_token(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(60)
        sandbox.when("DELETE", "/runs/*", lambda: sandbox.revoke(sandbox.token), after=10)
        with pytest.raises(TallyfyBulkRefusedError, match="access token"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids)
        with pytest.raises(TallyfyAuthError):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=rows_of(sandbox, ids))
        assert task.pushed["summary"]["not_tried"] == 60

    def test_no_token_in_what_is_left_behind(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        ids = sandbox.add_runs(5)
        sandbox.fail("DELETE", "/runs/*", Fault.status(403, {"message": f"Not with {sandbox.token}"}), times=None)
        path = tmp_path / "report.jsonl"
        with pytest.raises(TallyfyBulkRefusedError) as caught:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=str(path))
        assert sandbox.token not in str(caught.value) + json.dumps(task.pushed) + path.read_text()


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({}, "either run_ids or from_report"),
            ({"run_ids": ["a" * 32], "from_report": "x"}, "either run_ids or from_report"),
            ({"run_ids": "['a', 'b']"}, "render_template_as_native_obj"),
            ({"run_ids": ["a" * 32], "max_runs": "many"}, "max_runs='many' is not a whole number"),
            ({"run_ids": ["a" * 32], "max_runs": True}, "max_runs=True"),
            ({"run_ids": ["a" * 32], "max_runs": "-1"}, "max_runs='-1'"),
            ({"run_ids": ["a" * 32], "max_runs": "0"}, "max_runs=0"),
            ({"run_ids": ["a" * 32], "dry_run": "maybe"}, "dry_run='maybe'"),
            ({"run_ids": ["a" * 32], "skip_modified": "perhaps"}, "skip_modified='perhaps'"),
            ({"run_ids": ["a" * 32, "b" * 32], "max_runs": "1"}, "max_runs allows 1"),
            ({"from_report": "/no/such/report.jsonl"}, "There is no report at"),
        ],
    )
    def test_refused(self, arguments: dict[str, Any], words: str, sandbox: Sandbox, task: Task) -> None:
        with pytest.raises(TallyfyArgumentError, match=words):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        assert sandbox.requests == []

    @pytest.mark.parametrize(("text", "dry"), [("true", True), ("True", True), ("false", False), ("", False)])
    def test_dry_run_from_a_template(self, text: str, dry: bool, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(3)
        result = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, dry_run=text)
        assert result["dry_run"] is dry
        assert all(truth(sandbox, run_id)["is_archived"] is not dry for run_id in ids)

    @pytest.mark.parametrize("blank", ["", None, "None"])
    def test_blank_is_not_given(self, blank: Any, sandbox: Sandbox, task: Task) -> None:
        result = task.execute(
            TallyfyBulkArchiveRunsOperator,
            run_ids=sandbox.add_runs(3),
            max_runs=blank,
            max_failures=blank,
            skip_modified=blank,
        )
        assert result["changed"] == 3

    def test_numbers_from_templates(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(25)
        sandbox.fail("DELETE", "/runs/*", Fault.status(403), times=None)
        with pytest.raises(TallyfyBulkRefusedError, match=r"max_failures=2"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, max_runs="25", max_failures=" 2 ")

    def test_flag_from_a_template(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(3, untouched_days=30)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[0])
        assert task.execute(TallyfyBulkArchiveRunsOperator, run_ids=rows, skip_modified="false")["changed"] == 3

    def test_every_argument_but_concurrency_is_a_template(self) -> None:
        fields = TallyfyBulkArchiveRunsOperator.template_fields
        assert {"run_ids", "from_report", "max_runs", "max_failures", "skip_modified", "report_path"} <= set(fields)
        operator = TallyfyBulkUpdateRunsOperator(task_id="t", run_ids=[])
        assert all(hasattr(operator, name) for name in operator.template_fields)


class TestReportFile:
    def test_holds_every_run(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids, done = sandbox.add_runs(40, "Grüße"), sandbox.add_runs(2, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*ids, *done], report_path=report_path)
        rows = _report_files.load(report_path)
        assert {run_id: row["result"] for run_id, row in rows.items()} == {
            **dict.fromkeys(ids, "changed"),
            **dict.fromkeys(done, "already"),
        }
        assert rows[ids[0]]["name"] == "Grüße 1"

    def test_undo(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(120, untouched_days=60))
        done = sandbox.add_runs(3, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*rows, *done], report_path=report_path)
        modified = rows[7]["id"]
        sandbox.organization.runs[modified].last_updated += 60
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)
        assert (result["total"], result["changed"], result["modified"]) == (120, 119, 1)
        assert all(truth(sandbox, run_id)["is_archived"] for run_id in (*done, modified))
        assert sum(run["is_archived"] for run in sandbox.runs()) == 4

    def test_undo_of_a_dry_run_is_nothing(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(5)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path, dry_run=True)
        for run_id in ids:
            sandbox.archive(run_id)
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["total"] == 0
        assert all(truth(sandbox, run_id)["is_archived"] for run_id in ids)

    def test_retries_add_up(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        sandbox.heal()
        result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["already"]) == (30, 0), "all of it is this task's doing"
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 30

    def test_what_a_killed_try_could_not_note(
        self,
        report_path: str,
        sandbox: Sandbox,
        task: Task,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """SIGKILL between an archived run and the next look at the clock: the retry can't tell who archived it."""
        for operator in (TallyfyBulkArchiveRunsOperator, TallyfyBulkActivateRunsOperator):
            # Airflow 3's own way of logging passes caplog by.
            monkeypatch.setattr(operator, "log", logging.getLogger("task"), raising=False)
        ids = sandbox.add_runs(5)
        _report_files.save(report_path, Report.of("archive", [Target(run_id) for run_id in ids]))
        sandbox.archive(ids[0])
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["already"]) == (4, 1)
        rows = _report_files.load(report_path)
        assert [run_id for run_id, row in rows.items() if row.get("reason") == UNCLEAR] == [ids[0]]
        name = sandbox.organization.runs[ids[0]].name
        assert f"already: {ids[0]} {name}: {UNCLEAR}" in caplog.text
        # Nobody knows whose doing it was, so the undo leaves it, and says so.
        caplog.clear()
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 4
        assert truth(sandbox, ids[0])["is_archived"]
        assert [record.getMessage() for record in caplog.records if ids[0] in record.getMessage()] == [
            f"1 run of the report may have been changed by a try that was killed, or by somebody; left alone: {ids[0]}"
        ]

    def test_a_retry_that_is_killed_keeps_what_is_known(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
        sandbox.fail("GET", "/runs", Fault.status(403), times=None)
        with pytest.raises(AirflowFailException):
            task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
        rows = _report_files.load(report_path)
        assert sum(row["result"] == "changed" for row in rows.values()) == 29
        assert all(row["last_updated"] for row in rows.values() if row["result"] == "changed")
        sandbox.heal()
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 29

    def test_of_another_day_is_not_taken_for_an_earlier_try(
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

    def test_that_cannot_be_written_fails_before_the_first_write(
        self, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            task.execute(
                TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / "file" / "x")
            )
        assert sandbox.requests == []

    def test_that_cannot_be_written_any_more_loses_no_summary(
        self, sandbox: Sandbox, task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        save, saved = _report_files.save, []

        def failing(path: str, report: Any) -> None:
            saved.append(path)
            if len(saved) > 1:
                raise OSError("disk full")
            save(path, report)

        monkeypatch.setattr(_report_files, "save", failing)
        with pytest.raises(OSError, match="disk full"):
            task.execute(
                TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / "r.jsonl")
            )
        assert task.pushed["summary"]["changed"] == 3

    def test_that_is_none(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        path = tmp_path / "no.jsonl"
        path.write_text("Dear all,\nthis is no report.\n")
        with pytest.raises(TallyfyArgumentError, match=r"no\.jsonl: line 1 is no line of a bulk report"):
            task.execute(TallyfyBulkActivateRunsOperator, from_report=str(path))
        assert sandbox.requests == []

    def test_no_part_is_left_behind(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / "r.jsonl"))
        assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


class TestOnKill:
    def test_while_it_writes(self, sandbox: Sandbox, task: Task, hook: TallyfyHook, tmp_path: Path) -> None:
        path = tmp_path / "r.jsonl"
        operator = TallyfyBulkArchiveRunsOperator(
            task_id="bulk",
            run_ids=sandbox.add_runs(100),
            tallyfy_conn_id=hook.tallyfy_conn_id,
            report_path=str(path),
        )
        sandbox.when("DELETE", "/runs/*", operator.on_kill, after=30)
        with pytest.raises(TallyfyBulkError, match="the task was killed"):
            task.run(operator)
        rows = read_report(path.read_text())
        assert {run_id for run_id, row in rows.items() if row["result"] == "changed"} == {
            run["id"] for run in sandbox.runs(archived=True)
        }
        assert task.pushed["summary"]["not_tried"] > 50

    def test_before_it_began(self, sandbox: Sandbox, task: Task, hook: TallyfyHook) -> None:
        # While titles are looked up, there is nothing yet that could be stopped.
        sandbox.add_tag("Stale")
        operator = TallyfyBulkUpdateRunsOperator(
            task_id="bulk",
            run_ids=sandbox.add_runs(100),
            tallyfy_conn_id=hook.tallyfy_conn_id,
            add_tags=["Stale"],
        )
        sandbox.when("GET", "/tags", operator.on_kill)
        with pytest.raises(TallyfyBulkError, match="the task was killed"):
            task.run(operator)
        assert [record.method for record in sandbox.requests] == ["GET"]

    def test_when_it_never_began(self, hook: TallyfyHook) -> None:
        TallyfyBulkArchiveRunsOperator(task_id="bulk", run_ids=[], tallyfy_conn_id=hook.tallyfy_conn_id).on_kill()


class TestUpdate:
    def test_tags_by_title(self, sandbox: Sandbox, task: Task) -> None:
        stale = sandbox.add_tag("Stale")
        ids = sandbox.add_runs(10, users=[sandbox.add_member("ann@example.com")])
        result = task.execute(
            TallyfyBulkUpdateRunsOperator, run_ids=ids, add_tags=["stale", "New"], create_missing_tags=True, summary="x"
        )
        assert result["sentence"] == "10 runs: 10 updated."
        assert all(stale in run["tags"] and len(run["tags"]) == 2 and run["users"] for run in sandbox.runs())

    def test_what_an_earlier_try_began_is_finished(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        # The first try wrote the summary, and could not attach the tag; so the run was modified, by that try itself.
        sandbox.behaviour = Behaviour(put_tags="ignore")
        sandbox.add_tag("Stale")
        ids = sandbox.add_runs(3, untouched_days=60)
        arguments: dict[str, Any] = {
            "run_ids": rows_of(sandbox, ids),
            "report_path": str(tmp_path / "r.jsonl"),
            "add_tags": ["Stale"],
            "summary": "Seen",
        }
        sandbox.fail("POST", "/checklists/tags", Fault.status(403))
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
        sandbox.heal()
        result = task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["modified"]) == (3, 0)
        assert all(len(run["tags"]) == 1 for run in sandbox.runs())

    def test_what_may_be_an_earlier_try_is_called_so(self, sandbox: Sandbox, task: Task) -> None:
        # Without the earlier report there is no telling.
        ids = sandbox.add_runs(2, untouched_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[0])
        result = task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, run_ids=rows, summary="Seen")
        assert result["modified"] == 1
        assert "or by an earlier try of this task" in result["examples"]["modified"][0]["reason"]


class TestListToBulk:
    def test_the_whole_sweep_and_its_undo(self, sandbox: Sandbox, task: Task, report_path: str) -> None:
        stale = sandbox.add_runs(230, "Old", untouched_days=60)
        busy = sandbox.add_runs(120, "Busy", days_old=60, untouched_days=1)
        rows = task.execute(TallyfyListRunsOperator, stale_after="P30D", status="active")
        assert json.loads(json.dumps(rows)) == rows
        assert task.pushed["run_ids"] == [row["id"] for row in rows]
        assert sorted(row["id"] for row in rows) == sorted(stale)
        sandbox.touch(stale[0])
        swept = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=rows, max_runs="300", report_path=report_path)
        assert (swept["changed"], swept["modified"]) == (229, 1)
        assert all(not truth(sandbox, run_id)["is_archived"] for run_id in (*busy, stale[0]))
        restored = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)
        assert restored["changed"] == 229
        assert sandbox.runs(archived=True) == []

    def test_blank_filters_are_not_given(self, sandbox: Sandbox, task: Task) -> None:
        sandbox.add_runs(5)
        blank: dict[str, Any] = dict.fromkeys(
            ("q", "status", "archived", "owner_id", "template", "tag", "limit", "order"), ""
        )
        assert len(task.execute(TallyfyListRunsOperator, **blank)) == 5

    @pytest.mark.parametrize(("text", "number"), [("true", 7), ("false", 5), ("only", 2)])
    def test_archived_from_a_template(self, text: str, number: int, sandbox: Sandbox, task: Task) -> None:
        sandbox.add_runs(5)
        sandbox.add_runs(2, archived=True)
        assert len(task.execute(TallyfyListRunsOperator, archived=text)) == number

    def test_limit_and_fields(self, sandbox: Sandbox, task: Task) -> None:
        sandbox.add_runs(5)
        rows = task.execute(TallyfyListRunsOperator, limit="2", fields=["name", "owner_id"])
        assert [set(row) for row in rows] == [{"id", "name", "owner_id"}] * 2
