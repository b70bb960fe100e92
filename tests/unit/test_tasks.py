"""Reading tasks, kick-off forms and answers, and the checks of literal arguments when a DAG file is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from airflow import DAG

from airflow_provider_tallyfy._compat import BaseOperator
from airflow_provider_tallyfy.api.activity import checked_filters
from airflow_provider_tallyfy.api.endpoints.tasks import complete_task, get_task
from airflow_provider_tallyfy.api.once import LAG, read_until
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Pause, Response
from airflow_provider_tallyfy.api.runs.kickoff import is_submitted
from airflow_provider_tallyfy.api.tasks import model
from airflow_provider_tallyfy.api.tasks.answers import answers_of
from airflow_provider_tallyfy.api.tasks.comments import was_written
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.operators.tallyfy import TallyfyCompleteTaskOperator, TallyfyGetRunOperator


@pytest.mark.parametrize(
    ("task", "complete"),
    [
        ({"status": "completed", "completed_at": "2026-01-01T00:00:00Z"}, True),
        ({"status": "Complete"}, True),
        ({"status": "in-progress", "completed_at": "2026-01-01T00:00:00Z"}, True),
        ({"completed_at": "2026-01-01T00:00:00Z"}, True),
        ({"status": "in-progress", "completed_at": None}, False),
        ({"status": "auto_skipped"}, False),
        ({"status": "something new"}, False),
        ({"completed_at": None}, False),
        ({"status": None}, None),
        ({}, None),
    ],
)
def test_task_is_complete_by_status_or_completed_at(task: dict[str, Any], complete: bool | None) -> None:
    assert model.complete_state(task) is complete
    assert model.is_complete(task) is (complete is True)


@pytest.mark.parametrize(
    ("value", "approved"),
    [
        *[(True, True), (1, True), ("1", True), ("true", True), ("True", True)],
        *[(False, False), (0, False), ("0", False), ("false", False)],
        *[(None, None), ("", None), (2, None), ([], None), ({"a": 1}, None)],
    ],
)
def test_decision_is_read_in_every_spelling(value: Any, approved: bool | None) -> None:
    assert model.decision({"is_approved": value}) is approved


@pytest.mark.parametrize(("status", "skipped"), [("auto-skipped", True), ("auto_skipped", True), ("skipped", False)])
def test_status_shows_that_a_task_is_hidden(status: str, skipped: bool) -> None:
    assert model.is_skipped({"status": status}) is skipped


@pytest.mark.parametrize(
    ("task", "issues"),
    [
        ({"problem": True}, ["an issue"]),
        ({"problem": False, "threads": {"data": []}}, []),
        ({"threads": [{"label": "problem", "content": "<p>It&nbsp;is <b>late</b></p>"}]}, ["It is late"]),
        ({"threads": [{"label": "problem", "content": None}]}, ["an issue"]),
        ({"threads": [{"label": "problem", "content": "x", "resolved": True}, {"label": "comment"}, 7, None]}, []),
        ({"threads": "x"}, []),
        ({}, []),
    ],
)
def test_open_issues_are_listed_with_their_texts(task: dict[str, Any], issues: list[str]) -> None:
    assert model.open_issues(task) == issues


def test_stored_answers_are_read_from_form_fields_and_taskdata() -> None:
    rows = [{"id": "a", "value": 1}, {"id": "b", "value": None}, {"id": "c", "value": 3}, {"value": 4}, None]
    assert model.stored_answers({"form_fields": {"data": rows}, "taskdata": {"b": 2, "c": None}}) == {
        "a": 1,
        "b": 2,
        "c": 3,
    }
    assert model.stored_answers({"form_fields": 7, "taskdata": []}) == {}


@pytest.mark.parametrize(
    ("created", "written"),
    [
        ("2026-01-01T09:59:59.000Z", False),
        ("2026-01-01T10:00:00Z", True),
        ("2026-01-01T10:00:01Z", True),
        (None, True),  # a missing comment is better than a second one
    ],
)
def test_comment_was_written_if_it_is_not_older_than_the_completion(created: str | None, written: bool) -> None:
    rows = [{"id": "t", "content": "<p>All done</p>", "created_at": created}]
    task = {"completed_at": "2026-01-01T10:00:00.000Z", "threads": {"data": rows}}
    assert was_written(task, "All  done") is written
    assert was_written(task, "All") is False
    assert was_written({"completed_at": None}, "All done") is None


@pytest.mark.parametrize(
    ("run", "submitted"),
    [
        ({"prerun_status": "complete", "prerun_completed_at": None}, True),
        ({"prerun_status": "Completed"}, True),
        ({"prerun_status": "incomplete", "prerun_completed_at": "2026-01-01T00:00:00Z"}, False),
        ({"prerun_completed_at": "2026-01-01T00:00:00Z"}, True),
        ({"prerun_completed_at": None}, False),
        ({}, None),
    ],
)
def test_kickoff_form_is_submitted_if_its_status_says_so(run: dict[str, Any], submitted: bool | None) -> None:
    assert is_submitted(run) is submitted


def test_log_names_the_write_whose_outcome_is_read_again() -> None:
    write, read = complete_task("o", "r", "t"), get_task("o", "r", "t")
    lost = Exchange(write, Lost("cut", "RemoteDisconnected", sent=True))
    reading = read_until(read, lost, model.is_complete)
    assert next(reading) == read
    for seconds in LAG:
        again = reading.send(Exchange(read, Response(200, body=b'{"id": "t", "status": "active"}')))
        assert again == read
        assert again.pause == Pause(
            seconds,
            "POST /runs/r/completed-tasks may or may not have been done: a read does not show it; "
            f"reading again in {seconds} s",
        )
    with pytest.raises(StopIteration):
        reading.send(Exchange(read, Response(200, body=b'{"id": "t", "status": "completed"}')))


def field(identity: str, label: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "label": label, "field_type": "text", **more}


class TestAnswers:
    RUN: ClassVar[dict[str, Any]] = {
        "prerun": {"k": "from the run"},
        "tasks": {
            "data": [
                {"id": "t1", "title": "Check", "taskdata": {"a": "from the task"}},
                {"id": "t2", "title": "Approve", "taskdata": []},
            ]
        },
    }

    def test_title_of_the_step_is_added_to_a_label_that_occurs_twice(self) -> None:
        steps = [field("a", "Amount", task_id="t1"), field("b", "Amount", task_id="t2", value="own")]
        assert answers_of(self.RUN, [field("k", "Amount")], [*steps, field("c", "Reason", task_id="t2")]) == {
            "Amount (kick-off form)": "from the run",
            "Amount (Check)": "from the task",
            "Amount (Approve)": "own",
            "Reason": None,
        }

    def test_id_of_the_task_is_added_if_its_title_is_unknown(self) -> None:
        steps = [field("a", "Amount", task_id="t8", value=1), field("b", "Amount", task_id="t9", value=2)]
        found = answers_of({"prerun": []}, [], steps)
        assert found == {"Amount (t8)": 1, "Amount (t9)": 2}

    def test_rows_that_are_not_fields_are_left_out(self) -> None:
        assert answers_of({"prerun": None, "tasks": 7}, [{}, {"id": None}], [{"task_id": "t1"}]) == {}


class TestActivityFilters:
    def test_given_filters_become_query_parameters(self) -> None:
        late = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
        given = {"verb": " archived ", "actor_id": "1001", "created_after": date(2026, 3, 1), "created_before": late}
        assert checked_filters({**given, "search": None, "per_page": 50}) == {
            "verb": "archived",
            "actor_id": 1001,
            "created_after": "2026-03-01",
            "created_before": "2026-03-02",
            "per_page": 50,
        }

    def test_guest_is_given_by_a_text_id(self) -> None:
        assert checked_filters({"actor_id": "a1b2"}) == {"actor_id": "a1b2"}


GOOD: dict[str, Any] = {"task_id": "t", "run_id": "a" * 32, "task": "Approve"}


@pytest.fixture
def xcom() -> Iterator[Any]:
    """The output of another task, within a DAG."""
    with DAG("tallyfy_tasks", schedule=None, start_date=datetime(2026, 1, 1)):
        yield BaseOperator(task_id="upstream").output


class TestDagFile:
    @pytest.mark.parametrize(
        ("argument", "value", "words"),
        [
            ("run_id", "a/b", "run_id='a/b' is not a Tallyfy id"),
            ("task", "", "task='' is not the id, title or alias"),
            ("task", 7, "task=7 is of type int"),
            ("task", {"id": "x"}, "is a whole object"),
            ("task", "x" * 601, "task has 601 characters"),
            ("answers", ["Amount"], r"answers=\['Amount'\] is not an object"),
            ("answers", {1: "x"}, "names are strings"),
            ("approve", "True", "approve='True' is not True"),
            ("approve", 1, "approve=1 is not True"),
            ("comment", 7, "comment=7 is of type int"),
            ("if_already", "ignore", "if_already='ignore': choose one of 'succeed', 'skip', 'fail'"),
        ],
    )
    def test_bad_literal_is_refused_when_the_dag_file_is_parsed(self, argument: str, value: Any, words: str) -> None:
        with pytest.raises(ValueError, match=words) as caught:
            TallyfyCompleteTaskOperator(**{**GOOD, argument: value})
        assert isinstance(caught.value, TallyfyArgumentError)

    @pytest.mark.parametrize("argument", ["run_id", "task", "answers", "comment"])
    def test_templates_and_xcoms_are_not_checked_when_the_dag_file_is_parsed(self, argument: str, xcom: Any) -> None:
        for number, value in enumerate(("{{ params.x }}", xcom)):
            operator = TallyfyCompleteTaskOperator(**{**GOOD, "task_id": f"t{number}", argument: value})
            assert getattr(operator, argument) is value
        TallyfyCompleteTaskOperator(**{**GOOD, "answers": {"Amount": "{{ params.x }}", "When": xcom}})

    def test_decision_must_be_a_literal(self, xcom: Any) -> None:
        for number, value in enumerate(("{{ params.x }}", xcom)):
            with pytest.raises(ValueError, match=r"approve=.* is not True"):
                TallyfyCompleteTaskOperator(**{**GOOD, "task_id": f"t{number}", "approve": value})

    def test_get_run_operator_checks_the_run_id(self, xcom: Any) -> None:
        with pytest.raises(ValueError, match="run_id='a/b' is not a Tallyfy id"):
            TallyfyGetRunOperator(task_id="t", run_id="a/b")
        assert TallyfyGetRunOperator(task_id="u", run_id=xcom).run_id is xcom
