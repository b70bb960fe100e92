"""The sweep of a whole organization, its undo, and tagging in bulk, in real Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow.conftest import RunDag, RunExample

STALE, KEPT, ARCHIVED = 1200, 700, 100


@pytest.fixture
def organization(tallyfy_sandbox: Sandbox) -> Sandbox:
    """Two thousand runs: stale, recently modified, live and archived ones."""
    tallyfy_sandbox.add_runs(STALE, name="Stale", days_old=200, completed_days_ago=100, unmodified_days=90)
    tallyfy_sandbox.add_runs(KEPT // 2, name="Fresh", days_old=200, completed_days_ago=100, unmodified_days=2)
    tallyfy_sandbox.add_runs(KEPT // 2, name="Live", days_old=200, unmodified_days=90)
    tallyfy_sandbox.add_runs(ARCHIVED, name="Archived before", days_old=300, completed_days_ago=200, archived=True)
    return tallyfy_sandbox


def state_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return everything that must not change, for each run."""
    changing = {"archived_at", "last_updated", "is_archived"}
    return {run["id"]: {key: value for key, value in run.items() if key not in changing} for run in sandbox.runs()}


def archived(sandbox: Sandbox, name: str = "") -> int:
    return sum(run["name"].startswith(name) for run in sandbox.runs(archived=True))


def test_sweep_and_undo(run_example: RunExample, organization: Sandbox, tmp_path: Path) -> None:
    before = state_of(organization)
    reports = str(tmp_path / "sweeps")

    sweep = run_example("tallyfy_nightly_sweep", days=30, reports=reports)
    assert sweep.states == {task: ["success"] for task in ("find", "guard", "archive", "report")}, sweep.log
    assert (archived(organization), archived(organization, "Stale")) == (STALE + ARCHIVED, STALE)
    assert state_of(organization) == before
    writes = [call for call in organization.calls if not call.startswith("GET")]
    assert len(writes) == len(set(writes)) == STALE
    assert sweep.task("guard").xcom()["dry_run"] is True
    summary = sweep.task("archive").xcom()
    assert (summary["total"], summary["changed"]) == (STALE, STALE)
    assert len(json.dumps(summary)) < 20_000
    assert f"{STALE:,} runs: {STALE:,} archived." in sweep.task("report").xcom()
    assert any(f"Looked at {STALE + KEPT // 2} runs, kept {STALE}" in line for line in sweep.messages)

    # The next night finds nothing, and neither would a backfill.
    organization.forget_requests()
    again = run_example("tallyfy_nightly_sweep", days=30, reports=reports)
    assert again.state == "success", again.log
    assert again.task("archive").xcom()["total"] == 0
    assert {call.split()[0] for call in organization.calls} == {"GET"}

    undo = run_example("tallyfy_undo_sweep", sweep=sweep.dag_run.run_id, reports=reports)
    assert undo.state == "success", undo.log
    assert undo.task("activate").xcom()["changed"] == STALE
    assert (archived(organization), archived(organization, "Archived before")) == (ARCHIVED, ARCHIVED)
    assert state_of(organization) == before


def test_max_runs_fails_the_dag_run_if_there_are_more(
    run_example: RunExample, organization: Sandbox, tmp_path: Path
) -> None:
    done = run_example("tallyfy_nightly_sweep", max_runs=1000, reports=str(tmp_path))
    assert done.state == "failed"
    assert done.states["guard"] == ["failed"]
    assert done.states["archive"] == ["upstream_failed"]
    assert done.states["report"] == ["skipped"]
    assert done.task("guard").tries == 1
    assert f"run_ids has {STALE} runs, but max_runs is 1000. Nothing was changed." in done.log
    assert {call.split()[0] for call in organization.calls} == {"GET"}


def test_a_sweep_that_failed_fails_the_dag_run(
    run_example: RunExample, tallyfy_sandbox: Sandbox, tmp_path: Path
) -> None:
    locked = tallyfy_sandbox.add_run("Locked", days_old=200, completed_days_ago=100)
    tallyfy_sandbox.add_runs(9, name="Stale", days_old=200, completed_days_ago=100)
    tallyfy_sandbox.fail("DELETE", f"/runs/{locked}", Fault.status(403), times=None)
    done = run_example("tallyfy_nightly_sweep", reports=str(tmp_path))
    assert done.states["archive"] == ["failed"]
    assert done.states["report"] == ["success"]
    assert done.state == "failed"
    assert done.task("archive").tries == 1  # a retry cannot fix a 403
    assert archived(tallyfy_sandbox) == 9
    text = done.task("report").xcom()
    assert text.startswith("**10 runs: 9 archived, 1 failed.**")
    assert f"/processes/{locked}): DELETE /runs/{locked} failed with 403" in text
    (report,) = tmp_path.glob("*.jsonl")
    header, *rows = (json.loads(line) for line in report.read_text().splitlines())
    told = {name: header[name] for name in ("doing", "dry_run", "dag_id", "dag_run_id", "task_id", "try_number")}
    assert told == {
        "doing": "archive",
        "dry_run": False,
        "dag_id": "tallyfy_nightly_sweep",
        "dag_run_id": done.dag_run.run_id,
        "task_id": "archive",
        "try_number": 1,
    }
    assert sorted(row["result"] for row in rows) == [*["changed"] * 9, "failed"]


def test_one_failure_is_one_failed_task(run_example: RunExample, tallyfy_sandbox: Sandbox, tmp_path: Path) -> None:
    tallyfy_sandbox.fail("GET", "/runs", Fault.status(403), times=None)
    done = run_example("tallyfy_nightly_sweep", reports=str(tmp_path))
    assert done.states == {
        "find": ["failed"],
        "guard": ["upstream_failed"],
        "archive": ["upstream_failed"],
        "report": ["skipped"],
    }
    assert done.state == "failed"
    assert "The task 'archive' did not run, so there is nothing to report." in done.log


def test_fields_are_rendered_under_the_names_of_the_arguments(
    run_example: RunExample, tallyfy_sandbox: Sandbox, tmp_path: Path
) -> None:
    tallyfy_sandbox.add_run("Stale", days_old=200, completed_days_ago=100)
    sweep = run_example("tallyfy_nightly_sweep", reports=str(tmp_path))
    assert str(sweep.task("guard").rendered["dry_run"]) == "True"
    undo = run_example(
        "tallyfy_undo_sweep", sweep=sweep.dag_run.run_id, reports=str(tmp_path), dry_run=True, include_unclear=True
    )
    assert undo.state == "success", undo.log
    rendered = undo.task("activate").rendered
    assert (str(rendered["dry_run"]), str(rendered["include_unclear"])) == ("True", "True")
    assert undo.task("activate").xcom()["sentence"] == "1 run: 1 would be activated."
    assert archived(tallyfy_sandbox) == 1


def test_tag_the_runs_of_a_template(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    template = tallyfy_sandbox.add_template("Customer Onboarding")
    urgent = tallyfy_sandbox.add_tag("Urgent")
    waiting = list(tallyfy_sandbox.add_runs(30, name="A", template=template, days_old=90, tags=[urgent]))
    others = [
        tallyfy_sandbox.add_run("B", template=template, days_old=90, unmodified_days=1),
        tallyfy_sandbox.add_run("C", days_old=90),
    ]
    done = run_example("tallyfy_tag_runs_of_template")
    assert done.state == "success", done.log
    assert done.task("tag").xcom()["changed"] == len(waiting)
    titles = {tag: entry.title for tag, entry in tallyfy_sandbox.organization.tags.items()}
    for run_id in waiting:
        run = tallyfy_sandbox.run(run_id)
        assert run is not None
        assert {titles[tag] for tag in run["tags"]} == {"Urgent", "Waiting"}
    for run_id in others:
        run = tallyfy_sandbox.run(run_id)
        assert run is not None
        assert run["tags"] == []


def test_a_wrong_value_in_a_mapped_task_fails_without_a_retry(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    # Airflow creates a mapped operator when the task runs, so its arguments are first checked then.
    run_id = tallyfy_sandbox.add_run("Stale")
    done = run_dag(
        """
        from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkArchiveRunsOperator

        TallyfyBulkArchiveRunsOperator.partial(task_id="mapped", retries=2, max_runs="{{ params.most }}").expand(
            run_ids=[["{{ params.id }}"], "no list", None]
        )
        """,
        id=run_id,
        most=5,
    )
    assert done.states["mapped"] == ["success", "failed", "failed"]
    assert "run_ids='no list' is not a list of run ids" in done.log
    assert (
        "run_ids=None is empty. If it comes from XCom or a Jinja template, the upstream task returned nothing"
        in done.log
    )
    assert [instance.tries for instance in done.tasks("mapped")] == [1, 1, 1]
    assert tallyfy_sandbox.calls == [f"DELETE /runs/{run_id}"]
