"""A task that is killed in the web interface while it changes many runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.e2e._ui import Ui, until
from tests.e2e.conftest import Connect

RUNS = 120


@pytest.fixture
def many(sandbox: Sandbox) -> set[str]:
    """Stale runs, more than can be archived before Airflow stops the task."""
    for run in sandbox.runs(archived=False):
        if run["status"] == "complete":
            sandbox.archive(run["id"])
    return {sandbox.add_run(f"Stale {number}", completed_days_ago=60) for number in range(RUNS)}


@pytest.mark.timeout(180)
def test_killed_and_cleared(ui: Ui, sandbox: Sandbox, many: set[str], connect: Connect, scratch: Path) -> None:
    connect("e2e_bulk", sandbox)
    report = scratch / "killed.jsonl"

    def archived() -> set[str]:
        return {run["id"] for run in sandbox.runs(archived=True)} & many

    def results() -> dict[str, str]:
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        return {line["run_id"]: line["result"] for line in lines if "run_id" in line}

    def instance() -> Any:
        return ui.airflow.rest("GET", f"/dags/e2e_bulk/dagRuns/{run_id}/taskInstances/archive")

    sandbox.latency = 0.4
    run_id = ui.trigger("e2e_bulk", report=str(report))
    until(lambda: len(archived()) > 2, "archiving is under way", ui.airflow)
    ui.task("e2e_bulk", run_id, "archive")
    ui.page.get_by_role("button", name="Mark Task Instance as...").click()
    ui.page.get_by_role("menuitem", name="Failed").click()
    ui.page.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    until(lambda: instance()["state"] == "failed", "the task is marked as failed", ui.airflow)

    # The task ends, and the report shows exactly what was done, including the requests in progress.
    [log] = (ui.airflow.home / "logs" / "dag_id=e2e_bulk").rglob("task_id=archive/attempt=1.log")
    until(lambda: "Stopped early" in log.read_text(), "the task has ended", ui.airflow)
    told = results()
    assert {run for run, result in told.items() if result == "changed"} == archived()
    assert set(told.values()) == {"changed", "not_tried"}
    asked = sum(call.startswith("DELETE") for call in sandbox.calls)
    assert asked == len(archived()) < RUNS
    ui.task("e2e_bulk", run_id, "archive")
    done = len(archived())
    ui.sees(f"{RUNS} runs: {done} archived, {RUNS - done} not tried. Stopped early: the task was killed")

    # After it is cleared, the task archives the remaining runs, and none twice.
    sandbox.latency = 0
    ui.page.get_by_role("button", name="clear").first.click()
    ui.page.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    until(lambda: archived() == many, "the rest is archived", ui.airflow)
    assert ui.end_of("e2e_bulk", run_id) == "success"
    assert sum(call.startswith("DELETE") for call in sandbox.calls) == RUNS
    assert set(results().values()) <= {"changed", "already"}
