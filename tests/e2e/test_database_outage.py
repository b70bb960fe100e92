"""Airflow's database goes down while a mapped task archives runs: real PostgreSQL, real Airflow, 3 and 2.11.

The connection is stored in that database, as usual. While it is down, Airflow reports that there is no such connection.
Scheduler, triggerer and DAG processor may exit when they lose their database. The test restarts them, as a supervisor
does in production.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from dev.airflow_stack import Airflow
from dev.postgres import Postgres
from tests.e2e._traces import found_in
from tests.e2e._ui import until
from tests.e2e.conftest import AIRFLOW_2, ROOT, SEED, connector, started, switch_on

RUNS = 40
SLOTS = 4
OUTAGE_SECONDS = 10
DAG = "e2e_outage"
ENDED = {"success", "failed"}

#: Timeouts that are minutes by default: to notice that a task or a scheduler has died.
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    # Airflow 3 and 2.11 have different names for it.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "3",
}


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres
    assert not postgres.folder.exists()


@pytest.fixture(params=[sys.executable, AIRFLOW_2], ids=["3", "2.11"])
def airflow(request: pytest.FixtureRequest, scratch: Path, postgres: Postgres) -> Iterator[Airflow]:
    home = scratch / f"outage-{request.node.callspec.id}"
    dags = home / "dags"
    (home / "gate").mkdir(parents=True)
    dags.mkdir()
    shutil.copy(ROOT / "tests" / "e2e" / "dags" / "outage_dags.py", dags)
    (home / "postgres.log").symlink_to(postgres.log)  # shown with Airflow's logs after a failure
    settings = SETTINGS | postgres.settings
    with started(Airflow(home, dags, python=request.param, settings=settings, supervised=True)) as airflow:
        yield airflow


@pytest.fixture
def stale(canaries: set[str]) -> Iterator[Sandbox]:
    sandbox = Sandbox(seed=SEED)
    canaries.add(sandbox.token)
    for number in range(RUNS):
        sandbox.add_run(f"Stale {number}", completed_days_ago=60)
    with sandbox:
        yield sandbox


@pytest.mark.timeout(420)
def test_every_run_is_archived_once_although_the_database_goes_away(
    airflow: Airflow, postgres: Postgres, stale: Sandbox, canaries: set[str]
) -> None:
    def archived() -> int:
        return len(stale.runs(archived=True))

    def notes(kind: str) -> list[Path]:
        return list(gate.glob(f"{kind}-*"))

    def ask(path: str) -> dict[str, Any]:
        with contextlib.suppress(
            OSError
        ):  # includes HTTPError: after an outage the web server returns errors for a moment
            answer: dict[str, Any] = airflow.rest("GET", f"/dags/{DAG}/dagRuns/{run_id}{path}")
            return answer
        return {}

    def tasks() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("/taskInstances?limit=100").get("task_instances", [])
        return found

    def held_have_ended() -> bool:
        held = {int(note.name.partition("-")[2]) for note in notes("waiting")}
        return held <= {task["map_index"] for task in tasks() if task["state"] in ENDED}

    def ended() -> Any:
        state = ask("").get("state")
        return state if state in ENDED else None

    gate = airflow.home / "gate"
    connector(airflow)(DAG, stale)
    switch_on(airflow, DAG)
    body = {"logical_date": None} if airflow.major >= 3 else {}
    run_id = airflow.rest("POST", f"/dags/{DAG}/dagRuns", body)["dag_run_id"]
    until(lambda: archived() >= RUNS // 4, "a quarter is archived", airflow)

    # A short outage, which ends before Airflow learns of the failures. Their type decides whether there is another try.
    (gate / "closed").touch()
    until(
        lambda: len(notes("waiting")) == SLOTS, "each slot has a task that is about to look up its connection", airflow
    )
    before = archived()
    postgres.stop()
    (gate / "closed").unlink()
    until(lambda: len(notes("failed")) == SLOTS, "all of them have failed", None)
    postgres.start()
    (gate / "back").touch()
    assert {note.read_text() for note in notes("failed")} == {"TallyfyConnectionNotFoundError"}
    assert archived() == before

    # A long outage, which hits tasks at any point and may stop components of Airflow. It begins when the tasks of the
    # first outage have ended, so that no task needs more tries than it has.
    until(held_have_ended, "those that met the first outage have ended", airflow)
    until(lambda: archived() >= RUNS // 2, "half is archived", airflow)
    postgres.stop()
    time.sleep(OUTAGE_SECONDS)
    postgres.start()

    state = until(ended, "the DAG run has ended", airflow, 240)
    found = until(tasks, "Airflow lists the tasks", airflow)
    assert {task["state"] for task in found} == {state} == {"success"}
    assert sum(task["try_number"] > 1 for task in found) >= SLOTS
    assert [run for run in stale.runs(archived=False) if run["status"] == "complete"] == []
    events = stale.organization.events.values()
    assert [[event.verb for event in of_run].count("archived") for of_run in events] == [1] * RUNS
    logs = [path.read_text(errors="replace") for path in (airflow.home / "logs").rglob("attempt=*.log")]
    assert sum(f"Airflow finds no connection '{DAG}'" in log for log in logs) >= SLOTS
    assert found_in("\n".join(logs), canaries | {postgres.password}) == []
