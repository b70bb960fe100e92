"""Launches in real DAG runs: mapped, retried and cleared."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs import launch
from airflow_provider_tallyfy.hooks import _launch
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow import _airflow
from tests.airflow.conftest import RunAgain, RunDag, WriteDag

HIRES = 50
#: A mapped task that launches one run for each new hire.
ONBOARD = """
TallyfyLaunchRunOperator.partial(
    task_id="onboard",
    template="Onboarding",
    summary="Hired by {{ params.hired_by }}",
    assignees={"Welcome": ["{{ params.hired_by }}"]},
    deadlines={"Set up": timedelta(days=3)},
).expand_kwargs(XComArg(hires).map(
    lambda hire: {"name": f"Onboard {hire['name']}", "answers": {"Name": hire["name"], "Laptop": hire["laptop"]}}
))
"""
LIST = """
from airflow.decorators import task

@task
def hire():
    return dag.params["hires"]

hires = hire().operator
"""


@pytest.fixture
def hired_by(tallyfy_sandbox: Sandbox) -> str:
    tallyfy_sandbox.add_member("maya@example.com")
    tallyfy_sandbox.add_template(
        "Onboarding",
        ["Welcome", "Set up"],
        [{"label": "Name", "required": True}, {"label": "Laptop", "field_type": "radio", "options": ["13", "15"]}],
    )
    return "maya@example.com"


def hires(count: int) -> list[dict[str, str]]:
    return [{"name": f"Hire {number}", "laptop": "13"} for number in range(count)]


def posts(sandbox: Sandbox) -> int:
    return sum(call == "POST /runs" for call in sandbox.calls)


def test_cleared_mapped_launch_adopts_all_runs(
    run_dag: RunDag, run_again: RunAgain, tallyfy_sandbox: Sandbox, hired_by: str
) -> None:
    done = run_dag(LIST + ONBOARD, hires=hires(HIRES), hired_by=hired_by)

    assert done.state == "success", done.log
    launched = {run["name"]: run for run in tallyfy_sandbox.runs()}
    assert sorted(launched) == sorted(f"Onboard Hire {number}" for number in range(HIRES))
    assert posts(tallyfy_sandbox) == HIRES
    for task in done.tasks("onboard"):
        run = launched[f"Onboard Hire {task.map_index}"]
        assert task.xcom()["id"] == run["id"]
        assert task.link == f"{tallyfy_sandbox.url}/{tallyfy_sandbox.organization_id}/processes/{run['id']}"
        assert run["summary"].startswith(f"Hired by maya@example.com\n\nLaunched by Airflow: {done.dag.dag_id}, ")
        assert f"{done.dag_run.run_id}, onboard [{task.map_index}] (key " in run["summary"]

    again = run_again(done)
    assert again.state == "success", again.log
    assert again.dag_run.run_id == done.dag_run.run_id
    assert [task.tries for task in again.tasks("onboard")] == [2] * HIRES
    assert posts(tallyfy_sandbox) == HIRES
    assert [task.xcom()["id"] for task in again.tasks("onboard")] == [
        launched[f"Onboard Hire {number}"]["id"] for number in range(HIRES)
    ]
    assert again.log.count("Adopted run") >= HIRES

    # Another DAG run launches its own runs.
    third = run_dag(LIST + ONBOARD, hires=hires(2), hired_by=hired_by)
    assert third.state == "success"
    assert posts(tallyfy_sandbox) == HIRES + 2


RETRIED = "retries=2, retry_delay=timedelta(0)"
ONE = f'TallyfyLaunchRunOperator(task_id="t", template="Onboarding", answers={{"Name": "Ann"}}, {RETRIED})'


@pytest.mark.parametrize("fault", [Fault.drop_after(), Fault.error_after(502), Fault.truncated()], ids=lambda f: f.name)
def test_launch_with_lost_answers_is_made_once(
    fault: Fault, run_dag: RunDag, tallyfy_sandbox: Sandbox, hired_by: str
) -> None:
    # The first try does not find the run, because the search fails too.
    tallyfy_sandbox.fail("POST", "/runs", fault)
    tallyfy_sandbox.fail("GET", "/runs", Fault.status(400), times=1)
    done = run_dag(
        f'TallyfyLaunchRunOperator(task_id="t", template="Onboarding", answers={{"Name": "Ann"}}, {RETRIED})'
    )

    assert (done.task("t").state, done.task("t").tries) == ("success", 2), done.log
    assert "may or may not have launched a run" in done.log
    assert [run["id"] for run in tallyfy_sandbox.runs()] == [done.task("t").xcom()["id"]]
    assert posts(tallyfy_sandbox) == 1


KILLABLE = _airflow.killable("TallyfyLaunchRunOperator", 'dag.params["pid_file"]')


@pytest.mark.parametrize("is_launched", [False, True], ids=["before the POST", "after it, before the answer"])
def test_killed_task_and_its_retry_launch_one_run(
    is_launched: bool,
    run_dag: RunDag,
    tallyfy_sandbox: Sandbox,
    hired_by: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_launch, "LAG", 0.2)
    pid_file = tmp_path / "pid"

    def kill() -> None:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)

    def kill_after_launch() -> None:
        while not tallyfy_sandbox.runs():
            time.sleep(0.01)
        kill()

    if is_launched:
        tallyfy_sandbox.fail("POST", "/runs", Fault.slow_after(3))
        threading.Thread(target=kill_after_launch, daemon=True).start()
    else:
        tallyfy_sandbox.when("GET", "/checklists/*", kill)
    done = run_dag(KILLABLE + ONE.replace("TallyfyLaunchRunOperator", "Killable"), pid_file=str(pid_file))

    assert "the process of the task ended with -9" in done.log
    assert (done.task("t").state, done.task("t").tries) == ("success", 2), done.log
    assert [run["id"] for run in tallyfy_sandbox.runs()] == [done.task("t").xcom()["id"]]
    assert posts(tallyfy_sandbox) == 1
    assert ("Adopted run" in done.log) is is_launched


def test_run_with_the_key_is_adopted_in_another_dag_run(
    run_dag: RunDag, run_again: RunAgain, tallyfy_sandbox: Sandbox, hired_by: str
) -> None:
    body = """
    given = {{"template": "Onboarding", "launch_key": "{{{{ params.number }}}}", "answers": {{"Name": "Ann"}}}}
    TallyfyLaunchRunOperator(task_id="t", if_launched="{choice}", **given)
    """
    first = run_dag(body.format(choice="adopt"), number="4711")
    second = run_dag(body.format(choice="adopt"), number="4711")
    assert first.task("t").xcom()["id"] == second.task("t").xcom()["id"]
    assert run_dag(body.format(choice="fail"), number="4711").state == "failed"
    assert posts(tallyfy_sandbox) == 1

    launched_again = run_dag(body.format(choice="launch_again"), number="4711")
    assert posts(tallyfy_sandbox) == 2
    again = run_again(launched_again)
    assert posts(tallyfy_sandbox) == 3
    assert len({run.task("t").xcom()["id"] for run in (first, again)}) == 2


@pytest.mark.parametrize("hire", ["", None])
def test_error_for_an_empty_rendered_key_names_its_template(
    hire: Any, run_dag: RunDag, tallyfy_sandbox: Sandbox, hired_by: str
) -> None:
    done = run_dag(
        'TallyfyLaunchRunOperator(task_id="t", template="Onboarding", launch_key="{{ params.hire or \'\' }}", '
        f'answers={{"Name": "Ann"}}, {RETRIED})',
        hire=hire,
    )
    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert "TallyfyArgumentError: launch_key='' is empty" in done.log
    assert "It was rendered from \"{{ params.hire or '' }}\". (Launch of the template 'Onboarding'.)" in done.log
    assert tallyfy_sandbox.requests == []


def test_owner_in_default_args_is_airflows(write_dag: WriteDag, run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    member = tallyfy_sandbox.add_member("maya@example.com")
    tallyfy_sandbox.add_template("Onboarding")
    done = run_dag(
        """
        dag.default_args["owner"] = "data-team"
        TallyfyLaunchRunOperator(task_id="t", template="Onboarding", run_owner="{{ params.owner }}")
        """,
        owner="maya@example.com",
    )
    assert done.state == "success", done.log
    assert done.dag.get_task("t").owner == "data-team"
    assert tallyfy_sandbox.runs()[0]["owner_id"] == member


@pytest.mark.parametrize("mapped", [False, True], ids=["single", "mapped"])
@pytest.mark.parametrize(
    ("default", "owner", "is_run_owner"),
    [
        (None, "maya@example.com", True),
        ("data-team", "maya@example.com", True),
        (None, "{{ 'maya@' ~ 'example.com' }}", True),
        ("data@example.com", None, False),
        ("data-team", None, False),
        (None, "data-team", False),
    ],
)
def test_owner_that_is_a_member_counts_as_run_owner(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, hired_by: str, default: str | None, owner: str | None,
    is_run_owner: bool, mapped: bool,
) -> None:  # fmt: skip
    arguments = 'task_id="t", template="Onboarding", answers={"Name": "Ada"}'
    arguments += f", owner={owner!r}" if owner else ""
    call = f"TallyfyLaunchRunOperator.partial({arguments}).expand(name=['Ada'])"
    default_args = f"dag.default_args['owner'] = {default!r}\n" if default else ""
    done = run_dag(default_args + (call if mapped else f"TallyfyLaunchRunOperator({arguments})"))
    assert done.state == "success", done.log
    (run,) = tallyfy_sandbox.runs()
    maya = next(member for member in tallyfy_sandbox.organization.members.values() if member.email == hired_by)
    assert (run["owner_id"] == maya.id) is is_run_owner
    (task,) = done.tasks("t")
    assert (task.xcom("tallyfy_run_id"), task.link.rpartition("/")[2]) == (run["id"], run["id"])


def test_task_has_its_button_although_the_run_is_not_as_requested(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, hired_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "READ_BACK", (0.0,))
    tallyfy_sandbox.when(
        "GET", "/runs/*", lambda: tallyfy_sandbox.organization.runs[tallyfy_sandbox.runs()[0]["id"]].prerun.clear()
    )
    done = run_dag(
        f'TallyfyLaunchRunOperator(task_id="t", template="Onboarding", answers={{"Name": "Ann"}}, {RETRIED})'
    )
    [run] = tallyfy_sandbox.runs()
    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert "'Name': was not stored" in done.log
    assert done.task("t").link == f"{tallyfy_sandbox.url}/{tallyfy_sandbox.organization_id}/processes/{run['id']}"
    assert Counter(call.partition(" ")[0] for call in tallyfy_sandbox.calls)["POST"] == 1
