"""Arguments of the bulk operators: signatures are complete, and literals are checked when the DAG file is parsed."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from airflow import DAG

from airflow_provider_tallyfy._compat import BaseOperator
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.operators._update_fields import UPDATE_FIELDS
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkReportOperator,
    TallyfyBulkUpdateRunsOperator,
)

BULK = (TallyfyBulkArchiveRunsOperator, TallyfyBulkActivateRunsOperator, TallyfyBulkUpdateRunsOperator)
COMMON = (
    *("run_ids", "from_report", "max_runs", "dry_run", "max_failures", "skip_modified", "report_path", "concurrency"),
    *("organization_id", "tallyfy_conn_id"),
)
MORE: dict[type[Any], tuple[str, ...]] = {
    TallyfyBulkArchiveRunsOperator: (),
    TallyfyBulkActivateRunsOperator: ("include_unclear",),
    TallyfyBulkUpdateRunsOperator: (*UPDATE_FIELDS, "create_missing_tags", "restore"),
}
ID = "a" * 32


def make(operator: type[Any], **arguments: Any) -> Any:
    if operator is TallyfyBulkUpdateRunsOperator and not set(arguments) & set(UPDATE_FIELDS):
        arguments["summary"] = "x"
    return operator(task_id="t", **{"run_ids": [ID], **arguments})


@pytest.mark.parametrize("operator", [*BULK, TallyfyBulkReportOperator])
def test_signature_docstring_and_template_fields_agree(operator: type[Any]) -> None:
    own = {name for name in inspect.signature(operator).parameters if name not in {"self", "kwargs"}}
    expected = (
        {*COMMON, *MORE[operator]} if operator in BULK else {"bulk_task_id", "organization_id", "tallyfy_conn_id"}
    )
    assert own == expected
    documented = re.findall(r":param (\w+):((?:(?!:param|:raises).)*)", inspect.getdoc(operator) or "", re.DOTALL)
    assert {name for name, _ in documented} == own
    templated = {name for name, text in documented if "(templated)" in text}
    assert templated == set(operator.template_fields)
    assert own - templated <= {"concurrency", "create_missing_tags", "restore"}


@pytest.mark.parametrize("operator", BULK)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_runs": "many"}, "max_runs='many' is not a whole number"),
        ({"max_runs": 0}, "max_runs=0"),
        ({"max_failures": True}, "max_failures=True"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"concurrency": 65}, "concurrency=65 is not a whole number from 1 to 64"),
        ({"dry_run": "maybe"}, "dry_run='maybe' is not true or false"),
        ({"skip_modified": "perhaps"}, "skip_modified='perhaps'"),
        ({"run_ids": ID}, f"run_ids='{ID}' is not a list"),
        ({"run_ids": [ID, "a/b"]}, r"run_ids\[1\]='a/b'"),
        ({"run_ids": {"id": ID}}, "one row, not a list"),
        ({"run_ids": [ID], "from_report": "x"}, "both given"),
        ({"run_ids": None}, "run_ids=None is empty"),
        ({"run_ids": None, "from_report": "{{ x }}", "report_path": "{{ x }}"}, "the same file"),
    ],
)
def test_invalid_literal_is_an_error_when_the_dag_file_is_parsed(
    operator: type[Any], arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make(operator, **arguments)
    assert isinstance(caught.value, TallyfyArgumentError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"add_tags": "Urgent"}, "add_tags='Urgent' is not a list"),
        ({"add_tags": "Urgent", "name": "{{ x }}"}, "add_tags='Urgent' is not a list"),
        ({"owner_id": "ann@example.com"}, "owner_id="),
        ({"users": [None]}, r"users\[0\]="),
        ({"name": ""}, "a run needs a name"),
        ({"starred": "maybe"}, "starred='maybe'"),
        ({"prerun": {}}, "prerun is empty"),
        ({"tags": ["A"], "add_tags": ["B"]}, "tags and add_tags are both given"),
        ({"extra_fields": {"name": "x"}}, "extra_fields contains name"),
    ],
)
def test_invalid_change_is_an_error_when_the_dag_file_is_parsed(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(TallyfyBulkUpdateRunsOperator, **arguments)


@pytest.mark.parametrize("operator", BULK)
@pytest.mark.parametrize("kind", ["template", "XCom", "part of an XCom"])
def test_templates_and_xcoms_are_not_checked_at_parse_time(operator: type[Any], kind: str) -> None:
    fields = [name for name in operator.template_fields if name not in {"tallyfy_conn_id", "from_report"}]
    with DAG("d", schedule=None):
        output: Any = BaseOperator(task_id="upstream").output
        value = {"template": "{{ params.x }}", "XCom": output, "part of an XCom": output["x"]}[kind]
        made = operator(task_id="t", **dict.fromkeys(fields, value))
    assert all(getattr(made, name) is value for name in fields)


@pytest.mark.parametrize("operator", BULK)
def test_valid_literals_are_kept_unchanged(operator: type[Any]) -> None:
    given = {"run_ids": (ID,), "max_runs": " 5 ", "dry_run": "True", "max_failures": "", "skip_modified": "false"}
    made = make(operator, **given)
    assert {name: getattr(made, name) for name in given} == given
