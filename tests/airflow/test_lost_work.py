"""The results of a bulk task are never lost: not after a failed try, a failure of Airflow, or a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow import _airflow
from tests.airflow.conftest import RunDag, WriteDag
from tests.contract._bulk import live, rows_in, times
from tests.contract._example_organization import truth

RUNS = 60
RETRIED = "retries=1, retry_delay=timedelta(0)"
UNDO = 'TallyfyBulkActivateRunsOperator(task_id="undo", {arguments}, ' + RETRIED + ")"
#: Removes the faults of the sandbox before the next try.
TALLYFY_COMES_BACK = """
def tallyfy_comes_back(context):
    import requests

    requests.delete(dag.params["url"] + "/_sandbox/faults", timeout=10).raise_for_status()

"""


@pytest.fixture
def bystanders(tallyfy_sandbox: Sandbox) -> list[str]:
    """Add runs that no task gets: a live one, and one that was archived long before."""
    return [tallyfy_sandbox.add_run("Live"), tallyfy_sandbox.add_run("Archived before", archived=True, days_old=300)]


def untouched(sandbox: Sandbox, run_ids: list[str]) -> bool:
    return not [call for call in sandbox.calls if any(run_id in call for run_id in run_ids)]


def archive(run_dag: RunDag, sandbox: Sandbox, report: str) -> list[str]:
    """Archive sixty runs, with a report."""
    run_ids = list(sandbox.add_runs(RUNS))
    body = 'TallyfyBulkArchiveRunsOperator(task_id="archive", run_ids=dag.params["ids"], report_path="{{ params.at }}")'
    assert run_dag(body, ids=run_ids, at=report).state == "success"
    assert all(truth(sandbox, run_id)["is_archived"] for run_id in run_ids)
    sandbox.forget_requests()
    return run_ids


# -- an undo that fails at first --------------------------------------------------------------------------------------


def test_undo_into_its_own_source_report_is_refused_before_anything_is_sent(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, tmp_path: Path
) -> None:
    report = tmp_path / "sweep.jsonl"
    archive(run_dag, tallyfy_sandbox, str(report))
    before = report.read_text()
    done = run_dag(
        UNDO.format(arguments='from_report="{{ params.at }}", report_path="{{ params.folder }}/./{{ params.name }}"'),
        at=str(report), folder=str(tmp_path), name="sweep.jsonl",
    )  # fmt: skip

    assert (done.task("undo").state, done.task("undo").tries) == ("failed", 1)
    assert "TallyfyArgumentError: from_report and report_path are the same file" in done.log
    assert "Use another report_path. Nothing was changed." in done.log
    assert tallyfy_sandbox.requests == []
    assert report.read_text() == before


@pytest.mark.parametrize("own_report", [True, False], ids=["with a report of its own", "without one"])
def test_undo_that_fails_in_an_outage_restores_everything_on_its_second_try(
    own_report: bool,
    run_dag: RunDag,
    tallyfy_sandbox: Sandbox,
    bystanders: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, undone = str(tmp_path / "sweep.jsonl"), str(tmp_path / "undo.jsonl")
    run_ids = archive(run_dag, tallyfy_sandbox, report)
    connection = tallyfy_sandbox.connection_json(extra={"max_retries": 0})
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    tallyfy_sandbox.fail("*", "/*", Fault.server_error(503), times=None)
    more = ', report_path="{{ params.undone }}"' if own_report else ""
    arguments = f'from_report="{{{{ params.at }}}}"{more}, on_retry_callback=tallyfy_comes_back'
    done = run_dag(
        TALLYFY_COMES_BACK + UNDO.format(arguments=arguments), at=report, undone=undone, url=tallyfy_sandbox.url
    )

    assert (done.task("undo").state, done.task("undo").tries) == ("success", 2), done.log
    assert f"{RUNS} runs: {RUNS} activated." in done.log
    assert done.task("undo").xcom()["changed"] == RUNS
    assert [truth(tallyfy_sandbox, run_id)["is_archived"] for run_id in run_ids] == [False] * RUNS
    assert {times(tallyfy_sandbox, run_id, "unarchived") for run_id in run_ids} == {1}
    assert untouched(tallyfy_sandbox, bystanders)
    if own_report:
        assert {row["result"] for row in rows_in(undone).values()} == {"changed"}
    assert {row["result"] for row in rows_in(report).values()} == {"changed"}


# -- Airflow fails at the end -----------------------------------------------------------------------------------------

#: An XCom backend whose storage is down for some keys.
BACKEND = """
from pathlib import Path

try:
    from airflow.sdk.bases.xcom import BaseXCom
except ImportError:
    from airflow.models.xcom import BaseXCom

class XComs(BaseXCom):
    @staticmethod
    def serialize_value(value, *, key=None, task_id=None, **kwargs):
        if task_id == f"lose_{key}":
            Path(__file__).with_name(f"{key}.lost").touch()
            raise ConnectionError("the storage of XComs is down")
        return BaseXCom.serialize_value(value, key=key, task_id=task_id, **kwargs)
"""


def dags_test(dag_id: str, **environment: str) -> subprocess.Popen[str]:
    """``airflow dags test``, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "airflow", "dags", "test", dag_id],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_report_is_saved_although_airflow_loses_the_xcom(
    write_dag: WriteDag, run_dag: RunDag, tallyfy_sandbox: Sandbox, bystanders: list[str], tmp_path: Path
) -> None:
    keys = ("summary", "return_value")
    run_ids = {key: list(tallyfy_sandbox.add_runs(RUNS)) for key in keys}
    reports = {key: str(tmp_path / f"{key}.jsonl") for key in keys}
    (tmp_path / "losing.py").write_text(BACKEND)
    dag = write_dag(
        """
        for key in ("summary", "return_value"):
            TallyfyBulkArchiveRunsOperator(
                task_id=f"lose_{key}",
                run_ids=dag.params["ids"][key],
                report_path=dag.params["reports"][key],
            )
        """,
        ids=run_ids,
        reports=reports,
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    airflow = dags_test(dag.dag_id, AIRFLOW__CORE__XCOM_BACKEND="losing.XComs", PYTHONPATH=path)
    output, _ = airflow.communicate(timeout=100)

    # 3.0 prints with colours and frames.
    assert [(tmp_path / f"{key}.lost").exists() for key in keys] == [True, True], output
    assert f"{RUNS} runs: {RUNS} archived." in re.sub(r"\x1b\[[0-9;]*m", "", output), output
    # The messages of 3.0 contain the secrets to mask; see _airflow.py.
    own = [line for line in output.splitlines() if "MaskSecret" not in line]
    assert tallyfy_sandbox.token not in "".join(own)
    for key in keys:
        rows = rows_in(reports[key])
        assert {run_id: row["result"] for run_id, row in rows.items()} == dict.fromkeys(run_ids[key], "changed")
    assert live(tallyfy_sandbox) == 1

    done = run_dag(
        """
        for key in ("summary", "return_value"):
            TallyfyBulkActivateRunsOperator(task_id=key, from_report=dag.params["reports"][key])
        """,
        reports=reports,
    )
    assert done.states == {key: ["success"] for key in keys}, done.log
    assert [done.task(key).xcom()["changed"] for key in keys] == [RUNS, RUNS]
    assert live(tallyfy_sandbox) == 2 * RUNS + 1
    assert untouched(tallyfy_sandbox, bystanders)


# -- a kill -----------------------------------------------------------------------------------------------------------

KILLABLE = _airflow.killable("TallyfyBulkArchiveRunsOperator", 'f"{self.report_path}.pid"')
#: The numbers of archived runs after which the process is killed.
MOMENTS = (0, 1, 17, RUNS - 1)


def kill_after(sandbox: Sandbox, run_ids: list[str], moment: int, pid: Any) -> None:
    """Kill a process when it sends the request to archive the run after ``moment`` others."""
    count = 0

    def kill() -> None:
        nonlocal count
        count += 1
        if count == moment + 1:
            os.kill(int(pid()), signal.SIGKILL)

    for run_id in run_ids:
        sandbox.when("DELETE", f"/runs/{run_id}", kill)


@pytest.mark.parametrize("retried", [True, False], ids=["after the retry", "at once"])
def test_undo_of_a_task_whose_process_was_killed(
    retried: bool, run_dag: RunDag, tallyfy_sandbox: Sandbox, bystanders: list[str], tmp_path: Path
) -> None:
    parts = [list(tallyfy_sandbox.add_runs(RUNS)) for _ in MOMENTS]
    reports = [str(tmp_path / f"{number}.jsonl") for number in range(len(MOMENTS))]
    for part, moment, report in zip(parts, MOMENTS, reports, strict=True):
        kill_after(tallyfy_sandbox, part, moment, Path(f"{report}.pid").read_text)
    done = run_dag(
        KILLABLE
        + f"""
        Killable.partial(
            task_id="archive", concurrency=4, retries={int(retried)}, retry_delay=timedelta(0)
        ).expand_kwargs(dag.params["parts"])
        """.replace("\n        ", "\n"),
        parts=[{"run_ids": part, "report_path": report} for part, report in zip(parts, reports, strict=True)],
    )

    assert done.log.count("the process of the task ended with -9") >= len(MOMENTS), done.log
    tasks = done.tasks("archive")
    assert [(task.state, task.tries) for task in tasks] == [("success", 2) if retried else ("failed", 1)] * len(MOMENTS)
    for part, report, moment in zip(parts, reports, MOMENTS, strict=True):
        is_archived = {run_id for run_id in part if truth(tallyfy_sandbox, run_id)["is_archived"]}
        rows = rows_in(report)
        told = {run_id for run_id, row in rows.items() if row["result"] == "changed"}
        unclear = {run_id for run_id, row in rows.items() if row.get("unclear")}
        assert told <= is_archived <= told | unclear, "every request was recorded before it was sent"
        assert len(unclear) <= 6, "the requests in progress, and no others"
        assert len(is_archived) == (RUNS if retried else len(is_archived))
        assert len(is_archived) >= moment
        assert {times(tallyfy_sandbox, run_id, "archived") for run_id in is_archived} <= {1}

    undo = run_dag(
        """
        TallyfyBulkActivateRunsOperator.partial(task_id="undo", include_unclear=True).expand(
            from_report=dag.params["reports"]
        )
        """,
        reports=reports,
    )
    assert undo.states == {"undo": ["success"] * len(MOMENTS)}, undo.log
    run_ids = [run_id for part in parts for run_id in part]
    assert not [run_id for run_id in run_ids if truth(tallyfy_sandbox, run_id)["is_archived"]]
    assert all(
        times(tallyfy_sandbox, run_id, "unarchived") == times(tallyfy_sandbox, run_id, "archived") for run_id in run_ids
    )
    assert untouched(tallyfy_sandbox, bystanders)


def test_undo_of_a_task_that_died_with_all_of_airflow(
    write_dag: WriteDag, run_dag: RunDag, tallyfy_sandbox: Sandbox, bystanders: list[str], tmp_path: Path
) -> None:
    run_ids, report = list(tallyfy_sandbox.add_runs(RUNS)), tmp_path / "sweep.jsonl"
    dag = write_dag(
        'TallyfyBulkArchiveRunsOperator(task_id="t", run_ids=dag.params["ids"], report_path="{{ params.at }}")',
        ids=run_ids,
        at=str(report),
    )
    airflow = dags_test(dag.dag_id, PYTHONPATH=str(Path(__file__).parents[2]))
    kill_after(tallyfy_sandbox, run_ids, 25, lambda: airflow.pid)
    output, _ = airflow.communicate(timeout=100)

    assert airflow.returncode == -signal.SIGKILL, output
    is_archived = {run_id for run_id in run_ids if truth(tallyfy_sandbox, run_id)["is_archived"]}
    assert 25 <= len(is_archived) < RUNS
    assert len(report.read_text().splitlines()) > RUNS
    assert json.loads(report.read_text().splitlines()[0])["doing"] == "archive"

    undo = run_dag(UNDO.format(arguments='from_report="{{ params.at }}", include_unclear=True'), at=str(report))
    assert undo.task("undo").state == "success", undo.log
    assert not [run_id for run_id in run_ids if truth(tallyfy_sandbox, run_id)["is_archived"]]
    activated = {run_id for run_id in run_ids if times(tallyfy_sandbox, run_id, "unarchived")}
    assert activated == is_archived
    assert untouched(tallyfy_sandbox, bystanders)
