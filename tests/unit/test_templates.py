"""Templates by id or title, their steps by name, and the owners of a step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected
from airflow_provider_tallyfy.api.templates import Step, Template, find_step, find_template, steps_of
from tests.unit._flows import play_labels

ORG, A, B, C = "0" * 32, "a" * 32, "b" * 32, "c" * 32
STEPS = [
    {"id": "s2", "title": "Approve", "alias": "approve_5", "position": 2, "step_type": "approval"},
    {"id": "s1", "title": "Collect", "position": 1, "captures": [{"id": "f", "label": "Amount", "field_type": "text"}]},
]
ROW: dict[str, Any] = {
    "id": A,
    "title": "Onboarding",
    "archived_at": None,
    "prerun": [{"id": "k", "label": "Company", "field_type": "text", "required": True}],
    "steps": {"data": STEPS},
}


def answer(data: object, status: int = 200) -> Response:
    return Response(status, {}, json.dumps({"data": data}).encode())


def titles(**known: str) -> Response:
    return answer([{"id": identity, "title": title} for identity, title in known.items()])


def find(name: object, *replies: Response) -> tuple[Template, list[str]]:
    return play_labels(find_template(ORG, "template", name), *replies)


class TestFindTemplate:
    def test_template_is_found_by_id_in_one_request(self) -> None:
        template, sent = find(A, answer(ROW))
        assert sent == [f"GET /checklists/{A}"]
        assert (template.id, template.title, template.raw) == (A, "Onboarding", ROW)
        assert [(field.label, field.required) for field in template.kickoff] == [("Company", True)]
        assert [(step.title, step.task_type) for step in template.steps] == [
            ("Collect", "task"),
            ("Approve", "approval"),
        ]
        assert [field.label for field in template.steps[0].fields] == ["Amount"]

    @pytest.mark.parametrize("title", ["Onboarding", " onboarding "])
    def test_template_is_found_by_title_in_the_list(self, title: str) -> None:
        template, sent = find(title, titles(**{B: "Offboarding", A: "Onboarding"}), answer(ROW))
        assert (template.id, sent) == (A, ["GET /checklists", f"GET /checklists/{A}"])

    @pytest.mark.parametrize(
        ("name", "known", "words"),
        [
            ("Onbaording", {A: "Onboarding", B: "Sales"}, "did you mean 'Onboarding'"),
            ("Sales", {A: "Sales", B: "Sales"}, f"2 templates are titled 'Sales': {A}, {B}. Use the id."),
            ("Sales", {}, "There are no templates"),
        ],
    )  # fmt: skip
    def test_unknown_or_ambiguous_title_is_an_error(self, name: str, known: dict[str, str], words: str) -> None:
        with pytest.raises(ArgumentError, match=words):
            find(name, titles(**known))

    @pytest.mark.parametrize("name", ["", " ", "None", "{{ x }}", None, 7, ["Sales"], "x" * 551])
    def test_bad_name_is_refused_before_anything_is_sent(self, name: object) -> None:
        with pytest.raises(ArgumentError, match=r"^template"):
            find(name)

    def test_archived_template_is_an_error(self) -> None:
        with pytest.raises(ArgumentError, match=r"the template 'Onboarding' is archived\. Restore it in Tallyfy first"):
            find(A, answer({**ROW, "archived_at": "2026-03-01T12:00:00Z"}))

    @pytest.mark.parametrize(
        ("reply", "kind", "words"),
        [
            (
                Response(404, {}, b"{}"),
                Kind.NOT_FOUND,
                "no template with this id in the organization, or it is",
            ),
            (Response(403, {}, b"{}"), Kind.FORBIDDEN, "403"),
            (answer({**ROW, "id": B}), Kind.SERVER, "which is not the requested object"),
            (answer({**ROW, "steps": [{"title": "Approve"}]}), Kind.SERVER, "a step that has no id"),
            (answer({**ROW, "steps": [None]}), Kind.SERVER, "a step that has no id"),
        ],
    )
    def test_answer_without_a_readable_template_is_an_error(self, reply: Response, kind: Kind, words: str) -> None:
        with pytest.raises(Rejected, match=words) as caught:
            find(A, reply)
        assert caught.value.problem.kind is kind

    def test_steps_that_the_template_does_not_include_are_read_page_by_page(self) -> None:
        row = {name: value for name, value in ROW.items() if name != "steps"}
        pages = [
            {"data": [step], "meta": {"pagination": {"total": 2, "total_pages": 2, "per_page": 1, "current_page": n}}}
            for n, step in enumerate(STEPS, start=1)
        ]
        template, sent = find(A, answer(row), *(Response(200, {}, json.dumps(page).encode()) for page in pages))
        assert [step.id for step in template.steps] == ["s1", "s2"]
        assert sent == [f"GET /checklists/{A}", *[f"GET /checklists/{A}/steps"] * 2]


def step_of(**row: Any) -> Step:
    (step,) = steps_of([{"id": "s", **row}])
    return step


class TestSteps:
    @pytest.mark.parametrize(
        ("row", "owners", "unreadable"),
        [
            ({}, {}, ()),
            ({"assignees": None, "guests": [], "groups": {"data": []}}, {}, ()),
            ({"assignees": [7, "8"], "groups": [C]}, {"users": [7, "8"], "groups": [C]}, ()),
            ({"assignees": {"data": [{"id": 7, "email": "x@y.z"}]}}, {"users": [7]}, ()),
            ({"users": [7]}, {"users": [7]}, ()),
            ({"guests": ["x@y.z", {"id": 1, "email": "a@b.c"}]}, {"guests": ["x@y.z", "a@b.c"]}, ()),
            ({"groups": [{"id": C}]}, {"groups": [C]}, ()),
            ({"assignees": "7", "guests": [{"name": "a"}, "a@b.c"]}, {"guests": ["a@b.c"]}, ("users", "guests")),
        ],
    )  # fmt: skip
    def test_owners_are_read_in_every_format(
        self, row: dict[str, Any], owners: dict[str, Any], unreadable: tuple[str, ...]
    ) -> None:
        step = step_of(**row)
        assert step.owners == {"users": [], "guests": [], "groups": [], **owners}
        assert step.unreadable == unreadable

    @pytest.mark.parametrize(
        ("value", "flag"),
        [
            (True, True),
            (False, False),
            (0, False),
            ("0", False),
            ("false", False),
            (1, True),
            (None, True),
            ("?", True),
        ],
    )
    def test_missing_flag_counts_as_true(self, value: object, flag: bool) -> None:
        step = step_of(allow_guest_owners=value, assign_run_starter=value)
        assert (step.allow_guest_owners, step.assign_run_starter) == (flag, flag)
        assert (step_of().allow_guest_owners, step_of().assign_run_starter) == (True, True)

    def test_archived_steps_are_left_out_and_steps_without_position_come_last(self) -> None:
        rows = [{"id": "x"}, {"id": "b", "position": 2}, {"id": "a", "position": 1}, {"id": "z", "archived_at": "2026"}]
        assert [step.id for step in steps_of(rows)] == ["a", "b", "x"]

    @given(
        st.dictionaries(
            st.sampled_from(["title", "alias", "position", "captures", "assignees", "guests", "groups", "step_type"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "email", "data"]), inner),
            ),
        )
    )
    def test_any_row_with_an_id_is_read_as_a_step(self, row: dict[str, Any]) -> None:
        step = step_of(**row)
        assert (step.id, step.raw["id"]) == ("s", "s")


class TestFindStep:
    STEPS = steps_of(
        [
            {"id": "s1", "title": "Approve", "alias": "a1"},
            {"id": "s2", "title": "Review", "alias": "Approve"},
            {"id": "s3", "title": "Pay"},
            {"id": "s4", "title": "Pay"},
        ]
    )

    @pytest.mark.parametrize(
        ("name", "step"), [("s1", "s1"), ("Approve", "s2"), ("A1", "s1"), (" review ", "s2"), ("S3", "s3")]
    )
    def test_name_matches_id_then_alias_then_title_then_any_letter_case(self, name: str, step: str) -> None:
        assert find_step("assignees", self.STEPS, name).id == step

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("Pay", "assignees: 2 steps are called 'Pay': s3, s4. Use the id."),
            ("Reviw", r"no step has the id, alias or title 'Reviw' \(did you mean 'Review'\?\). There are 'Approve', "),
            (7, "assignees names the step 7; use its title or id"),
            (None, "assignees names the step None"),
            ("", "no step has the id, alias or title ''"),
        ],
    )
    def test_unknown_or_ambiguous_name_is_an_error(self, name: object, words: str) -> None:
        with pytest.raises(ArgumentError, match=words):
            find_step("assignees", self.STEPS, name)

    def test_template_without_steps_is_an_error(self) -> None:
        with pytest.raises(ArgumentError, match="There are no steps"):
            find_step("assignees", [], "Pay")
