"""The example DAGs that hand work to people, in real Airflow. Scripted people of the sandbox do the work."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from tests.airflow.conftest import RunExample


@pytest.fixture
def office(tallyfy_sandbox: Sandbox) -> Sandbox:
    """The sample organization, whose templates include "New hire"."""
    sample_organization(tallyfy_sandbox, runs=5)
    return tallyfy_sandbox


def test_onboarding_launches_a_run_for_each_hire_and_reads_the_answers(
    run_example: RunExample, office: Sandbox
) -> None:
    office.people.always("fill", task="Order equipment", answers={"Serial number": "SN-1"})
    done = run_example("tallyfy_onboarding", hires=4)

    assert done.state == "success", done.log
    assert done.states == {"new_hires": ["success"], "launch": ["success"] * 4, "read_answers": ["success"] * 4}
    posts = [request for request in office.requests if request.method == "POST"]
    assert [request.route for request in posts] == ["/runs"] * 4
    runs = [task.xcom() for task in done.tasks("read_answers")]
    assert [run["name"].removeprefix("Onboarding of ") for run in runs] == [
        "Ada Byron", "Alan Mathison", "Grace Murray", "Edsger Wybe"
    ]  # fmt: skip
    assert runs[1]["answers"] == {
        "Name": "Alan Mathison",
        "Private e-mail": "hire2@example.com",
        "Team": "Finance",
        "Equipment": ["Laptop", "Headset"],
        "Start": "2027-01-11",
        "Notes": None,
        "Serial number": "SN-1",
        "Work e-mail": None,
    }
    for run, task in zip(runs, done.tasks("launch"), strict=True):
        assert task.link.endswith(run["id"])
        steps = {task["title"]: task["owners"] for task in office.tasks(run["id"])}
        assert list(steps) == ["Order equipment", "Create accounts", "Approve access", "First-day check"]
        assert "manager" in str(steps["First-day check"]["guests"])
        assert len(steps["Order equipment"]["users"]) == 1, "the step keeps its assignee"
