"""What happens when Airflow reads a DAG file: mistakes show, little is imported, and the DAG survives as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.operators import tallyfy as operators
from tests.airflow import _airflow
from tests.airflow.conftest import WriteDag

OPERATORS = ("TallyfyArchiveRunOperator", "TallyfyActivateRunOperator", "TallyfyUpdateRunOperator")
MISTAKES = {
    'if_already="succed"': "if_already='succed': choose one of 'succeed', 'skip', 'fail' (did you mean",
    'run_id="a/b"': "run_id='a/b' is not a Tallyfy id",
    'run="x"': "'run': 'x'",
    'connection_id="x"': "'connection_id': 'x'",
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_an_import_error_of_the_dag_file(
    operator: str, mistake: str, write_dag: WriteDag, dags_folder: Path
) -> None:
    arguments = mistake if mistake.startswith("run_id") else f'run_id="x", {mistake}'
    with pytest.raises(Exception, match=re.escape(MISTAKES[mistake])):
        write_dag(f'{operator}(task_id="t", {arguments})')
    [(path, error)] = _airflow.dag_bag_of(dags_folder).import_errors.items()
    assert MISTAKES[mistake] in error
    assert Path(path).parent.name == dags_folder.name


def test_update_of_nothing_is_an_import_error_of_the_dag_file(write_dag: WriteDag) -> None:
    with pytest.raises(ValueError, match="nothing to update: give at least one of name, summary, owner_id"):
        write_dag('TallyfyUpdateRunOperator(task_id="t", run_id="x", owner_id=None)')


@pytest.mark.parametrize("operator", OPERATORS)
def test_run_id_is_required_by_name(operator: str, write_dag: WriteDag) -> None:
    with pytest.raises(Exception, match="run_id"):
        write_dag(f'{operator}(task_id="t")')


def test_templated_values_are_not_checked_at_parse(write_dag: WriteDag) -> None:
    # These values are known only when the task runs.
    write_dag(
        """
        TallyfyUpdateRunOperator(
            task_id="t",
            run_id="{{ params.id }}",
            owner_id="{{ params.owner }}",
            tags="{{ params.tags }}",
            tallyfy_conn_id="{{ params.connection }}",
        )
        """
    )


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_argument_is_templated_and_kept_as_given(operator: str) -> None:
    cls = getattr(operators, operator)
    given = {name: f"{{{{ params.{name} }}}}" for name in cls.template_fields}
    made = cls(task_id="t", **given)
    assert {name: getattr(made, name) for name in cls.template_fields} == given


@pytest.mark.parametrize("operator", OPERATORS)
def test_survives_as_json(operator: str, write_dag: WriteDag) -> None:
    change = 'name="New", ' if "Update" in operator else ""
    dag = write_dag(
        f"""
        {operator}(task_id="single", {change}run_id="{{{{ params.id }}}}")
        {operator}.partial(task_id="mapped", {change}if_already="skip").expand(run_id=["a", "b"])
        """,
        id="a",
    )
    read: Any = _airflow.through_json(dag)

    single, mapped = read.get_task("single"), read.get_task("mapped")
    for task in (single, mapped):
        assert task.task_type == operator
        assert list(task.template_fields) == list(getattr(operators, operator).template_fields)
        assert _airflow.LINK in task.extra_links
    assert single.run_id == "{{ params.id }}"


def test_import_of_the_operators_is_cheap() -> None:
    # 282 ms with the hook, 10 ms without it, at every parse of every DAG file.
    module = "airflow_provider_tallyfy.operators.tallyfy"
    one, everything = f"from {module} import TallyfyArchiveRunOperator", f"from {module} import *"
    script = str(Path(__file__).with_name("_imports.py"))
    command = [sys.executable, script, one, everything]
    added = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)

    assert [name for name in added[one] if "bulk" in name or "list_runs" in name] == []
    assert {"airflow_provider_tallyfy.operators.bulk_runs", module} <= {*added[one], *added[everything]}
    loaded = [*added[one], *added[everything]]
    assert [name for name in loaded if name.partition(".")[0] in {"requests", "urllib3", "aiohttp", "asyncio"}] == []
    assert [name for name in loaded if name.startswith(("airflow.providers", "airflow_provider_tallyfy.hooks"))] == []


def test_every_operator_that_is_named_can_be_imported() -> None:
    source = Path(operators.__file__).read_text()
    for_editors = re.findall(r"^        (Tallyfy\w+),$|import (Tallyfy\w+)$", source, re.M)
    assert sorted(operators.__all__) == sorted("".join(names) for names in for_editors)
    for name in operators.__all__:
        assert getattr(operators, name).__name__ == name
        assert name in dir(operators)
    with pytest.raises(ImportError, match="cannot import name 'TallyfyArchivOperator'"):
        exec("from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchivOperator")
