"""TallyfyListRunsOperator: what it refuses when the DAG file is parsed and when the task runs, and what it logs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import DAG

from airflow_provider_tallyfy._compat import BaseOperator
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyListRunsOperator
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.unit.test_filters import BAD, GOOD

#: Bad values of the operator's arguments that are not filters.
BAD_OPTIONS: dict[str, list[Any]] = {
    "limit": [0, "many", True, 2.5],
    "order": ["summary", "-"],
    "fields": [["tgas"], "name", [7]],
}
BAD_LITERALS = [
    (name, value)
    for name, values in {**BAD, **BAD_OPTIONS}.items()
    for value in values
    if value != "" and "{{" not in str(value)  # blank = not given; a template is not known yet
]


@pytest.fixture
def xcom() -> Iterator[Any]:
    """The output of another task, within a DAG."""
    with DAG("tallyfy_find", schedule=None, start_date=datetime(2026, 1, 1)):
        yield BaseOperator(task_id="upstream").output


class TestAtParse:
    @pytest.mark.parametrize(("name", "value"), BAD_LITERALS)
    def test_bad_literal_is_refused(self, name: str, value: Any) -> None:
        arguments: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=name) as caught:
            TallyfyListRunsOperator(task_id="find", **arguments)
        assert isinstance(caught.value, TallyfyArgumentError)

    @pytest.mark.parametrize("name", [*GOOD, *BAD_OPTIONS])
    def test_templates_xcoms_and_blanks_pass(self, name: str, xcom: Any) -> None:
        for number, value in enumerate(("{{ params.x }}", xcom, "", None)):
            arguments: dict[str, Any] = {name: value}
            operator = TallyfyListRunsOperator(task_id=f"find{number}", **arguments)
            assert getattr(operator, name) is value

    @pytest.mark.parametrize("name", ["owners", "tags", "exclude_tags", "groups", "fields"])
    def test_list_with_a_template_in_it_passes(self, name: str) -> None:
        arguments: dict[str, Any] = {name: ["{{ params.x }}"]}
        TallyfyListRunsOperator(task_id="find", **arguments)

    def test_literals_that_contradict_each_other_are_refused(self) -> None:
        with pytest.raises(TallyfyArgumentError, match="template and checklist_id are both given"):
            TallyfyListRunsOperator(task_id="find", template="Invoice approval", checklist_id="a" * 32)
        TallyfyListRunsOperator(task_id="find", template="{{ params.template }}", checklist_id="a" * 32)


@pytest.fixture
def find(hook: TallyfyHook, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute the operator as a task would, with rendered values."""

    # The loggers of Airflow 3 bypass caplog.
    monkeypatch.setattr(TallyfyListRunsOperator, "log", logging.getLogger("task"), raising=False)

    def find(rendered: dict[str, Any] | None = None, **arguments: Any) -> list[dict[str, Any]]:
        operator = TallyfyListRunsOperator(task_id="find", tallyfy_conn_id=hook.tallyfy_conn_id, **arguments)
        for name, value in (rendered or {}).items():
            setattr(operator, name, value)
        pushed: dict[str, Any] = {}
        rows = operator.execute({"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))})  # type: ignore[typeddict-item]  # no task instance
        assert json.loads(json.dumps(rows)) == rows
        assert pushed == {"run_ids": [row["id"] for row in rows]}
        return rows

    return find


class TestWhenRendered:
    @pytest.mark.parametrize(("name", "value"), BAD_LITERALS)
    def test_bad_value_is_refused_and_nothing_is_sent(self, name: str, value: Any, find: Any, sandbox: Sandbox) -> None:
        with pytest.raises(TallyfyArgumentError, match=name):
            find({name: value}, **{name: "{{ params.x }}"})
        assert sandbox.requests == []

    @pytest.mark.parametrize("name", ["exclude_tags", "template", "stale_after", "tags"])
    def test_upstream_that_returned_nothing_is_an_error(
        self, name: str, find: Any, sandbox: Sandbox, xcom: Any
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=f"{name}=None is empty.*the upstream task returned nothing"):
            find({name: None}, **{name: xcom})
        assert sandbox.requests == []

    def test_blank_param_is_not_given(self, find: Any, sandbox: Sandbox) -> None:
        sandbox.add_runs(3)
        names = [*GOOD, *BAD_OPTIONS]
        assert len(find(dict.fromkeys(names, ""), **dict.fromkeys(names, "{{ params.x or '' }}"))) == 3

    def test_blank_param_in_a_list_is_ignored(self, find: Any, sandbox: Sandbox) -> None:
        sandbox.add_runs(3)
        assert len(find({"exclude_tags": [""]}, exclude_tags=["{{ params.keep or '' }}"])) == 3
        with pytest.raises(TallyfyArgumentError, match=r"tags=\[\] is empty"):
            find({"tags": [""]}, tags=["{{ params.tag or '' }}"])

    def test_everything_but_the_runs_with_a_tag(self, find: Any, sandbox: Sandbox) -> None:
        keep = sandbox.add_tag("Keep")
        sandbox.add_run("kept", tags=[keep], unmodified_days=60)
        old = sandbox.add_run("old", unmodified_days=60)
        sandbox.add_run("busy")
        rows = find(exclude_tags=["keep"], stale_after=timedelta(days=30), fields=["name", "tags"])
        assert rows == [{"id": old, "name": "old", "tags": [], "tag_ids": []}]


class TestLog:
    @pytest.fixture(autouse=True)
    def _level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)

    def test_names_the_cut_off_date_and_why_runs_did_not_match(
        self, find: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.add_run("old", unmodified_days=60)
        sandbox.add_runs(2)
        find(status="active", stale_after="P30D", limit="3", order="last_updated")
        cut_off = datetime.now(timezone.utc) - timedelta(days=30)
        assert f"(status 'active', not updated since {cut_off:%Y-%m-%d %H}" in caplog.text
        assert re.search(
            r"not updated since [\d-]{10} \d\d:\d\d UTC, limit='3', order='last_updated'\) in organization", caplog.text
        )
        assert "Looked at 3 runs, kept 1." in caplog.text
        assert "Runs that did not match, by the first filter that excluded them: stale_after: 2." in caplog.text

    def test_warns_of_a_filter_that_tallyfy_ignores(
        self, find: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = [{"id": str(n), "name": "live", "archived_at": None} for n in range(3)]
        sandbox.fail("GET", "/runs", Fault.status(200, {"data": rows}), times=None)
        assert find(archived="only") == []
        assert "Skipped 3 non-matching runs that Tallyfy returned: it seems to ignore a filter." in caplog.text

    def test_long_values_are_cut_and_stay_on_one_line(
        self, find: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        ids = [sandbox.add_tag(f"Tag {number}") for number in range(300)]
        sandbox.add_run(tags=[ids[0]])
        find(exclude_tags=ids[1:], q="a\nMarking task as SUCCESS", name_pattern="x" * 5000)
        asked = [record.getMessage() for record in caplog.records if "Looking for runs" in record.getMessage()]
        assert len(asked[0]) < 700
        assert "\n" not in asked[0]
        assert "... (299 in all)" in asked[0]
