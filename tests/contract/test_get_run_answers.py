"""Reading the answers in the forms of a run, by label."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyNotFoundError, TallyfyServerError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._desk import EVERY_FIELD, Desk, new_desk
from tests.contract._example_organization import UNKNOWN

_text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(str.strip)
_address = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)
_file = st.from_regex(r"https://files\.example/[a-z]{1,8}\.pdf", fullmatch=True)


def _chosen(*options: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(options), min_size=1, unique=True)


#: For each type of field: answers as a DAG gives them.
GIVEN: dict[str, st.SearchStrategy[Any]] = {
    "text": _text | st.integers(-(2**53), 2**53),
    "textarea": _text,
    "email": _address,
    "date": st.dates(date(1971, 1, 1), date(2100, 1, 1)),
    "radio": st.sampled_from(("Monthly", "Yearly")),
    "dropdown": st.sampled_from(("S", "M", "L")),
    "multiselect": _chosen("SSO", "Audit", "API"),
    "table": st.tuples(_text, _text).map(list),
    "assignees_form": st.fixed_dictionaries(
        {"users": st.just([]), "guests": st.lists(_address, min_size=1, unique=True), "groups": st.just([])}
    ),
    "file": st.lists(_file, min_size=1, unique=True),
}
FORM = st.fixed_dictionaries({}, optional={str(field["label"]): GIVEN[field["field_type"]] for field in EVERY_FIELD})


def plain(value: Any) -> Any:
    """Return an answer as it is read: a date is ISO text, because an XCom is JSON."""
    return value.isoformat() if isinstance(value, date) else value


def test_answer_to_every_type_of_field_is_read_as_the_given_value(sandbox: Sandbox, hook: TallyfyHook) -> None:
    desk = new_desk(sandbox)
    template = (sandbox.run(desk.run_id) or {})["checklist_id"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(FORM)
    def check(answers: dict[str, Any]) -> None:
        run_id = sandbox.add_run(template=template)
        hook.complete_task(run_id, "collect", answers={"Amount": "1", **answers})
        found = hook.get_run(run_id, answers=True)["answers"]
        expected = {str(field["label"]): plain(answers.get(str(field["label"]))) for field in EVERY_FIELD}
        assert {label: found[label] for label in expected} == expected
        assert json.loads(json.dumps(found)) == found

    check()


def test_every_type_of_field_has_a_strategy() -> None:
    assert {field["field_type"] for field in EVERY_FIELD} == set(GIVEN)


class TestReading:
    @pytest.fixture
    def desk(self, sandbox: Sandbox, hook: TallyfyHook) -> Desk:
        desk = new_desk(sandbox)
        hook.complete_task(desk.run_id, "collect", answers={"Amount": 12, "Size": "L", "Start": date(2026, 3, 1)})
        hook.complete_task(desk.run_id, "Approve", approve=True, answers={"Reason": "Checked"})
        sandbox.forget_requests()
        return desk

    def test_one_request_reads_the_run_with_its_answers(self, desk: Desk, hook: TallyfyHook) -> None:
        run = hook.get_run(desk.run_id, answers=True)
        [record] = desk.sandbox.requests
        assert record.route == f"/runs/{desk.run_id}"
        assert record.query == {"with": "ko_form_fields,form_fields,tasks", "form_fields_values": "true"}
        answers = run.pop("answers")
        assert run == hook.get_run(desk.run_id)
        answered = {label: value for label, value in answers.items() if value is not None}
        assert answered == {
            "Customer": "Acme",
            "Amount (kick-off form)": "7",
            "Amount (Collect details)": 12,
            "Size": "L",
            "Start": "2026-03-01",
            "Reason": "Checked",
        }
        assert answers["Amount (Approve)"] is None
        assert answers["Notes"] is None, "an unanswered field is included"

    def test_requested_relations_are_returned(self, desk: Desk, hook: TallyfyHook) -> None:
        run = hook.get_run(desk.run_id, include=["tasks", "tags"], answers=True)
        assert [task["title"] for task in run["tasks"]["data"]][:2] == ["Collect details", "Approve"]
        assert {"form_fields", "ko_form_fields"}.isdisjoint(run)
        assert run["tags"] == {"data": []}

    @pytest.mark.parametrize("get_archived", ["200", "404"])
    @pytest.mark.parametrize("tasks_of_archived", ["empty", "404", "tasks"])
    def test_answers_of_an_archived_run_are_read(
        self, desk: Desk, hook: TallyfyHook, get_archived: Any, tasks_of_archived: Any
    ) -> None:
        before = hook.get_run(desk.run_id, answers=True)["answers"]
        desk.sandbox.behaviour = Behaviour(get_archived=get_archived, tasks_of_archived=tasks_of_archived)
        desk.sandbox.archive(desk.run_id)
        after = hook.get_run(desk.run_id, answers=True)
        assert after["archived_at"]
        assert list(after["answers"].values()) == list(before.values())
        if tasks_of_archived == "tasks":
            assert after["answers"] == before

    def test_forms_that_are_not_returned_with_the_run_are_read_separately(self, desk: Desk, hook: TallyfyHook) -> None:
        before = hook.get_run(desk.run_id, answers=True)
        desk.sandbox.forget_requests()
        desk.sandbox.fail("GET", f"/runs/{desk.run_id}", Fault.without("form_fields", "ko_form_fields"))
        assert hook.get_run(desk.run_id, answers=True) == before
        assert [record.route for record in desk.sandbox.requests] == [
            f"/runs/{desk.run_id}",
            f"/runs/{desk.run_id}/form-fields",
        ]

    @pytest.mark.parametrize("prerun_empty", ["object", "list"])
    def test_unanswered_fields_are_none(self, desk: Desk, hook: TallyfyHook, prerun_empty: Any) -> None:
        desk.sandbox.behaviour = Behaviour(prerun_empty=prerun_empty)
        template = (desk.sandbox.run(desk.run_id) or {})["checklist_id"]
        answers = hook.get_run(desk.sandbox.add_run(template=template), answers=True)["answers"]
        assert set(answers.values()) == {None}
        assert (
            hook.get_run(desk.sandbox.add_run(template=desk.sandbox.add_template("No forms")), answers=True)["answers"]
            == {}
        )

    @pytest.mark.parametrize("body", [{}, {"form_fields": []}, [], "page", {"data": {"form_fields": 7}}])
    def test_forms_that_tallyfy_does_not_return_are_an_error(self, desk: Desk, hook: TallyfyHook, body: Any) -> None:
        desk.sandbox.fail("GET", f"/runs/{desk.run_id}", Fault.without("form_fields", "ko_form_fields"))
        desk.sandbox.fail("GET", "*/form-fields", Fault.other_answer(body), times=None)
        with pytest.raises(TallyfyServerError, match=r"did not return the forms|not JSON"):
            hook.get_run(desk.run_id, answers=True)

    def test_unknown_run_is_an_error(self, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError, match="There is no run"):
            hook.get_run(UNKNOWN, answers=True)

    @pytest.mark.parametrize("answers", ["no", 1, None, []])
    def test_answers_flag_must_be_a_bool(self, desk: Desk, hook: TallyfyHook, answers: Any) -> None:
        with pytest.raises(TallyfyArgumentError, match="is not true or false"):
            hook.get_run(desk.run_id, answers=answers)
        assert desk.methods == []


def test_answers_of_steps_with_the_same_title_are_all_returned(sandbox: Sandbox, hook: TallyfyHook) -> None:
    steps = [{"title": "Check", "fields": [{"label": "Amount", "id": digit * 32}]} for digit in "ab"]
    run_id = sandbox.add_run(template=sandbox.add_template("Twice", steps))
    [first, second] = hook.iter_tasks(run_id)
    hook.complete_task(run_id, first["id"], answers={"Amount": 1})
    hook.complete_task(run_id, second["id"], answers={"Amount": 2})
    answers = hook.get_run(run_id, answers=True)["answers"]
    assert sorted(answers.values()) == [1, 2]
    assert {name.split(" ")[0] for name in answers} == {"Amount"}
