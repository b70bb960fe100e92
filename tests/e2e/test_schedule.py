"""DAG runs that the real scheduler starts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from airflow_provider_tallyfy.sandbox import Sandbox
from dev.airflow_stack import Airflow
from tests.e2e._ui import Ui, until
from tests.e2e.conftest import Connect, Shoot, switch_on

SWEEP = "tallyfy_nightly_sweep"


def runs_of(ui: Ui, dag_id: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = ui.airflow.rest("GET", f"/dags/{dag_id}/dagRuns?order_by=run_after")["dag_runs"]
    return runs


def ended(ui: Ui, number: int) -> list[dict[str, Any]]:
    """Wait until that many runs of the sweep have ended; return them in order."""

    def runs() -> list[dict[str, Any]] | None:
        runs = runs_of(ui, SWEEP)
        return runs if len(runs) == number and all(run["state"] in {"success", "failed"} for run in runs) else None

    return sorted(until(runs, f"{number} nights have ended", ui.airflow), key=lambda run: str(run["start_date"]))


def backfill(airflow: Airflow, first: str, last: str) -> None:
    """Run a backfill of the sweep for past nights, one after the other.

    Airflow creates all the DAG runs first. On SQLite it rolls back and gives up if another process writes between its
    read and its write. While the DAG is paused, the scheduler writes less, and a person would try again.
    """
    path = f"/dags/{SWEEP}"
    airflow.rest("PATCH", path, {"is_paused": True})
    for _ in range(5):
        created = airflow.cli(
            *("backfill", "create", "--dag-id", SWEEP, "--from-date", first, "--to-date", last),
            *("--max-active-runs", "1"),
        )
        if "database is locked" not in created.stdout + created.stderr:
            break
    assert created.returncode == 0, created.stdout + created.stderr
    airflow.rest("PATCH", path, {"is_paused": False})


@pytest.mark.picture
@pytest.mark.timeout(240)
def test_backfill_of_the_sweep_archives_each_run_once(ui: Ui, sandbox: Sandbox, connect: Connect, shoot: Shoot) -> None:
    connect("tallyfy_default", sandbox)
    before = {run["id"]: run for run in sandbox.runs()}
    ui.visit(f"{sandbox.url}/")
    shoot(ui.page, "sweep-before")

    # The scheduler runs only the last night, although the DAG starts in January.
    switch_on(ui.airflow, SWEEP)
    [last_night] = ended(ui, 1)
    assert (last_night["run_type"], last_night["state"]) == ("scheduled", "success")
    ui.visit(f"{sandbox.url}/")
    shoot(ui.page, "sweep-after")

    # A person runs a backfill for two past nights.
    backfill(ui.airflow, "2026-02-01", "2026-02-03")
    runs = ended(ui, 3)
    assert [run["state"] for run in runs] == ["success"] * 3
    assert [run["run_type"] for run in runs] == ["scheduled", "backfill", "backfill"]

    # Each stale run was archived once, in the first night; nothing else was written.
    archived = {call.rpartition("/")[2] for call in sandbox.calls if call.startswith("DELETE")}
    assert len(archived) == 7  # as the README says below its pictures
    assert sorted(call for call in sandbox.calls if not call.startswith("GET")) == sorted(
        f"DELETE /runs/{run_id}" for run_id in archived
    )
    after = {run["id"]: run for run in sandbox.runs()}
    assert {run_id for run_id in after if after[run_id] != before[run_id]} == archived
    assert all(after[run_id]["archived_at"] for run_id in archived)

    # The later nights log that there was nothing to do.
    for number, run in enumerate(runs):
        ui.task(SWEEP, run["dag_run_id"], "find")
        kept = re.search(r"Looked at \d+ runs, kept (\d+)\.", ui.sees("Looked at"))
        assert kept is not None
        assert int(kept[1]) == (0 if number else len(archived))
    ui.task(SWEEP, runs[-1]["dag_run_id"], "archive")
    ui.sees("Archiving 0 runs of organization")
    ui.task(SWEEP, runs[0]["dag_run_id"], "report", "xcom")
    ui.sees("return_value", f"{len(archived)} runs: {len(archived)} archived")


@pytest.mark.timeout(180)
def test_run_that_becomes_stale_is_archived_by_the_next_scheduled_run(ui: Ui, every_minute: Sandbox) -> None:
    def archived() -> list[dict[str, Any]] | None:
        found = every_minute.runs(archived=True)
        return found if len(found) == 2 else None

    found = until(archived, "the run that became stale later is archived", ui.airflow, 130)
    assert {run["name"] for run in found} == {"found at once", "found a minute later"}
    assert [run["name"] for run in every_minute.runs(archived=False)] == ["still in use"]
    runs = runs_of(ui, "e2e_every_minute")
    assert {run["run_type"] for run in runs} == {"scheduled"}
    assert {run["triggered_by"] for run in runs} == {"timetable"}

    # Pause the DAG, because the following tests are faster without it.
    ui.airflow.rest("PATCH", "/dags/e2e_every_minute", {"is_paused": True})

    ui.visit(f"{every_minute.url}/")
    text = ui.sees("found at once", "found a minute later", "still in use")
    assert text.lower().count("archived") >= 2
    expect(ui.page.get_by_text("still in use").first).to_be_visible()
