"""Launching in the sandbox: who gets the tasks, what forms take, who may launch what, and what is read back."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox, every_field, sample_organization
from tests.contract._plain_requests import Ask, errors, plain_requests

GUEST = "cfo@partner.example"


def template(sandbox: Sandbox) -> tuple[str, dict[str, str]]:
    """A template whose steps are assigned in every way, and the ids of the steps by title."""
    sandbox.add_member("ann@acme.example")
    finance = sandbox.add_group("Finance")
    created = sandbox.add_template(
        "Onboarding",
        [
            "Starter's",
            {"title": "Ann's", "users": ["ann@acme.example"]},
            {"title": "Guest's", "guests": [GUEST], "deadline_days": 3},
            {"title": "Finance's", "groups": [finance], "assign_run_starter": False},
            {"title": "Nobody's", "assign_run_starter": False},
        ],
    )
    return created, {step["title"]: step["id"] for step in sandbox.template(created)["steps"]}


def launch(ask: Ask, created: str, role: str = "admin", **body: Any) -> dict[str, Any]:
    status, answer = ask("POST", "/runs", {"checklist_id": created, "name": "New", **body}, role=role)
    assert status == 201, answer
    run: dict[str, Any] = answer["data"]
    return run


def owners(ask: Ask, run_id: str) -> dict[str, list[Any]]:
    """Everybody a task belongs to, in one list, by title of the task."""
    rows = ask("GET", f"/runs/{run_id}/tasks?per_page=100")[1]["data"]
    return {row["title"]: [one for bucket in row["owners"].values() for one in bucket] for row in rows}


def test_a_step_says_whose_its_task_will_be(sandbox: Sandbox, ask: Ask) -> None:
    created, _ = template(sandbox)
    steps = ask("GET", f"/checklists/{created}?with=steps")[1]["data"]["steps"]["data"]
    assert steps == ask("GET", f"/checklists/{created}/steps")[1]["data"]
    ann, finance = sandbox.organization.member_ids(["ann@acme.example"])[0], next(iter(sandbox.organization.groups))
    assert [(step["assignees"], step["guests"], step["groups"], step["assign_run_starter"]) for step in steps] == [
        ([], [], [], True),
        ([ann], [], [], True),
        ([], [GUEST], [], True),
        ([], [], [finance], False),
        ([], [], [], False),
    ]
    assert [step["deadline"] for step in steps][2] == {"value": 3, "unit": "days", "option": "from"}
    assert {step["allow_guest_owners"] for step in steps} == {True}


def test_tasks_go_to_their_steps_owners_or_to_whoever_launches(sandbox: Sandbox, ask: Ask) -> None:
    created, _ = template(sandbox)
    ann = sandbox.organization.member_ids(["ann@acme.example"])[0]
    finance = next(iter(sandbox.organization.groups))
    standard = ask("GET", "/me", role="standard")[1]["data"]["id"]
    expected = {"Starter's": [standard], "Ann's": [ann], "Guest's": [GUEST], "Finance's": [finance], "Nobody's": []}
    # The owner of the run and the starter whom the request names get none.
    run = launch(ask, created, "standard", owner_id=ann, user_id=ann)
    assert (run["owner_id"], run["started_by"]) == (ann, ann)
    assert owners(ask, run["id"]) == expected
    # Runs that nobody looks into are found by their tasks' owners all the same.
    other = launch(ask, created, "standard")["id"]
    assert sandbox.organization.runs[other].tasks is None
    assert {row["id"] for row in ask("GET", f"/runs?owners={standard}")[1]["data"]} == {run["id"], other}
    assert sandbox.organization.runs[other].tasks is None


def test_named_owners_replace_a_steps_and_named_steps_are_all_that_is_left(sandbox: Sandbox, ask: Ask) -> None:
    created, steps = template(sandbox)
    admin, ann = (sandbox.organization.member_ids([one])[0] for one in ("admin@sandbox.example", "ann@acme.example"))
    wishes: dict[str, Any] = {
        steps["Starter's"]: {"owners": {"guests": ["new@partner.example"]}},
        steps["Ann's"]: {"owners": {"users": [str(admin)]}, "deadline": "2031-01-02 03:04:05", "max_assignable": 2},
        # No owners at all is no wish: the step's own come back.
        steps["Guest's"]: {"owners": {"users": [], "guests": []}, "deadline": "2031-01-02T03:04:05Z"},
        "f" * 32: {"owners": {"users": [ann]}},
    }
    run_id = launch(ask, created, tasks=wishes)["id"]
    assert owners(ask, run_id) == {"Starter's": ["new@partner.example"], "Ann's": [admin], "Guest's": [GUEST]}
    tasks = ask("GET", f"/runs/{run_id}/tasks")[1]["data"]
    assert [task["deadline"] for task in tasks] == [None, *["2031-01-02T03:04:05.000Z"] * 2]
    assert [task["max_assignable"] for task in tasks] == [0, 2, 0]
    every: dict[str, Any] = {step: {} for step in steps.values()}
    assert len(owners(ask, launch(ask, created, tasks=every)["id"])) == 5
    assert len(owners(ask, launch(ask, created, tasks={})["id"])) == 5
    assert owners(ask, launch(ask, created, tasks={"f" * 32: {}})["id"]) == {}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"owners": {"users": [77]}}, "owners.users"),
        ({"owners": {"users": ["ann@acme.example"]}}, "owners.users"),
        ({"owners": {"guests": ["no address"]}}, "owners.guests"),
        ({"owners": {"guests": ["Ann@acme.example"]}}, "owners.guests"),  # a member is no guest
        ({"owners": {"guests": GUEST}}, "owners.guests"),
        ({"owners": {"groups": ["f" * 32]}}, "owners.groups.0"),
        ({"owners": [1]}, "owners"),
        ({"deadline": "soon"}, "deadline"),
        ({"position": "first"}, "position"),
        ({"max_assignable": -1}, "max_assignable"),
    ],
)
def test_wishes_for_a_task_that_cannot_be_met(sandbox: Sandbox, ask: Ask, wish: Any, field: str) -> None:
    created, steps = template(sandbox)
    step = steps["Ann's"]
    body = {"checklist_id": created, "name": "New", "tasks": {step: wish}}
    status, answer = ask("POST", "/runs", body)
    assert (status, list(errors(answer))) == (422, [f"tasks.{step}.{field}"])
    assert sandbox.runs() == []


def test_guests_are_no_members_of_a_run(sandbox: Sandbox, ask: Ask) -> None:
    created, _ = template(sandbox)
    run = launch(ask, created, guests=[GUEST])
    assert "guests" not in run
    assert (run["users"], run["groups"]) == ([], [])


def test_who_may_launch_what(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.add_member("ann@acme.example")

    def refused(created: str, role: str = "admin") -> tuple[int, str]:
        status, answer = ask("POST", "/runs", {"checklist_id": created, "name": "New"}, role=role)
        return status, answer.get("message", "")

    own = sandbox.add_template("Own", launchers=["standard@sandbox.example"])
    draft = sandbox.add_template("Draft", draft=True)
    archived = sandbox.add_template("Archived", archived=True)
    assert refused(own)[0] == 403
    assert "process_launch" in refused(own)[1]
    assert refused(draft) == (403, "This template is a draft. Publish it before launching processes from it.")
    assert refused(archived)[0] == 422
    assert refused("f" * 32)[0] == 404
    assert refused(sandbox.add_template("Any"), "light")[0] == 403
    sandbox.fail("POST", "/runs", Fault.seats_exhausted())
    assert refused(sandbox.add_template("Seats"))[0] == 409
    assert sandbox.runs() == []
    assert refused(own, "standard")[0] == 201
    assert [row["title"] for row in ask("GET", "/checklists")[1]["data"]] == ["Own", "Draft", "Any", "Seats"]
    assert ask("GET", f"/checklists/{archived}")[0] == 404


# -- kick-off forms --------------------------------------------------------------------------------------------------

FILE = {"filename": "a.pdf", "source": "url", "url": "https://x.example/a.pdf"}
#: What each type of field takes, and what it refuses. The option ids count from 1, the first member is 10001.
ANSWERS: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (["ACME", 7, 2.5, "x" * 200, ""], ["x" * 201, ["ACME"], {"value": "ACME"}]),
    "textarea": (["two\nlines", "x" * 30_000, ""], ["x" * 30_001, 7, ["a"]]),
    # An object is stored as it is: no e-mail is looked at.
    "email": (["ann@acme.example", {"value": "ann@acme.example"}], []),
    "date": (["2031-01-02", "2031-01-02 03:04:05", "2031-01-02T03:04:05.000Z"], ["tomorrow", 1_700_000_000]),
    "radio": (["Monthly"], ["monthly", "Weekly", {"id": 1, "text": "Monthly"}, 1]),
    "dropdown": (
        [{"id": 2, "text": "M"}, {"id": 2, "text": "M", "value": None}],
        ["M", 2, {"id": 2}, {"text": "M"}, {"id": 1, "text": "M"}, [{"id": 2, "text": "M"}]],
    ),
    "multiselect": (
        [[{"id": 1, "text": "SSO", "selected": True}], [{"id": 1, "text": "SSO"}], []],
        ["SSO", ["SSO"], {"id": 1, "text": "SSO"}, [{"id": 3, "text": "SSO", "selected": True}]],
    ),
    "table": ([["Widget", "3"]], [["Widget"], ["Widget", "3", "x"], ["Widget", ""], "", [], "Widget"]),
    "assignees_form": (
        [{"users": [10001], "guests": [GUEST], "groups": []}, {"users": [10001]}],
        [[10001], "ann@acme.example", {"users": [77]}, {"guests": ["none"]}, {"users": 10001}, {"members": [10001]}],
    ),
    "file": (
        [[FILE], [{"id": "f" * 32, "filename": "a.pdf"}], []],
        ["https://x.example/a.pdf", FILE, [FILE["url"]], [{"filename": "a.pdf"}], [{**FILE, "source": "web"}]],
    ),
}
FIELDS = every_field()
CASES = [
    (kind, good, value)
    for kind, answers in ANSWERS.items()
    for good, values in zip((True, False), answers, strict=True)
    for value in values
]


@pytest.mark.parametrize(("kind", "good", "value"), CASES, ids=lambda value: str(value)[:30])
def test_what_a_field_takes_is_read_back_as_it_was_sent(
    sandbox: Sandbox, ask: Ask, kind: str, good: bool, value: Any
) -> None:
    assert [field["field_type"] for field in FIELDS] == [*ANSWERS]
    fields = [field for field in FIELDS if field["field_type"] == kind]
    created = sandbox.add_template("T", [{"title": "Fill in", "fields": fields}], fields)
    shown = sandbox.template(created)
    kickoff, capture = shown["prerun"][0]["id"], shown["steps"][0]["captures"][0]["id"]
    status, answer = ask("POST", "/runs", {"checklist_id": created, "prerun": {kickoff: value}})
    assert status == (201 if good else 422)
    if not good:
        assert list(errors(answer)) == [kickoff]
    run_id = answer["data"]["id"] if good else sandbox.add_run(template=created)
    task_id = sandbox.tasks(run_id)[0]["id"]
    status, answer = ask("PUT", f"/runs/{run_id}/tasks/{task_id}", {"taskdata": {capture: value}})
    assert status == (200 if good else 422)
    stored = {"kickoff": value, "capture": value} if good else {"kickoff": None, "capture": None}
    form = ask("GET", f"/runs/{run_id}/form-fields")[1]
    assert [form["ko_form_fields"][0]["value"], form["form_fields"][0]["value"]] == list(stored.values())
    run = ask("GET", f"/runs/{run_id}?with=ko_form_fields,form_fields,tasks,tasks.form_fields")[1]["data"]
    assert run["prerun"] == ({kickoff: value} if good else {})
    task = run["tasks"]["data"][0]
    assert task["taskdata"] == ({capture: value} if good else {})
    shapes = run["ko_form_fields"]["data"], run["form_fields"]["data"], task["form_fields"]["data"]
    assert [rows[0]["value"] for rows in shapes] == [stored["kickoff"], *[stored["capture"]] * 2]
    for (row,) in shapes:
        assert (row["label"], row["field_type"]) == (fields[0]["label"], kind)
        assert row.keys() >= {"id", "alias", "required", "options", "columns"}


def test_required_answers_and_answers_under_a_label(sandbox: Sandbox, ask: Ask) -> None:
    created = sandbox.add_template("T", kickoff_fields=every_field(required=True))
    fields = sandbox.template(created)["prerun"]
    status, answer = ask("POST", "/runs", {"checklist_id": created, "prerun": {field["label"]: 1 for field in fields}})
    assert status == 422
    assert errors(answer) == {field["id"]: [f"{field['label']} is required"] for field in fields}
    assert "prerun" not in str(answer)
    loose = sandbox.add_template("Loose", kickoff_fields=["Company"])
    nothing: list[Any] = [{"Company": "ACME"}, {"company": "ACME"}, {"f" * 32: "ACME"}, [], {}]
    for prerun in nothing:
        assert launch(ask, loose, prerun=prerun)["prerun"] == {}


def test_a_templates_fields_have_an_endpoint_of_their_own(sandbox: Sandbox, ask: Ask) -> None:
    created = sandbox.add_template("T", ["Call", {"title": "Fill in", "fields": every_field()}], every_field())
    answer = ask("GET", f"/checklists/{created}/form-fields")[1]["data"]
    assert (answer["id"], answer["title"]) == (created, "T")
    shown = sandbox.template(created)
    assert answer["ko_form_fields"] == shown["prerun"]
    assert answer["form_fields"] == shown["steps"][1]["captures"]
    table = next(field for field in shown["prerun"] if field["field_type"] == "table")
    assert table["columns"] == [{"id": 1, "label": "Item"}, {"id": 2, "label": "Quantity"}]
    size = next(field for field in shown["prerun"] if field["label"] == "Size")
    assert size["options"] == [{"id": 1, "text": "S"}, {"id": 2, "text": "M"}, {"id": 3, "text": "L"}]


def test_a_run_is_not_to_be_seen_until_the_replica_has_it() -> None:
    with Sandbox(Behaviour(read_lag=0.4)) as sandbox, plain_requests(sandbox) as ask:
        created = sandbox.add_template("T", kickoff_fields=["Company"])
        run_id = launch(ask, created)["id"]
        task_id = sandbox.tasks(run_id)[0]["id"]

        def seen() -> list[int | bool]:
            found: list[int | bool] = [
                ask("GET", f"/runs/{run_id}{rest}")[0] for rest in ("", "/form-fields", f"/tasks/{task_id}")
            ]
            found += [ask("GET", f"/tasks/{task_id}")[0]]
            lists = ("/runs", f"/runs?q=New&checklist_id={created}", f"/runs/{run_id}/tasks", "/tasks", "/me/tasks")
            searched = ask("GET", "/search?on=process&search=new")[1]["process"]
            return [*found, *(bool(ask("GET", path)[1]["data"]) for path in lists), bool(searched["data"])]

        assert seen() == [404, 404, 404, 404, False, False, False, False, False, False]
        assert sandbox.run(run_id) is not None
        time.sleep(0.45)
        assert seen() == [200, 200, 200, 200, True, True, True, True, True, True]


def test_mistakes_in_a_template_are_told_to_its_author(sandbox: Sandbox) -> None:
    for arguments, message in (
        ({"steps": [{"title": "A", "owner": 1}]}, "a step has no 'owner'"),
        ({"steps": [{"title": "A", "task_type": "decision"}]}, "task_type is 'decision'"),
        ({"steps": [{"title": "A", "users": ["nobody@acme.example"]}]}, "is no member of this sandbox"),
        ({"kickoff_fields": [{"label": "A", "options_": []}]}, "a form field has no 'options_'"),
        ({"kickoff_fields": [{"label": "A", "field_type": "number"}]}, "field_type is 'number'"),
        ({"launchers": [77]}, "77 is no member of this sandbox"),
    ):
        with pytest.raises(ValueError, match=message):
            sandbox.add_template("T", **arguments)


def test_the_sample_has_templates_to_launch() -> None:
    with Sandbox() as sandbox, plain_requests(sandbox) as ask:
        sample_organization(sandbox, runs=0)
        found = {row["title"]: row for row in ask("GET", "/checklists?per_page=100")[1]["data"]}
        for title, labels in (
            ("Onboarding", ["Company", "Contact", "Size", "Modules", "Billing", "Start", "Notes"]),
            ("New hire", ["Name", "Private e-mail", "Team", "Equipment", "Start", "Notes"]),
        ):
            assert [field["label"] for field in found[title]["prerun"]] == labels
            run_id = sandbox.add_run(template=found[title]["id"])
            assert all(owners(ask, run_id).values())
            assert "approval" in {task["task_type"] for task in sandbox.tasks(run_id)}
