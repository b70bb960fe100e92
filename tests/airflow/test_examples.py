"""Every example DAG does what its docstring says, in real Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow import _airflow
from tests.airflow.conftest import RunExample

EXAMPLES = Path(__file__).parents[2] / "example_dags"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def names(runs: list[dict[str, Any]]) -> set[str]:
    return {run["name"] for run in runs}


# -- as files ---------------------------------------------------------------------------------------------------------


def test_airflow_reads_them_without_a_warning() -> None:
    script = Path(__file__).with_name("_example_dags.py")
    outcome = subprocess.run(
        [sys.executable, script, *(str(EXAMPLES / f"{name}.py") for name in NAMES)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert len(NAMES) >= 3
    assert json.loads(outcome.stdout) == {name: {"dags": [name], "warnings": []} for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_form_can_be_submitted_unchanged(name: str) -> None:
    # Airflow 3 treats a blank box as null, and disables its button if null does not fit the type of a param.
    [dag] = _airflow.dags_in(EXAMPLES / f"{name}.py").values()
    params = {key: dag.params.get_param(key) for key in dag.params}
    blank = {key: param for key, param in params.items() if param.has_value and param.value in ("", None)}
    assert [key for key, param in blank.items() if "null" not in param.schema["type"]] == []


def test_dag_bag_has_no_import_errors(airflow_home: Path) -> None:
    bag = _airflow.dag_bag_of(EXAMPLES)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_example_has_a_docstring_and_uses_no_optional_context(name: str) -> None:
    [dag] = _airflow.dags_in(EXAMPLES / f"{name}.py").values()
    assert dag.doc_md
    assert "Needs: the connection ``tallyfy_default``" in dag.doc_md
    # Missing if a DAG is triggered without a date, as the UI and assets may do since Airflow 3.
    text = (EXAMPLES / f"{name}.py").read_text()
    assert "schedule=None" in text or dag.catchup is False
    assert not any(macro in text for macro in ("{{ ds", "logical_date", "execution_date", "data_interval"))
    for task in dag.tasks:
        assert task.task_type.startswith("Tallyfy") or task.task_type == "_PythonDecoratedOperator"
    _airflow.through_json(dag)


# -- archive stale runs -----------------------------------------------------------------------------------------------


@pytest.fixture
def furnished(tallyfy_sandbox: Sandbox) -> Sandbox:
    onboarding = tallyfy_sandbox.add_template("Onboarding")
    tallyfy_sandbox.add_run("stale", completed_days_ago=40)
    tallyfy_sandbox.add_run("staler", template=onboarding, completed_days_ago=90)
    tallyfy_sandbox.add_run("fresh", completed_days_ago=5)
    tallyfy_sandbox.add_run("looked at yesterday", completed_days_ago=90, unmodified_days=1)
    tallyfy_sandbox.add_run("forgotten, not complete", days_old=200)
    tallyfy_sandbox.add_run("archived before", completed_days_ago=90, archived=True)
    return tallyfy_sandbox


def test_archive_stale_runs(run_example: RunExample, furnished: Sandbox) -> None:
    before = {run["id"]: run for run in furnished.runs()}
    done = run_example("tallyfy_archive_stale_runs")

    assert done.states == {"find_stale_runs": ["success"], "archive": ["success", "success"]}
    assert names(furnished.runs(archived=True)) == {"stale", "staler", "archived before"}
    unchanged = [run for run in furnished.runs() if run["name"] not in ("stale", "staler")]
    assert unchanged == [before[run["id"]] for run in unchanged]

    # Oldest first. Each has its run as XCom, and its own button.
    found, archived = done.task("find_stale_runs"), done.tasks("archive")
    assert [row["name"] for row in found.xcom()] == ["staler", "stale"]
    assert found.xcom("run_ids") == [row["id"] for row in found.xcom()]
    assert [task.xcom()["name"] for task in archived] == ["staler", "stale"]
    assert all(task.xcom()["archived_at"] for task in archived)
    assert [task.link.rpartition("/")[2] for task in archived] == found.xcom("run_ids")
    assert [call.split()[0] for call in furnished.calls] == ["GET", "DELETE", "DELETE"]
    assert done.messages[1] == "INFO Looked at 4 runs, kept 2."


def test_archive_stale_runs_of_one_template(run_example: RunExample, furnished: Sandbox) -> None:
    done = run_example("tallyfy_archive_stale_runs", days=3, template="Onboarding")

    assert done.states == {"find_stale_runs": ["success"], "archive": ["success"]}
    assert names(furnished.runs(archived=True)) == {"staler", "archived before"}


def test_archive_stale_runs_of_all_templates(run_example: RunExample, furnished: Sandbox) -> None:
    done = run_example("tallyfy_archive_stale_runs", days=3, template=None)  # what a blank box of the form sends
    assert done.state == "success", done.log
    assert "staler" in names(furnished.runs(archived=True))


def test_archive_stale_runs_but_those_with_a_tag(run_example: RunExample, furnished: Sandbox) -> None:
    furnished.add_run("kept", completed_days_ago=90, tags=[furnished.add_tag("Keep")])
    done = run_example("tallyfy_archive_stale_runs", keep="Keep")

    assert done.states["archive"] == ["success", "success"]
    assert names(furnished.runs(archived=True)) == {"stale", "staler", "archived before"}


def test_archive_stale_runs_with_a_misspelt_tag_archives_nothing(run_example: RunExample, furnished: Sandbox) -> None:
    furnished.add_run("kept", completed_days_ago=90, tags=[furnished.add_tag("Keep")])
    done = run_example("tallyfy_archive_stale_runs", keep="Keeep")

    assert done.state == "failed"
    assert "exclude_tags: no tag has this title or id: 'Keeep' (did you mean 'Keep'?)" in done.log
    assert names(furnished.runs(archived=True)) == {"archived before"}


def test_archive_stale_runs_up_to_the_limit(run_example: RunExample, furnished: Sandbox) -> None:
    done = run_example("tallyfy_archive_stale_runs", limit=1)

    assert done.states["archive"] == ["success"]
    assert names(furnished.runs(archived=True)) == {"staler", "archived before"}


def test_archive_stale_runs_with_nothing_to_do(run_example: RunExample, furnished: Sandbox) -> None:
    before = furnished.runs()
    done = run_example("tallyfy_archive_stale_runs", days=365)

    assert done.state == "success"
    assert done.states == {"find_stale_runs": ["success"], "archive": ["skipped"]}
    assert furnished.runs() == before


# -- update run tags --------------------------------------------------------------------------------------------------


def titles(sandbox: Sandbox, run_id: str) -> list[str]:
    run = sandbox.run(run_id)
    assert run is not None
    return sorted(sandbox.organization.tags[tag_id].title for tag_id in run["tags"])


def test_update_run_tags(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    member = tallyfy_sandbox.add_member("maya@example.com")
    run_id = tallyfy_sandbox.add_run("Close - May", tags=[tallyfy_sandbox.add_tag("Finance")], users=[member])
    seen: list[list[str]] = []
    # What people see while the pipeline works: when the second task first reads the run.
    tallyfy_sandbox.when("GET", f"/runs/{run_id}", lambda: seen.append(titles(tallyfy_sandbox, run_id)), times=None)
    done = run_example("tallyfy_update_run_tags", tallyfy_run_id=run_id)

    assert done.states == {"begin": ["success"], "end": ["success"]}
    assert ["Finance", "In pipeline"] in seen
    assert titles(tallyfy_sandbox, run_id) == ["Finance", "Processed"]
    run = tallyfy_sandbox.run(run_id)
    assert run is not None
    assert (run["name"], run["users"]) == ("Close - May", [member])
    assert run["summary"] == f"Processed by Airflow (tallyfy_update_run_tags, {done.dag_run.run_id})."
    assert done.task("begin").link == done.task("end").link


def test_update_run_tags_again(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    tags = [tallyfy_sandbox.add_tag(title) for title in ("Finance", "Processed", "In pipeline")]
    run_id = tallyfy_sandbox.add_run("Close - May", tags=tags[:2])
    done = run_example("tallyfy_update_run_tags", tallyfy_run_id=run_id)

    assert done.state == "success"
    assert titles(tallyfy_sandbox, run_id) == ["Finance", "Processed"]
    assert len([tag for tag in tallyfy_sandbox.organization.tags.values() if tag.title == "In pipeline"]) == 1


# -- edit an archived run ---------------------------------------------------------------------------------------------


def test_edit_archived_run(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding - ACME", archived=True)
    done = run_example("tallyfy_edit_archived_run", tallyfy_run_id=run_id, name="Onboarding - Acme Inc.")

    assert done.states == {"activate": ["success"], "update": ["success"], "archive": ["success"]}
    run = tallyfy_sandbox.run(run_id)
    assert run is not None
    assert run["is_archived"]
    assert run["name"] == "Onboarding - Acme Inc."


def test_edit_archived_run_is_archived_again_when_the_change_fails(
    run_example: RunExample, tallyfy_sandbox: Sandbox
) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding - ACME", archived=True)
    tallyfy_sandbox.fail("PUT", f"/runs/{run_id}", Fault.status(422, {"message": "No."}), times=None)
    done = run_example("tallyfy_edit_archived_run", tallyfy_run_id=run_id, name="New")

    assert done.states == {"activate": ["success"], "update": ["failed"], "archive": ["success"]}
    assert done.state == "failed"
    assert (tallyfy_sandbox.run(run_id) or {})["is_archived"]


def test_edit_archived_run_leaves_a_live_run_alone(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding - ACME")
    before = tallyfy_sandbox.run(run_id)
    done = run_example("tallyfy_edit_archived_run", tallyfy_run_id=run_id, name="New")

    assert done.states == {"activate": ["failed"], "update": ["upstream_failed"], "archive": ["upstream_failed"]}
    assert done.state == "failed"
    assert tallyfy_sandbox.run(run_id) == before


def test_edit_archived_run_shows_that_the_run_stays_live(run_example: RunExample, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding - ACME", archived=True)
    tallyfy_sandbox.fail("DELETE", f"/runs/{run_id}", Fault.status(403), times=None)
    done = run_example("tallyfy_edit_archived_run", tallyfy_run_id=run_id, name="New")

    assert done.states == {"activate": ["success"], "update": ["success"], "archive": ["failed"]}
    assert done.task("archive").link.endswith(f"/processes/{run_id}")
