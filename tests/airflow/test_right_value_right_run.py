"""The requested values are written to the requested run, in real DAG runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow.conftest import RunDag
from tests.contract._bulk import times
from tests.contract._example_organization import truth

# -- text that looks like a date --------------------------------------------------------------------------------------

PERIOD = "f" * 32
#: Field, current value and new value: different texts for the same day.
LIKE_DATES = {
    "name": ("name", "2026-03-01", "20260301"),
    "summary": ("summary", "20260301", "2026-W09-7"),
    "kick-off answer": ("prerun", {PERIOD: "2026-03-01T00:00:00Z"}, {PERIOD: "2026-03-01"}),
    "kick-off answer, with another offset": (
        "prerun",
        {PERIOD: "2026-03-01T00:00:00Z"},
        {PERIOD: "2026-03-01T01:00:00+01:00"},
    ),
}


def test_text_that_looks_like_a_date_is_written(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    template = tallyfy_sandbox.add_template("Close", kickoff_fields=[{"id": PERIOD, "label": "Period"}])
    member = tallyfy_sandbox.add_member("ann@example.com")

    def add(field: str, value: Any) -> str:
        given: dict[str, Any] = {"name": "Close", field: value}
        return tallyfy_sandbox.add_run(given.pop("name"), template=template, users=[member], **given)

    changes, bulk = [], []
    wanted: dict[str, tuple[str, Any]] = {}
    for field, before, after in LIKE_DATES.values():
        single, *many = (add(field, before) for _ in range(3))
        changes.append({"run_id": single, field: after})
        bulk.append({"run_ids": many, field: after})
        wanted |= dict.fromkeys((single, *many), (field, after))
    done = run_dag(
        """
        TallyfyUpdateRunOperator.partial(task_id="single").expand_kwargs(dag.params["changes"])
        TallyfyBulkUpdateRunsOperator.partial(task_id="bulk").expand_kwargs(dag.params["bulk"])
        """,
        changes=changes,
        bulk=bulk,
    )

    assert done.states == {name: ["success"] * len(LIKE_DATES) for name in ("single", "bulk")}, done.log
    for run_id, (field, after) in wanted.items():
        assert truth(tallyfy_sandbox, run_id)[field] == after
        assert truth(tallyfy_sandbox, run_id)["users"] == [member]
        [put] = [record.json for record in tallyfy_sandbox.requests if record.call == f"PUT /runs/{run_id}"]
        assert put[field] == after
    assert [task.xcom()["changed"] for task in done.tasks("bulk")] == [2] * len(LIKE_DATES)
    assert "is updated: name '2026-03-01' -> '20260301'" in done.log
    assert "nothing to do" not in done.log


# -- the id of the returned run ---------------------------------------------------------------------------------------

#: The fault that the first write of a run meets; ``None`` = no fault.
WRONG_RUN: dict[str, Callable[[str], Fault | None]] = {
    "nothing": lambda other: None,
    "another run, done": lambda other: Fault.other_run(other),
    "another run, not done": lambda other: Fault.other_run(other, applies=False),
    "another id": lambda other: Fault.other_id(),
    "an id that is a number": lambda other: Fault.other_id(7),
    "early hints": lambda other: Fault.early_hints(),
}


@pytest.fixture
def other(tallyfy_sandbox: Sandbox) -> str:
    """Another run, archived and with the wanted name, so that it resembles the requested run."""
    stranger = tallyfy_sandbox.add_member("stranger@example.com")
    return tallyfy_sandbox.add_run("New", archived=True, users=[stranger])


def test_answer_about_another_run_is_not_accepted(run_dag: RunDag, tallyfy_sandbox: Sandbox, other: str) -> None:
    member = tallyfy_sandbox.add_member("ann@example.com")
    before = truth(tallyfy_sandbox, other)

    def add(method: str) -> list[str]:
        run_ids = [tallyfy_sandbox.add_run("Old", users=[member]) for _ in WRONG_RUN]
        for run_id, fault in zip(run_ids, WRONG_RUN.values(), strict=True):
            if (planned := fault(other)) is not None:
                tallyfy_sandbox.fail(method, f"/runs/{run_id}", planned)
        return run_ids

    archived, updated, read = add("DELETE"), add("PUT"), add("GET")
    bulk_archived, bulk_updated, bulk_read = add("DELETE"), add("PUT"), add("GET")
    done = run_dag(
        """
        TallyfyArchiveRunOperator.partial(task_id="archive").expand(run_id=dag.params["archived"])
        TallyfyUpdateRunOperator.partial(task_id="update", name="New").expand(run_id=dag.params["updated"])
        # The retry handles a run that was found unchanged.
        TallyfyBulkArchiveRunsOperator(
            task_id="bulk_archive",
            run_ids=dag.params["bulk_archived"],
            concurrency=2,
            retries=1,
            retry_delay=timedelta(0),
        )
        TallyfyBulkUpdateRunsOperator(
            task_id="bulk_update", run_ids=dag.params["bulk_updated"], name="New", concurrency=2
        )
        """,
        archived=archived,
        updated=[*updated, *read],
        bulk_archived=bulk_archived,
        bulk_updated=[*bulk_updated, *bulk_read],
    )

    assert {state for states in done.states.values() for state in states} == {"success"}, done.log
    for task_id, run_ids in (("archive", archived), ("update", [*updated, *read])):
        # Each task returns its own run, and each log line names it.
        assert [task.xcom()["id"] for task in done.tasks(task_id)] == run_ids
        assert {task.tries for task in done.tasks(task_id)} == {1}
    for run_id in archived:
        assert f"Run 'Old' ({run_id}) is archived" in done.log
    for run_id in (*archived, *bulk_archived):
        assert truth(tallyfy_sandbox, run_id)["is_archived"]
        assert times(tallyfy_sandbox, run_id, "archived") == 1
    for run_id in (*updated, *read, *bulk_updated, *bulk_read):
        run = truth(tallyfy_sandbox, run_id)
        assert (run["name"], run["users"], run["is_archived"]) == ("New", [member], False)
    summary = done.task("bulk_archive").xcom()
    assert summary["changed"] + summary["already"] == len(bulk_archived)
    assert done.task("bulk_update").xcom()["changed"] == len(bulk_updated) + len(bulk_read)
    # Nothing was written to the other run, and none of its members were copied.
    assert truth(tallyfy_sandbox, other) == before
    assert not [call for call in tallyfy_sandbox.calls if other in call]
    checked = [line for line in done.messages if "a read shows that it is archived" in line]
    assert len(checked) == 3


FORKING = """
import os
try:
    from airflow.sdk import task
except ImportError:
    from airflow.decorators import task

@task
def fork(**context):
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

    hook = TallyfyHook()
    parts = context["params"]["parts"]
    hook.get_run(parts[0][0])  # now it has a connection that is open

    def archive(part):
        return [hook.archive_run(run_id)["id"] for run_id in part] == part

    children = []
    for part in parts[1:]:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if archive(part) else 2
            finally:
                os._exit(status)
        children.append(child)
    mine = archive(parts[0])
    return [mine, *(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)]

fork()
"""


def test_hook_used_before_a_fork_gets_its_own_answers(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    parts = [list(tallyfy_sandbox.add_runs(25, f"Part {number}")) for number in range(3)]
    done = run_dag(FORKING, parts=parts)

    assert done.task("fork").state == "success", done.log
    assert done.task("fork").xcom() == [True, 0, 0]
    run_ids = [run_id for part in parts for run_id in part]
    assert [times(tallyfy_sandbox, run_id, "archived") for run_id in run_ids] == [1] * len(run_ids)
    deletes = [record for record in tallyfy_sandbox.requests if record.method == "DELETE"]
    assert sorted(record.route for record in deletes) == sorted(f"/runs/{run_id}" for run_id in run_ids)
    assert {record.status for record in deletes} == {200}
