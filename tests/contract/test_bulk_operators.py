"""The bulk operators: their arguments, XComs, files and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.saved_report import read_report
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyAuthError,
    TallyfyBulkError,
    TallyfyBulkRefusedError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
    TallyfyListRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import Task, let_time_fly, rows_of
from tests.contract._clock import FastClock
from tests.contract._example_organization import UNKNOWN, truth


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class TestXCom:
    def test_is_small_for_any_number_of_runs(self, sandbox: Sandbox, task: Task) -> None:
        few = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(50))
        many = task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(2000))
        assert (few["changed"], many["changed"]) == (50, 2000)
        assert len(json.dumps(many)) - len(json.dumps(few)) < 20

    def test_is_small_even_if_all_runs_fail(self, sandbox: Sandbox, task: Task) -> None:
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
        assert result["sentence"] == "5 runs: 3 archived, 2 already archived."
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

    def test_temporary_failures_allow_a_retry(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        sandbox.fail("DELETE", f"/runs/{ids[3]}", Fault.server_error(503), times=None)
        with pytest.raises(TallyfyBulkError, match="A retry changes only the remaining runs") as caught:
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids)
        assert not isinstance(caught.value, AirflowFailException)
        sandbox.forget_faults()
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

    def test_no_token_in_xcoms_log_and_report(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
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
            ({}, "run_ids=None is empty.*the upstream task returned nothing.*Give either run_ids or from_report"),
            ({"run_ids": ""}, "run_ids='' is empty.*the upstream task returned nothing"),
            ({"run_ids": ["a" * 32], "from_report": "x"}, "run_ids and from_report are both given"),
            ({"run_ids": {"id": "a" * 32}}, "one row, not a list"),
            ({"run_ids": ["a" * 32, None]}, r"run_ids\[1\]=None is empty.*the upstream task returned nothing"),
            ({"run_ids": "['a', 'b']"}, "render_template_as_native_obj"),
            ({"run_ids": ["a" * 32], "max_runs": "many"}, "max_runs='many' is not a whole number"),
            ({"run_ids": ["a" * 32], "max_runs": True}, "max_runs=True"),
            ({"run_ids": ["a" * 32], "max_runs": "-1"}, "max_runs='-1'"),
            ({"run_ids": ["a" * 32], "max_runs": "0"}, "max_runs=0"),
            ({"run_ids": ["a" * 32], "max_failures": 0}, "max_failures=0"),
            ({"run_ids": ["a" * 32], "concurrency": 65}, "concurrency=65 is not a whole number from 1 to 64"),
            ({"run_ids": ["a" * 32], "concurrency": None}, "concurrency=None"),
            ({"run_ids": ["a" * 32], "report_path": "nosuch://x/y"}, "report 'nosuch://x/y' can't be read"),
            (
                {"run_ids": ["a" * 32], "report_path": "s3://x/y"},
                r"'s3://x/y' can't be read: .*need apache-airflow-providers-amazon\[s3fs\]",
            ),
            ({"from_report": "gs://x/y"}, "'gs://x/y' can't be read: .*need apache-airflow-providers-google and gcsfs"),
            ({"run_ids": ["a" * 32], "dry_run": "maybe"}, "dry_run='maybe'"),
            ({"run_ids": ["a" * 32], "skip_modified": "perhaps"}, "skip_modified='perhaps'"),
            ({"run_ids": ["a" * 32, "b" * 32], "max_runs": "1"}, "but max_runs is 1"),
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

    def test_numbers_in_strings_are_rendered_templates(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(25)
        sandbox.fail("DELETE", "/runs/*", Fault.status(403), times=None)
        with pytest.raises(TallyfyBulkRefusedError, match=r"max_failures=2"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, max_runs="25", max_failures=" 2 ")

    def test_flag_in_a_string_is_a_rendered_template(self, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(3, unmodified_days=30)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[0])
        assert task.execute(TallyfyBulkArchiveRunsOperator, run_ids=rows, skip_modified="false")["changed"] == 3

    def test_every_argument_but_concurrency_is_a_template(self) -> None:
        fields = TallyfyBulkArchiveRunsOperator.template_fields
        assert {"run_ids", "from_report", "max_runs", "dry_run", "max_failures", "skip_modified", "report_path"} <= set(
            fields
        )
        operator = TallyfyBulkUpdateRunsOperator(task_id="t", run_ids=[], summary="x")
        assert all(hasattr(operator, name) for name in operator.template_fields)

    def test_run_ids_that_render_to_none_are_refused(self, sandbox: Sandbox, task: Task) -> None:
        operator = TallyfyBulkArchiveRunsOperator(
            task_id="bulk", tallyfy_conn_id=task.conn_id, run_ids="{{ none }}", max_runs="{{ n }}"
        )
        operator.run_ids = None
        operator.max_runs = "5"
        with pytest.raises(TallyfyArgumentError, match=r"run_ids=None is empty\. If it comes from XCom"):
            task.run(operator)
        operator.run_ids, operator.max_runs = ["a" * 32], "five"
        with pytest.raises(TallyfyArgumentError, match="max_runs='five'"):
            task.run(operator)
        assert sandbox.requests == []


class TestOnKill:
    def test_kill_during_the_writes_leaves_a_right_report(
        self, sandbox: Sandbox, task: Task, hook: TallyfyHook, tmp_path: Path
    ) -> None:
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
        rows = read_report(path.read_text()).rows
        assert {run_id for run_id, row in rows.items() if row["result"] == "changed"} == {
            run["id"] for run in sandbox.runs(archived=True)
        }
        assert task.pushed["summary"]["not_tried"] > 50

    def test_kill_during_the_look_up_of_titles_writes_nothing(
        self, sandbox: Sandbox, task: Task, hook: TallyfyHook
    ) -> None:
        # While titles are looked up, there is no bulk change yet that could be stopped.
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

    def test_kill_before_execute_does_nothing(self, hook: TallyfyHook) -> None:
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

    def test_retry_completes_an_update_that_an_earlier_try_began(
        self, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        # The first try wrote the summary but could not attach the tag, so that try itself modified the run.
        sandbox.behaviour = Behaviour(put_tags="ignore")
        sandbox.add_tag("Stale")
        ids = sandbox.add_runs(3, unmodified_days=60)
        arguments: dict[str, Any] = {
            "run_ids": rows_of(sandbox, ids),
            "report_path": str(tmp_path / "r.jsonl"),
            "add_tags": ["Stale"],
            "summary": "Seen",
        }
        sandbox.fail("POST", "/checklists/tags", Fault.status(403))
        with pytest.raises(TallyfyBulkError):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
        sandbox.forget_faults()
        result = task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, **arguments)
        assert (result["changed"], result["modified"]) == (3, 0)
        assert all(len(run["tags"]) == 1 for run in sandbox.runs())

    def test_reason_names_an_earlier_try_as_possible_cause_of_a_modification(
        self, sandbox: Sandbox, task: Task
    ) -> None:
        # Without the report of the earlier try, nobody knows who modified the run.
        ids = sandbox.add_runs(2, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[0])
        result = task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, run_ids=rows, summary="Seen")
        assert result["modified"] == 1
        assert "or by an earlier try of this task" in result["examples"]["modified"][0]["reason"]


class TestListToBulk:
    def test_the_whole_sweep_and_its_undo(self, sandbox: Sandbox, task: Task, report_path: str) -> None:
        stale = sandbox.add_runs(230, "Old", unmodified_days=60)
        busy = sandbox.add_runs(120, "Busy", days_old=60, unmodified_days=1)
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
