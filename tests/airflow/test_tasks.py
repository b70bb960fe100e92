"""A DAG that completes tasks and reads the answers, run by Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow._airflow import DagRun
from tests.airflow.conftest import RunDag
from tests.contract._desk import Desk, new_desk

DAG = """
    collect = TallyfyCompleteTaskOperator(
        task_id="collect",
        run_id="{{ params.id }}",
        task="Collect details",
        answers={"Amount": "{{ params.amount }}", "Modules": ["SSO", "Audit"], "Start": "2026-03-01"},
        comment="Collected by {{ dag.dag_id }}",
    )
    approve = TallyfyCompleteTaskOperator(
        task_id="approve", run_id="{{ params.id }}", task="{{ 'app' + 'rove' }}", approve=True
    )
    read = TallyfyGetRunOperator(task_id="read", run_id="{{ ti.xcom_pull(task_ids='approve')['run_id'] }}")
    collect >> approve >> read
"""


@pytest.fixture
def desk(tallyfy_sandbox: Sandbox) -> Desk:
    return new_desk(tallyfy_sandbox)


@pytest.fixture
def done(run_dag: RunDag, desk: Desk) -> DagRun:
    return run_dag(DAG, id=desk.run_id, amount="1200")


def test_dag_completes_tasks_once_and_returns_the_answers(done: DagRun, desk: Desk) -> None:
    assert done.states == {"collect": ["success"], "approve": ["success"], "read": ["success"]}
    collected, approved, run = (done.task(name).xcom() for name in ("collect", "approve", "read"))
    assert (collected["id"], collected["status"]) == (desk.task_id("Collect details"), "completed")
    assert (approved["id"], approved["is_approved"]) == (desk.task_id("Approve"), True)
    assert {label: value for label, value in run["answers"].items() if value is not None} == {
        "Customer": "Acme",
        "Amount (kick-off form)": "7",
        "Amount (Collect details)": "1200",
        "Modules": ["SSO", "Audit"],
        "Start": "2026-03-01",
    }
    for value in (collected, approved, run):
        assert json.loads(json.dumps(value)) == value
    assert (desk.notified("completed"), desk.notified("commented")) == (2, 1)
    [comment] = desk.task("Collect details")["threads"]["data"]
    assert comment["content"] == f"Collected by {done.dag.dag_id}"


def test_button_opens_the_run(done: DagRun, desk: Desk) -> None:
    sandbox = desk.sandbox
    address = f"{sandbox.url}/{sandbox.organization_id}/processes/{desk.run_id}"
    for name in ("collect", "approve", "read"):
        assert (done.task(name).xcom("tallyfy_run_url"), done.task(name).link) == (address, address)


def test_log_lists_each_completion_and_the_answers(done: DagRun, desk: Desk) -> None:
    run_id, organization = desk.run_id, desk.sandbox.organization_id
    assert [line for line in done.messages if not line.startswith("DEBUG")] == [
        f"INFO Completing the task 'Collect details' of run {run_id} of organization {organization}.",
        f"INFO Task 'Collect details' ({desk.task_id('Collect details')}) is complete.",
        f"INFO Completing the task 'approve' of run {run_id} of organization {organization}.",
        f"INFO Task 'Approve' ({desk.task_id('Approve')}) is approved.",
        f"INFO Run 'Onboarding Acme' ({run_id}) of organization {organization} is active: "
        "5 of 15 fields have an answer.",
    ]


def retried(**more: Any) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in more.items())
    return f"""
        TallyfyCompleteTaskOperator(
            task_id="complete", run_id="{{{{ params.id }}}}", task="Confirm", retries=2, retry_delay=0, {arguments}
        )
    """


def test_retry_after_an_unclear_completion_completes_the_task_once(
    run_dag: RunDag, desk: Desk, tallyfy_sandbox: Sandbox
) -> None:
    tallyfy_sandbox.fail("POST", "*/completed-tasks", Fault.drop_before())
    done = run_dag(retried(comment="Done"), id=desk.run_id)
    assert done.states == {"complete": ["success"]}
    assert (desk.notified("completed"), desk.notified("commented")) == (1, 1)
    assert any("It was not sent again" in line for line in [*done.messages, done.log])


@pytest.mark.parametrize(("if_already", "state"), [("succeed", "success"), ("skip", "skipped"), ("fail", "failed")])
def test_if_already_sets_the_state_for_a_complete_task(
    run_dag: RunDag, desk: Desk, if_already: str, state: str
) -> None:
    desk.set("Confirm", status="completed", completed_at=1_700_000_000.0)
    done = run_dag(retried(if_already=if_already, comment="Done"), id=desk.run_id)
    assert done.states == {"complete": [state]}
    assert desk.notified("completed") == 0
    assert desk.notified("commented") == (if_already == "succeed")
    assert "nothing to do (it was already complete, since 2023-11-14T22:13:20" in done.log
    assert done.task("complete").xcom("tallyfy_run_url").endswith(desk.run_id)


def test_bad_answers_fail_the_task_without_a_retry(run_dag: RunDag, desk: Desk) -> None:
    done = run_dag(retried(answers={"Amount": 1}), id=desk.run_id)
    assert done.states == {"complete": ["failed"]}
    assert done.task("complete").tries == 1
    assert "There are no fields" in done.log
    assert desk.writes == []
