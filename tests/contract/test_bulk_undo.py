"""Undo with the report of a bulk task: the runs that it takes, the reports that it refuses, and the restored values."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.report import UNCLEAR, Report, targets
from airflow_provider_tallyfy.api.runs.saved_report import Header
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyBulkRefusedError,
    TallyfyError,
)
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import Task, let_time_fly, live, rows_in
from tests.contract._clock import FastClock
from tests.contract._example_organization import truth


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class TestUndo:
    """A report is the list of the runs to undo."""

    def test_failed_try_keeps_all_runs_for_the_next_try(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        for more in ({}, {"report_path": f"{report_path}.undo"}):
            sandbox.fail("*", "/*", Fault.server_error(503), times=None)
            with pytest.raises(TallyfyError) as caught:
                task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, **more)
            assert not isinstance(caught.value, AirflowFailException)
            sandbox.forget_faults()
            result = task.execute(TallyfyBulkActivateRunsOperator, try_number=2, from_report=report_path, **more)
            assert (result["changed"], live(sandbox)) == (30, 30)
            for run_id in ids:
                sandbox.archive(run_id)
                sandbox.organization.runs[run_id].last_updated = sandbox.organization.runs[run_id].archived_at or 0.0
            task.execute(TallyfyBulkActivateRunsOperator, run_ids=ids)
            task.execute(
                TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path, identity={"run_id": "r0"}
            )

    @pytest.mark.parametrize(
        "spelt",
        [
            lambda path: str(path),
            lambda path: f"{path.parent}/../{path.parent.name}/./{path.name}",
            lambda path: os.path.relpath(path),
            lambda path: f"file://{path}",
            lambda path: f"file://localhost{path}",
            lambda path: str(path.with_name("link")),
            lambda path: str(path.with_name("hard")),
        ],
    )
    def test_from_report_and_report_path_must_be_different_files(
        self, spelt: Callable[[Path], str], sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        path = tmp_path / "r.jsonl"
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(5), report_path=str(path))
        path.with_name("link").symlink_to(path)
        path.with_name("hard").hardlink_to(path)
        sandbox.forget_requests()
        before = path.read_text()
        with pytest.raises(TallyfyArgumentError, match="from_report and report_path are the same file"):
            task.execute(TallyfyBulkActivateRunsOperator, from_report=str(path), report_path=spelt(path))
        assert (sandbox.requests, path.read_text()) == ([], before)

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("s3://bucket/a.jsonl", "s3://bucket/a.jsonl", True),
            ("s3://conn@bucket/a.jsonl", "s3://bucket/x/../a.jsonl", True),
            ("s3://one@bucket/a.jsonl", "s3a://two@bucket//a.jsonl", True),
            ("s3://bucket/a.jsonl", "s3://other/a.jsonl", False),
            ("s3://bucket/a.jsonl", "gs://bucket/a.jsonl", False),
            ("/a b", "file:///x/../a b", True),
            ("/a", "s3://bucket/a", False),
            ("/a", "/b", False),
            ("/a\0", "/b", False),
        ],
    )
    def test_same_file_in_different_spellings(self, one: str, other: str, same: bool) -> None:
        assert _report_files.same_place(one, other) is same

    def test_report_that_was_overwritten_between_two_tries_is_refused(
        self, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(9), report_path=report_path)
        undo: dict[str, Any] = {"from_report": report_path, "report_path": f"{report_path}.undo"}
        sandbox.fail("*", "/*", Fault.server_error(503), times=None)
        with pytest.raises(TallyfyError):
            task.execute(TallyfyBulkActivateRunsOperator, **undo)
        sandbox.forget_faults()
        more, next_night = sandbox.add_runs(1), {"run_id": "r2"}
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=more, report_path=report_path, identity=next_night)
        sandbox.forget_requests()
        with pytest.raises(TallyfyArgumentError, match=r"not the report that the first try .*overwritten"):
            task.execute(TallyfyBulkActivateRunsOperator, try_number=2, **undo)
        assert sandbox.requests == []

    def test_report_must_be_of_the_operation_to_undo(
        self, report_path: str, sandbox: Sandbox, task: Task, connect: Callable[..., Any]
    ) -> None:
        ids = sandbox.add_runs(3)
        task.execute(TallyfyBulkUpdateRunsOperator, run_ids=ids, summary="x", report_path=report_path)
        sandbox.forget_requests()
        for operator in (TallyfyBulkArchiveRunsOperator, TallyfyBulkActivateRunsOperator):
            with pytest.raises(TallyfyArgumentError, match=r"report of another operation .update by task"):
                task.execute(operator, from_report=report_path)
        other = Header("archive", "f" * 32)
        _report_files.ReportFile(f"{report_path}.2", other).write(Report("archive"), ended=True)
        with pytest.raises(TallyfyArgumentError, match=f"about organization {'f' * 32}"):
            task.execute(TallyfyBulkActivateRunsOperator, from_report=f"{report_path}.2")
        assert sandbox.requests == []

    def test_report_of_a_dry_run_is_refused(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(5)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path, dry_run=True)
        with pytest.raises(TallyfyArgumentError, match="report of a dry run, which changed nothing"):
            task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)

    def test_undo_of_no_runs_says_why(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(3, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)
        assert result["sentence"] == (
            "0 runs: 0 activated. The report shows no archived run (3 runs: 3 already archived)."
        )

    def test_undo_of_an_undo(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(5), report_path=report_path)
        undo = f"{report_path}.undo"
        task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, report_path=undo)
        assert live(sandbox) == 5
        assert task.execute(TallyfyBulkArchiveRunsOperator, from_report=undo)["changed"] == 5
        assert live(sandbox) == 0

    @pytest.mark.parametrize("retried", [True, False], ids=["after a retry", "without a retry"])
    def test_include_unclear_takes_runs_that_a_killed_try_did_not_record(
        self, retried: bool, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        """SIGKILL after a run was archived and before that was recorded. Somebody archived another run long before."""
        killed, somebody, *rest = ids = sandbox.add_runs(5)
        sandbox.archive(somebody)
        sandbox.organization.runs[somebody].archived_at = 1_700_000_000.0
        report = Report.of("archive", targets("run_ids", ids))
        for run_id in (killed, somebody):
            report.entries[run_id].begun = True
        header = Header(
            *("archive", sandbox.organization_id, False, "sweep", "r1", "TallyfyBulkArchiveRunsOperator"),
            began=_report_files.now(),
        )
        _report_files.ReportFile(report_path, header).write(report)
        sandbox.archive(killed)
        for run_id in rest[1:]:
            sandbox.archive(run_id)  # archived by somebody before the killed try reached it
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        added_lines = "://" not in report_path
        if retried:
            result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
            assert (result["changed"], result["already"]) == (1, 4)
            unclear = [run_id for run_id, row in rows_in(report_path).items() if row.get("unclear")]
            assert unclear == ([killed, somebody] if added_lines else [killed, somebody, *rest[1:]])
            assert all(rows_in(report_path)[run_id]["reason"] == UNCLEAR for run_id in unclear)
        # It is unclear who archived these runs, so the undo skips them, unless include_unclear is set.
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == int(retried)
        assert truth(sandbox, killed)["is_archived"]
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, include_unclear="true")
        assert not truth(sandbox, killed)["is_archived"]
        assert truth(sandbox, somebody)["is_archived"], "archived before the killed try began"
        assert result["modified"] == 1
        [left] = result["examples"]["modified"]
        assert "before the task that wrote the report began" in left["reason"]


class TestRestore:
    """The report of an update contains the old values, and another task can put them back."""

    @pytest.fixture
    def example(self, sandbox: Sandbox) -> dict[str, Any]:
        old, new = sandbox.add_tag("Old"), sandbox.add_tag("New")
        members = [sandbox.add_member("ann@example.com"), sandbox.add_member("bob@example.com")]
        return {"old": old, "new": new, "members": members, "folder": sandbox.add_folder("F")}

    def test_all_fields(
        self, example: dict[str, Any], report_path: str, sandbox: Sandbox, task: Task, hook: Any
    ) -> None:
        ann, bob = example["members"]
        ids = sandbox.add_runs(12, "Name", tags=[example["old"]], users=[ann])
        before = {run_id: truth(sandbox, run_id) for run_id in ids}
        changes: dict[str, Any] = {
            "name": "All the same",
            "summary": "Seen",
            "owner_id": bob,
            "add_tags": ["New"],
            "remove_tags": ["Old"],
            "users": [ann, bob],
            "starred": True,
            "is_public": True,
        }
        task.execute(TallyfyBulkUpdateRunsOperator, run_ids=ids, report_path=report_path, **changes)
        row = rows_in(report_path)[ids[3]]
        assert row["before"]["tags"] == [example["old"]]
        assert (row["before"]["name"], row["before"]["users"]) == (before[ids[3]]["name"], [ann])
        sandbox.organization.runs[ids[5]].last_updated += 60
        back = f"{report_path}.back"
        result = task.execute(TallyfyBulkUpdateRunsOperator, from_report=report_path, restore=True, report_path=back)
        assert result["sentence"] == "12 runs: 11 restored, 1 skipped."
        changing = {"last_updated"}
        for run_id in ids:
            now = truth(sandbox, run_id)
            same = {key for key in before[run_id] if now[key] == before[run_id][key]} >= set(before[run_id]) - changing
            assert same is (run_id != ids[5])
        again = task.execute(TallyfyBulkUpdateRunsOperator, from_report=back, restore=True)
        assert again["changed"] == 11
        assert truth(sandbox, ids[0])["name"] == "All the same"

    def test_from_python(self, sandbox: Sandbox, hook: Any) -> None:
        ids = sandbox.add_runs(5, "Name")
        report = hook.update_runs(ids, {"summary": "Seen", "name": "x"})
        restored = hook.restore_runs(report)
        assert restored.sentence() == "5 runs: 5 restored"
        assert all(run["summary"] == "" and run["name"].startswith("Name") for run in sandbox.runs())

    def test_restores_runs_that_an_earlier_try_updated_partly_or_fully(
        self, example: dict[str, Any], report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        # The first try wrote the summary but could not attach the tag; the second try attaches it.
        sandbox.behaviour = Behaviour(put_tags="ignore")
        ids = sandbox.add_runs(3)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path, "summary": "x", "add_tags": ["New"]}
        sandbox.fail("POST", "/checklists/tags", Fault.status(403), times=3)
        with pytest.raises(TallyfyBulkRefusedError):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
        assert all(row["before"] == {"summary": "", "tags": []} for row in rows_in(report_path).values())
        sandbox.forget_faults()
        task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, **arguments)
        assert {len(run["tags"]) for run in sandbox.runs()} == {1}
        result = task.execute(TallyfyBulkUpdateRunsOperator, from_report=report_path, restore=True)
        assert result["changed"] == 3
        assert all(run["summary"] == "" and run["tags"] == [] for run in sandbox.runs())

    def test_run_whose_old_values_are_unknown_fails_with_that_reason(self, sandbox: Sandbox, hook: Any) -> None:
        report = hook.restore_runs(sandbox.add_runs(2))
        assert report.counts["failed"] == 2
        assert {entry.reason for entry in report.entries.values()} == {
            "the report does not have the old values, so nothing can be restored"
        }
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"restore": True, "from_report": "x", "summary": "y"}, "summary can't be given as well"),
            ({"restore": True, "run_ids": ["a" * 32]}, "restore=True needs from_report"),
            ({"restore": "yes", "from_report": "x"}, "restore='yes' is not True or False"),
            ({"run_ids": ["a" * 32]}, "nothing to update"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], words: str, task: Task) -> None:
        with pytest.raises(ValueError, match=words):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
