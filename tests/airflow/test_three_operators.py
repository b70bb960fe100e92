"""A DAG with three operators, as a team would write it, and everything that it produces."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.airflow._airflow import DagRun
from tests.airflow.conftest import RunDag

DAG = """
    activate = TallyfyActivateRunOperator(task_id="activate", run_id="{{ params.id }}")
    rename = TallyfyUpdateRunOperator(
        task_id="rename",
        run_id="{{ ti.xcom_pull(task_ids='activate')['id'] }}",
        name="Renewal - {{ params.customer }}",
        summary="",
        tags=["{{ params.tag }}"],
    )
    archive = TallyfyArchiveRunOperator(task_id="archive", run_id="{{ ti.xcom_pull(task_ids='rename')['id'] }}")
    activate >> rename >> archive
"""
TASKS = ("activate", "rename", "archive")


@pytest.fixture
def tag_before(tallyfy_sandbox: Sandbox) -> str:
    return tallyfy_sandbox.add_tag("Sales")


@pytest.fixture
def run_id(tallyfy_sandbox: Sandbox, tag_before: str) -> str:
    member = tallyfy_sandbox.add_member("maya@example.com")
    return tallyfy_sandbox.add_run(
        "Onboarding - ACME",
        summary="To be renewed",
        users=[member],
        groups=[tallyfy_sandbox.add_group("Finance", [member])],
        tags=[tag_before],
        archived=True,
        unmodified_days=40,
    )


@pytest.fixture
def tag_id(tallyfy_sandbox: Sandbox) -> str:
    return tallyfy_sandbox.add_tag("Renewed")


@pytest.fixture
def done(run_dag: RunDag, run_id: str, tag_id: str) -> DagRun:
    return run_dag(DAG, id=run_id, customer="ACME", tag=tag_id)


def test_the_run_is_changed_and_nothing_else_of_it(
    tallyfy_sandbox: Sandbox, run_id: str, tag_id: str, request: pytest.FixtureRequest
) -> None:
    before = tallyfy_sandbox.run(run_id)
    done: DagRun = request.getfixturevalue("done")
    after = tallyfy_sandbox.run(run_id)

    assert done.state == "success"
    assert done.states == {task_id: ["success"] for task_id in TASKS}
    assert before is not None
    assert after is not None
    assert after["is_archived"]
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"name", "summary", "tags", "last_updated", "archived_at"}
    assert (after["name"], after["summary"], after["tags"]) == ("Renewal - ACME", "", [tag_id])
    # The sandbox's PUT removes members that it does not get, as production does.
    assert len(after["users"]) == 1
    assert len(after["groups"]) == 1


def test_requests(done: DagRun, tallyfy_sandbox: Sandbox, run_id: str) -> None:
    # The read also requests the tags. Otherwise each task sends one request.
    assert tallyfy_sandbox.calls == [
        f"PUT /runs/{run_id}/activate",
        f"GET /runs/{run_id}?with=tags",
        f"PUT /runs/{run_id}",
        f"DELETE /runs/{run_id}",
    ]


def test_xcom_is_the_run_as_tallyfy_returned_it(done: DagRun, tallyfy_sandbox: Sandbox, run_id: str) -> None:
    activated, renamed, archived = (done.task(task_id).xcom() for task_id in TASKS)
    assert [run["id"] for run in (activated, renamed, archived)] == [run_id] * 3
    assert [run["name"] for run in (activated, renamed, archived)] == ["Onboarding - ACME"] + ["Renewal - ACME"] * 2
    assert activated["archived_at"] is None
    assert archived["archived_at"] == (tallyfy_sandbox.run(run_id) or {})["archived_at"]
    assert json.loads(json.dumps([activated, renamed, archived])) == [activated, renamed, archived]


def test_button_leads_to_the_run(done: DagRun, tallyfy_sandbox: Sandbox, run_id: str) -> None:
    address = f"{tallyfy_sandbox.url}/{tallyfy_sandbox.organization_id}/processes/{run_id}"
    for task_id in TASKS:
        assert done.task(task_id).xcom("tallyfy_run_url") == address
        assert done.task(task_id).link == address


def test_log_shows_each_change(
    done: DagRun, tallyfy_sandbox: Sandbox, run_id: str, tag_before: str, tag_id: str
) -> None:
    organization = tallyfy_sandbox.organization_id
    assert [line for line in done.messages if not line.startswith("DEBUG")] == [
        f"INFO Activating run {run_id} of organization {organization}.",
        f"INFO Run 'Onboarding - ACME' ({run_id}) is active.",
        f"INFO Updating run {run_id} of organization {organization}.",
        f"INFO Run 'Renewal - ACME' ({run_id}) is updated: name 'Onboarding - ACME' -> 'Renewal - ACME', "
        f"summary 'To be renewed' -> '', tags {[tag_before]!r} -> {[tag_id]!r}.",
        f"INFO Archiving run {run_id} of organization {organization}.",
        f"INFO Run 'Renewal - ACME' ({run_id}) is archived.",
    ]
    for line in done.messages:
        assert line.partition(" ")[2] in done.log


def test_rendered_fields(done: DagRun, tallyfy_sandbox: Sandbox, run_id: str, tag_id: str) -> None:
    rendered = done.task("rename").rendered
    assert rendered["run_id"] == run_id
    assert rendered["name"] == "Renewal - ACME"
    assert rendered["tags"] == [tag_id]
    assert rendered["tallyfy_conn_id"] == "tallyfy_default"
    assert rendered["owner_id"] is None
    assert tallyfy_sandbox.token not in json.dumps([done.task(task_id).rendered for task_id in TASKS])
