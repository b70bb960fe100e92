"""What a task, a run and a form say about themselves, and what is refused when a DAG file is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from airflow import DAG

from airflow_provider_tallyfy._compat import BaseOperator
from airflow_provider_tallyfy.api.activity import checked_filters
from airflow_provider_tallyfy.api.endpoints.tasks import complete_task, get_task
from airflow_provider_tallyfy.api.once import LAG, look_until
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Pause, Response
from airflow_provider_tallyfy.api.runs.kickoff import is_submitted
from airflow_provider_tallyfy.api.tasks import model
from airflow_provider_tallyfy.api.tasks.answers import answers_of
from airflow_provider_tallyfy.api.tasks.comments import is_there
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
def test_either_status_or_completed_at_makes_a_task_complete(task: dict[str, Any], complete: bool | None) -> None:
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
def test_decision_is_read_in_each_of_its_spellings(value: Any, approved: bool | None) -> None:
    assert model.verdict({"is_approved": value}) is approved


@pytest.mark.parametrize(("status", "skipped"), [("auto-skipped", True), ("auto_skipped", True), ("skipped", False)])
def test_hidden_tasks_are_known_by_their_status(status: str, skipped: bool) -> None:
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
def test_open_issues_are_told_in_their_own_words(task: dict[str, Any], issues: list[str]) -> None:
    assert model.open_issues(task) == issues


def test_stored_answers_come_from_the_form_and_the_task() -> None:
    rows = [{"id": "a", "value": 1}, {"id": "b", "value": None}, {"id": "c", "value": 3}, {"value": 4}, None]
    assert model.stored_answers({"form_fields": {"data": rows}, "taskdata": {"b": 2, "c": None}}) == {
        "a": 1,
        "b": 2,
        "c": 3,
    }
    assert model.stored_answers({"form_fields": 7, "taskdata": []}) == {}


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        ("2026-01-01T09:59:59.000Z", False),
        ("2026-01-01T10:00:00Z", True),
        ("2026-01-01T10:00:01Z", True),
        (None, True),  # rather one comment too few than one twice
    ],
)
def test_comment_counts_as_there_if_it_was_made_since_the_completion(made: str | None, counts: bool) -> None:
    rows = [{"id": "t", "content": "<p>All done</p>", "created_at": made}]
    task = {"completed_at": "2026-01-01T10:00:00.000Z", "threads": {"data": rows}}
    assert is_there(task, "All  done") is counts
    assert is_there(task, "All") is False
    assert is_there({"completed_at": None}, "All done") is None


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


def test_log_says_which_write_is_in_doubt_while_its_outcome_is_read() -> None:
    write, read = complete_task("o", "r", "t"), get_task("o", "r", "t")
    lost = Exchange(write, Lost("cut", "RemoteDisconnected", sent=True))
    looking = look_until(read, lost, model.is_complete)
    assert next(looking) == read
    for seconds in LAG:
        again = looking.send(Exchange(read, Response(200, body=b'{"id": "t", "status": "active"}')))
        assert again == read
        assert again.pause == Pause(
            seconds,
            "POST /runs/r/completed-tasks may or may not have been done, and does not show; "
            f"reading again in {seconds} s",
        )
    with pytest.raises(StopIteration):
        looking.send(Exchange(read, Response(200, body=b'{"id": "t", "status": "completed"}')))


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

    def test_label_that_occurs_twice_is_followed_by_the_title_of_its_step(self) -> None:
        steps = [field("a", "Amount", task_id="t1"), field("b", "Amount", task_id="t2", value="own")]
        assert answers_of(self.RUN, [field("k", "Amount")], [*steps, field("c", "Reason", task_id="t2")]) == {
            "Amount (kick-off form)": "from the run",
            "Amount (Check)": "from the task",
            "Amount (Approve)": "own",
            "Reason": None,
        }

    def test_fields_of_tasks_that_are_not_shown_are_told_apart_by_what_is_known(self) -> None:
        steps = [field("a", "Amount", task_id="t8", value=1), field("b", "Amount", task_id="t9", value=2)]
        found = answers_of({"prerun": []}, [], steps)
        assert found == {"Amount (t8)": 1, "Amount (t9)": 2}

    def test_what_is_no_field_is_left_out(self) -> None:
        assert answers_of({"prerun": None, "tasks": 7}, [{}, {"id": None}], [{"task_id": "t1"}]) == {}


class TestFiltersOfTheFeed:
    def test_what_is_given_is_written_as_tallyfy_takes_it(self) -> None:
        late = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
        given = {"verb": " archived ", "actor_id": "1001", "created_after": date(2026, 3, 1), "created_before": late}
        assert checked_filters({**given, "search": None, "per_page": 50}) == {
            "verb": "archived",
            "actor_id": 1001,
            "created_after": "2026-03-01",
            "created_before": "2026-03-02",
            "per_page": 50,
        }

    def test_guests_have_texts_as_ids(self) -> None:
        assert checked_filters({"actor_id": "a1b2"}) == {"actor_id": "a1b2"}


GOOD: dict[str, Any] = {"task_id": "t", "run_id": "a" * 32, "task": "Approve"}


@pytest.fixture
def xcom() -> Iterator[Any]:
    """The output of another task, within a DAG."""
    with DAG("tallyfy_tasks", schedule=None, start_date=datetime(2026, 1, 1)):
        yield BaseOperator(task_id="upstream").output


class TestAtParse:
    @pytest.mark.parametrize(
        ("argument", "value", "told"),
        [
            ("run_id", "a/b", "run_id='a/b' is not a Tallyfy id"),
            ("task", "", "task='' is neither the id nor the title"),
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
    def test_bad_literal_is_an_error_of_the_dag_file(self, argument: str, value: Any, told: str) -> None:
        with pytest.raises(ValueError, match=told) as caught:
            TallyfyCompleteTaskOperator(**{**GOOD, argument: value})
        assert isinstance(caught.value, TallyfyArgumentError)

    @pytest.mark.parametrize("argument", ["run_id", "task", "answers", "comment"])
    def test_templates_and_xcoms_wait_for_the_task(self, argument: str, xcom: Any) -> None:
        for number, value in enumerate(("{{ params.x }}", xcom)):
            operator = TallyfyCompleteTaskOperator(**{**GOOD, "task_id": f"t{number}", argument: value})
            assert getattr(operator, argument) is value
        TallyfyCompleteTaskOperator(**{**GOOD, "answers": {"Amount": "{{ params.x }}", "When": xcom}})

    def test_decision_is_not_left_to_a_template(self, xcom: Any) -> None:
        for number, value in enumerate(("{{ params.x }}", xcom)):
            with pytest.raises(ValueError, match=r"approve=.* is not True"):
                TallyfyCompleteTaskOperator(**{**GOOD, "task_id": f"t{number}", "approve": value})

    def test_run_to_read_needs_an_id(self, xcom: Any) -> None:
        with pytest.raises(ValueError, match="run_id='a/b' is not a Tallyfy id"):
            TallyfyGetRunOperator(task_id="t", run_id="a/b")
        assert TallyfyGetRunOperator(task_id="u", run_id=xcom).run_id is xcom
