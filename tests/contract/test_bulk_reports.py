"""Reports of bulk tasks: that nothing loses them, and what a later task may take from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.report import UNCLEAR, Report
from airflow_provider_tallyfy.api.runs.saved_report import Header, read_report
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyBulkError,
    TallyfyBulkRefusedError,
    TallyfyError,
    TallyfyReportError,
)
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import Task, let_time_fly, rows_of
from tests.contract._office import truth


@pytest.fixture(autouse=True)
def _time_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    let_time_fly(monkeypatch)


def rows_in(path: str) -> Mapping[str, Mapping[str, Any]]:
    return _report_files.load("from_report", path).rows


def live(sandbox: Sandbox) -> int:
    return len(sandbox.runs(archived=False))


class TestReportFile:
    def test_holds_every_run(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids, done = sandbox.add_runs(40, "Grüße"), sandbox.add_runs(2, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[*ids, *done], report_path=report_path)
        rows = rows_in(report_path)
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

    def test_a_retry_that_is_killed_keeps_what_is_known(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
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

    def test_no_part_is_left_behind(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / "r.jsonl"))
        assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


class Broken(Exception):
    """What Airflow raises when its API is down."""


class TestSaved:
    """Nothing that goes wrong around the task loses what it did."""

    @pytest.mark.parametrize("broken", ["push", "log"])
    def test_before_anything_that_airflow_does(
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

    def test_noted_before_it_is_sent(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
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
        assert max(number for _, number in known) <= 2 * 8, "what became of the others is noted too"
        assert not any(row.get("unclear") for row in rows_in(str(path)).values())

    def test_in_object_storage_what_is_not_tried_is_unclear_until_the_task_ends(
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
    def test_a_full_disk(
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
    def test_a_path_that_cannot_be_written_is_refused_before_anything_is_sent(
        self, path: str, sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        with pytest.raises(TallyfyArgumentError, match="can't be"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(3), report_path=str(tmp_path / path))
        assert sandbox.requests == []

    def test_a_file_that_is_no_report_is_not_overwritten(self, sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("password: hunter2\n")
        for arguments in ({"report_path": str(path), "run_ids": sandbox.add_runs(2)}, {"from_report": str(path)}):
            with pytest.raises(TallyfyArgumentError, match=r"notes\.txt.*line 1 is no line of a bulk report") as caught:
                task.execute(TallyfyBulkArchiveRunsOperator, **arguments)
            assert "hunter2" not in str(caught.value)
        assert (path.read_text(), sandbox.requests) == ("password: hunter2\n", [])

    @pytest.mark.parametrize("other", [{"map_index": 3}, {"task_id": "guard"}])
    def test_the_report_of_another_task_of_the_dag_run_is_not_overwritten(
        self, other: dict[str, Any], report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        first, second = sandbox.add_runs(3), sandbox.add_runs(3)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=first, report_path=report_path, identity=other)
        with pytest.raises(TallyfyArgumentError, match=r"of another task of this DAG run .*would be lost"):
            task.execute(TallyfyBulkArchiveRunsOperator, run_ids=second, report_path=report_path)
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 3

    def test_runs_that_a_list_found_anew_no_longer_holds(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        # The DAG run was cleared: `find` no longer finds the runs that the first try archived.
        ids = sandbox.add_runs(10)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids[:6], report_path=report_path)
        again = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, run_ids=ids[6:], report_path=report_path)
        assert again["changed"] == 10
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == 10
        assert live(sandbox) == 10


class TestUndo:
    """Reports as the list of what is to be undone."""

    def test_a_failed_try_does_not_shorten_the_list(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(30)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        for more in ({}, {"report_path": f"{report_path}.undo"}):
            sandbox.fail("*", "/*", Fault.server_error(503), times=None)
            with pytest.raises(TallyfyError) as caught:
                task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, **more)
            assert not isinstance(caught.value, AirflowFailException)
            sandbox.heal()
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
    def test_report_and_source_in_one_file_are_refused(
        self, spelt: Callable[[Path], str], sandbox: Sandbox, task: Task, tmp_path: Path
    ) -> None:
        path = tmp_path / "r.jsonl"
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(5), report_path=str(path))
        path.with_name("link").symlink_to(path)
        path.with_name("hard").hardlink_to(path)
        sandbox.forget_requests()
        before = path.read_text()
        with pytest.raises(TallyfyArgumentError, match="from_report and report_path are one file"):
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
    def test_what_is_one_place(self, one: str, other: str, same: bool) -> None:
        assert _report_files.same_place(one, other) is same

    def test_of_a_report_that_was_overwritten_between_two_tries_is_refused(
        self, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(9), report_path=report_path)
        undo: dict[str, Any] = {"from_report": report_path, "report_path": f"{report_path}.undo"}
        sandbox.fail("*", "/*", Fault.server_error(503), times=None)
        with pytest.raises(TallyfyError):
            task.execute(TallyfyBulkActivateRunsOperator, **undo)
        sandbox.heal()
        more, next_night = sandbox.add_runs(1), {"run_id": "r2"}
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=more, report_path=report_path, identity=next_night)
        sandbox.forget_requests()
        with pytest.raises(TallyfyArgumentError, match=r"another report than in the first try.*overwritten meanwhile"):
            task.execute(TallyfyBulkActivateRunsOperator, try_number=2, **undo)
        assert sandbox.requests == []

    def test_only_the_report_of_the_operation_that_it_undoes(
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

    def test_of_a_dry_run_is_refused(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(5)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path, dry_run=True)
        with pytest.raises(TallyfyArgumentError, match="report of a dry run, which changed nothing"):
            task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)

    def test_of_nothing_says_why(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        ids = sandbox.add_runs(3, archived=True)
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=ids, report_path=report_path)
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)
        assert result["sentence"] == ("0 runs: 0 activated. The report shows no archived run (3 runs: 3 already so).")

    def test_of_an_undo_is_a_redo(self, report_path: str, sandbox: Sandbox, task: Task) -> None:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=sandbox.add_runs(5), report_path=report_path)
        undo = f"{report_path}.undo"
        task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, report_path=undo)
        assert live(sandbox) == 5
        assert task.execute(TallyfyBulkArchiveRunsOperator, from_report=undo)["changed"] == 5
        assert live(sandbox) == 0

    @pytest.mark.parametrize("retried", [True, False], ids=["after a retry", "without a retry"])
    def test_what_a_killed_try_could_not_note(
        self, retried: bool, report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        """SIGKILL between an archived run and the note of it; one run was archived by somebody, long before."""
        killed, somebody, *rest = ids = sandbox.add_runs(5)
        sandbox.archive(somebody)
        sandbox.organization.runs[somebody].archived_at = 1_700_000_000.0
        report = Report.of("archive", task_targets(ids))
        for run_id in (killed, somebody):
            report.entries[run_id].begun = True
        header = Header(
            *("archive", sandbox.organization_id, False, "sweep", "r1", "TallyfyBulkArchiveRunsOperator"),
            began=_report_files.now(),
        )
        _report_files.ReportFile(report_path, header).write(report)
        sandbox.archive(killed)
        for run_id in rest[1:]:
            sandbox.archive(run_id)  # by somebody, before the killed try came to it
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path}
        added_lines = "://" not in report_path
        if retried:
            result = task.execute(TallyfyBulkArchiveRunsOperator, try_number=2, **arguments)
            assert (result["changed"], result["already"]) == (1, 4)
            unclear = [run_id for run_id, row in rows_in(report_path).items() if row.get("unclear")]
            assert unclear == ([killed, somebody] if added_lines else [killed, somebody, *rest[1:]])
            assert all(rows_in(report_path)[run_id]["reason"] == UNCLEAR for run_id in unclear)
        # Nobody knows whose doing it was, so the undo leaves it; told to, it takes what was archived since.
        assert task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path)["changed"] == int(retried)
        assert truth(sandbox, killed)["is_archived"]
        result = task.execute(TallyfyBulkActivateRunsOperator, from_report=report_path, include_unclear="true")
        assert not truth(sandbox, killed)["is_archived"]
        assert truth(sandbox, somebody)["is_archived"], "archived before the killed try began"
        assert result["modified"] == 1
        [left] = result["examples"]["modified"]
        assert "before the task that wrote the report began" in left["reason"]


def task_targets(ids: Any) -> Any:
    from airflow_provider_tallyfy.api.runs.report import targets

    return targets("run_ids", list(ids))


class TestRestore:
    """An update's report says what was there before, and a task can put it back."""

    @pytest.fixture
    def office(self, sandbox: Sandbox) -> dict[str, Any]:
        old, new = sandbox.add_tag("Old"), sandbox.add_tag("New")
        members = [sandbox.add_member("ann@example.com"), sandbox.add_member("bob@example.com")]
        return {"old": old, "new": new, "members": members, "folder": sandbox.add_folder("F")}

    def test_all_fields(
        self, office: dict[str, Any], report_path: str, sandbox: Sandbox, task: Task, hook: Any
    ) -> None:
        ann, bob = office["members"]
        ids = sandbox.add_runs(12, "Name", tags=[office["old"]], users=[ann])
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
        assert row["before"]["tags"] == [office["old"]]
        assert (row["before"]["name"], row["before"]["users"]) == (before[ids[3]]["name"], [ann])
        sandbox.organization.runs[ids[5]].last_updated += 60
        back = f"{report_path}.back"
        result = task.execute(TallyfyBulkUpdateRunsOperator, from_report=report_path, restore=True, report_path=back)
        assert result["sentence"] == "12 runs: 11 restored, 1 left alone."
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

    def test_what_was_half_done_or_done_by_an_earlier_try(
        self, office: dict[str, Any], report_path: str, sandbox: Sandbox, task: Task
    ) -> None:
        # The first try wrote the summary and could not attach the tag, the second one does that.
        sandbox.behaviour = Behaviour(put_tags="ignore")
        ids = sandbox.add_runs(3)
        arguments: dict[str, Any] = {"run_ids": ids, "report_path": report_path, "summary": "x", "add_tags": ["New"]}
        sandbox.fail("POST", "/checklists/tags", Fault.status(403), times=3)
        with pytest.raises(TallyfyBulkRefusedError):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
        assert all(row["before"] == {"summary": "", "tags": []} for row in rows_in(report_path).values())
        sandbox.heal()
        task.execute(TallyfyBulkUpdateRunsOperator, try_number=2, **arguments)
        assert {len(run["tags"]) for run in sandbox.runs()} == {1}
        result = task.execute(TallyfyBulkUpdateRunsOperator, from_report=report_path, restore=True)
        assert result["changed"] == 3
        assert all(run["summary"] == "" and run["tags"] == [] for run in sandbox.runs())

    def test_what_the_report_does_not_know_is_a_failure_that_says_so(self, sandbox: Sandbox, hook: Any) -> None:
        report = hook.restore_runs(sandbox.add_runs(2))
        assert report.counts["failed"] == 2
        assert {entry.reason for entry in report.entries.values()} == {
            "the report does not say what was there before, so nothing can be put back"
        }
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"restore": True, "from_report": "x", "summary": "y"}, "summary can't be given as well"),
            ({"restore": True, "run_ids": ["a" * 32]}, "restore=True needs the from_report"),
            ({"restore": "yes", "from_report": "x"}, "restore='yes' is not True or False"),
            ({"run_ids": ["a" * 32]}, "nothing to update"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], words: str, task: Task) -> None:
        with pytest.raises(ValueError, match=words):
            task.execute(TallyfyBulkUpdateRunsOperator, **arguments)
