"""One operator, many runs: ``.expand`` and ``.expand_kwargs``."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.airflow.conftest import RunDag


def test_expand(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    first, second = tallyfy_sandbox.add_runs(2, "Offboarding")
    unchanged = tallyfy_sandbox.add_run("Onboarding")
    unknown = "0" * 32
    done = run_dag(
        'TallyfyArchiveRunOperator.partial(task_id="archive").expand(run_id=dag.params["ids"])',
        ids=[first, unknown, second],
    )

    assert done.state == "failed"
    tasks = done.tasks("archive")
    assert [task.map_index for task in tasks] == [0, 1, 2]
    assert [task.state for task in tasks] == ["success", "failed", "success"]
    assert [(task.xcom() or {}).get("id") for task in tasks] == [first, None, second]
    assert [run["id"] for run in tallyfy_sandbox.runs(archived=True)] == [first, second]
    assert [run["id"] for run in tallyfy_sandbox.runs(archived=False)] == [unchanged]
    # Each index has its own button, also the failed one, which people open most.
    base = f"{tallyfy_sandbox.url}/{tallyfy_sandbox.organization_id}/processes"
    assert [task.link for task in tasks] == [f"{base}/{first}", f"{base}/{unknown}", f"{base}/{second}"]
    assert [task.rendered["run_id"] for task in tasks] == [first, unknown, second]


def test_expand_kwargs(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    owner = tallyfy_sandbox.add_member("omar@example.com")
    first, second = tallyfy_sandbox.add_runs(2, "Close")
    done = run_dag(
        'TallyfyUpdateRunOperator.partial(task_id="update").expand_kwargs(dag.params["changes"])',
        changes=[
            {"run_id": first, "name": "Close - January", "owner_id": owner},
            {"run_id": second, "summary": "Second of {{ params.changes | length }}"},
        ],
    )

    assert done.states == {"update": ["success", "success"]}
    assert [task.xcom()["id"] for task in done.tasks("update")] == [first, second]
    one, two = tallyfy_sandbox.run(first), tallyfy_sandbox.run(second)
    assert one is not None
    assert two is not None
    assert (one["name"], one["owner_id"], one["summary"]) == ("Close - January", owner, "")
    assert (two["name"], two["summary"]) == ("Close 2", "Second of 2")


def test_expand_over_the_ids_that_another_task_returned(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    runs = tallyfy_sandbox.add_runs(2, "Review")
    done = run_dag(
        """
        first = TallyfyUpdateRunOperator.partial(task_id="first", summary="Seen").expand(run_id=dag.params["ids"])
        TallyfyArchiveRunOperator.partial(task_id="archive").expand(run_id=first.output.map(lambda run: run["id"]))
        """,
        ids=runs,
    )

    assert done.states == {"first": ["success"] * 2, "archive": ["success"] * 2}
    assert [run["id"] for run in tallyfy_sandbox.runs(archived=True)] == runs
