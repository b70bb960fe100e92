"""What a launch sends, what it refuses, and how it verifies the run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyConflictError,
    TallyfyError,
    TallyfyForbiddenError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._launches import (
    ANSWERS,
    SOON,
    LagClock,
    lag,
    owners,
    people,
    posts,
    template,
)

__all__ = ["lag", "people", "template"]


class TestRequest:
    def test_all_arguments_accept_titles_labels_and_addresses(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str, people: dict[str, int]
    ) -> None:
        tag, folder = sandbox.add_tag("VIP"), sandbox.add_folder("HR")
        run = hook.launch_run(
            "Onboarding",
            name="Acme",
            summary="As agreed",
            owner="CFO@acme.com",
            answers={**ANSWERS, "Buddy": ["ann@acme.com", "guest@example.org"]},
            tags=["VIP"],
            folders=["HR"],
            extra_fields={"starred": True},
        )
        true = sandbox.run(run["id"])
        assert true is not None
        assert (true["name"], true["owner_id"], true["starred"]) == ("Acme", people["cfo"], True)
        assert (true["tags"], true["folders"]) == ([tag], [folder])
        fields = {row["id"]: row["label"] for row in sandbox.template(template)["prerun"]}
        assert {fields[key]: value for key, value in true["prerun"].items()} == {
            "Company": "Acme",
            "Size": {"id": 2, "text": "L"},
            "Buddy": {"users": [people["ann"]], "guests": ["guest@example.org"], "groups": []},
        }
        assert true["summary"].startswith("As agreed\n\nLaunched by Airflow: ")
        assert "tasks" not in posts(sandbox)[0], "no assignees were given, so the steps keep those of the template"

    def test_default_name_is_the_title_of_the_template_and_the_day(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        run = hook.launch_run(template, answers=ANSWERS)
        assert run["name"] == f"Onboarding - {datetime.now(timezone.utc).date().isoformat()}"

    def test_launch_by_ids_needs_three_requests(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        run = hook.launch_run(template, answers=ANSWERS)
        assert sandbox.calls == [f"GET /checklists/{template}?with=steps", "POST /runs", f"GET /runs/{run['id']}"]

    @pytest.mark.parametrize("tasks_map", ["truncates", "overrides"])
    def test_steps_that_are_not_named_keep_their_owners(
        self, tasks_map: Any, sandbox: Sandbox, hook: TallyfyHook, template: str, people: dict[str, int]
    ) -> None:
        sandbox.behaviour = Behaviour(launch_tasks_map=tasks_map)
        run = hook.launch_run(
            template, answers=ANSWERS, assignees={"approve": ["cfo@acme.com", people["ann"], "law@example.org"]}
        )
        [me] = [member.id for member in sandbox.organization.members.values() if member.role == "admin"]
        assert owners(sandbox, run["id"]) == {
            "Collect": [people["ann"], "agency@example.org"],
            "Approve": [people["cfo"], people["ann"], "law@example.org"],
            "Confirm": [me],
            "Pay": [],
        }

    @pytest.mark.parametrize(
        ("deadline", "wanted"),
        [
            (SOON, SOON),
            (SOON.replace(tzinfo=None), SOON),
            (SOON.astimezone(timezone(timedelta(hours=5))).isoformat(), SOON),
            (SOON.date(), SOON.replace(hour=23, minute=59, second=59)),
            (SOON.date().isoformat(), SOON.replace(hour=23, minute=59, second=59)),
            (timedelta(days=10), None),
            ("P10D", None),
        ],
        ids=["datetime", "no zone", "other zone", "date", "date text", "duration", "duration text"],
    )
    def test_deadline_is_accepted_in_every_format(
        self, deadline: Any, wanted: datetime | None, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        run = hook.launch_run(template, answers=ANSWERS, deadlines={"Approve": deadline})
        tasks = {task["title"]: task["deadline"] for task in sandbox.tasks(run["id"])}
        shown = datetime.fromisoformat(tasks.pop("Approve").replace("Z", "+00:00"))
        if wanted is None:
            assert abs(shown - datetime.now(timezone.utc) - timedelta(days=10)) < timedelta(minutes=1)
        else:
            assert shown == wanted
        assert set(tasks.values()) == {None}


#: Arguments, parts of the error, and whether anything was read before.
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...], bool]] = {
    "unknown template": ({"template": "Onbarding"}, ("no template has this title", "'Onboarding'"), True),
    "ambiguous template": ({"template": "Twice"}, ("2 templates are titled 'Twice'", "Use the id"), True),
    "empty template": ({"template": ""}, ("template=''",), False),
    "answers rendered to text": ({"answers": "{'Company': 'Acme'}"}, ("is not an object", "native"), False),
    "answer by label and by alias": (
        {"answers": {"Company": "Acme", "company": "Acme"}},
        ("'Company' and 'company' name the same field",),
        True,
    ),
    "several mistakes in answers": (
        {"answers": {"Compny": "Acme", "Size": "XL"}},
        ("'Compny' (did you mean 'Company'?)", "'XL'", "'S', 'L'", "'Company' is required"),
        True,
    ),
    "unknown step": ({"assignees": {"Aprove": ["cfo@acme.com"]}}, ("'Aprove'", "mean 'Approve'"), True),
    "step twice": (
        {"assignees": {"Approve": ["cfo@acme.com"], "approve": ["cfo@acme.com"]}},
        ("names the step 'Approve' twice: 'Approve' and 'approve'",),
        True,
    ),
    "bad address": ({"assignees": {"Approve": ["cfo[at]acme.com"]}}, ("'cfo[at]acme.com' is neither",), False),
    "list rendered to text": ({"assignees": {"Approve": "['cfo@acme.com']"}}, ("is not a list",), False),
    "empty list": ({"assignees": {"Approve": []}}, ("name a person",), False),
    "unknown user id": (
        {"assignees": {"Approve": ["cfo@acme.com", 7]}},
        ("assignees['Approve']", "the organization has no member with the id 7"),
        True,
    ),
    "guest in a step without guests": (
        {"assignees": {"Pay": ["guest@example.org"]}},
        ("assignees['Pay']: guest@example.org is not a member", "allow_guest_owners is false"),
        True,
    ),
    "deadline in the past": (
        {"deadlines": {"Approve": "2020-01-01"}},
        ("deadlines['Approve']='2020-01-01' is in the past", "ISO 8601", "timedelta(days=3)"),
        False,
    ),
    "deadline that can't be read": (
        {"deadlines": {"Approve": "next week", "Pay": 7}},
        ("deadlines['Approve']='next week' is not a deadline", "deadlines['Pay']=7 is not a deadline", "'P3D'"),
        False,
    ),
    "deadline of an unknown step": ({"deadlines": {"Aprove": "P3D"}}, ("deadlines: no step", "'Approve'"), True),
    "unknown owner": ({"owner": "cfo@acme.co"}, ("owner: no member", "'cfo@acme.com'"), True),
    "unknown tag": ({"tags": ["VPI"]}, ("tags: no tag has this title or id: 'VPI'", "'VIP'"), True),
    "unknown folder": ({"folders": ["HQ"]}, ("folders: no folder has this name or id: 'HQ'",), True),
    "blank key": ({"launch_key": " "}, ("launch_key=' ' is empty",), False),
    "unknown choice": ({"if_launched": "adpot"}, ("if_launched", "did you mean 'adopt'"), False),
    "argument in extra_fields": (
        {"extra_fields": {"tasks": {}, "prerun": {}}},
        ("use the argument assignees and deadlines instead", "use the argument answers instead"),
        False,
    ),
    "several arguments": (
        {"name": " ", "deadlines": {"Approve": "2020-01-01"}, "owner": "nobody"},
        ("name=' '", "is in the past", "owner='nobody'"),
        False,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_argument_is_refused_before_the_launch(
    name: str, sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.add_tag("VIP")
    sandbox.add_template("Twice")
    sandbox.add_template("Twice")
    bad, words, reads = BAD[name]
    with pytest.raises(TallyfyArgumentError) as error:
        hook.launch_run(**{"template": template, "answers": ANSWERS, **bad})
    assert [text for text in words if text not in str(error.value)] == [], str(error.value)
    assert {record.method for record in sandbox.requests} == ({"GET"} if reads else set())
    assert sandbox.runs() == []


def test_empty_list_of_members_is_an_error(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.fail("GET", "/users", Fault.other_answer({"data": []}))
    with pytest.raises(TallyfyServerError, match=r"did not return the members"):
        hook.launch_run(template, answers=ANSWERS, assignees={"Approve": ["cfo@acme.com"]})
    assert posts(sandbox) == []


REFUSALS: dict[str, tuple[Fault, type[TallyfyError], tuple[str, ...]]] = {
    "403": (Fault.status(403), TallyfyForbiddenError, ("'Onboarding'", "process_launch", "draft")),
    "404": (Fault.status(404), TallyfyNotFoundError, ("'Onboarding'", "archived or deleted")),
    "409": (
        Fault.status(409, {"error": {"code": "SEAT_POOL_EXHAUSTED", "message": "No seats left.", "details": {}}}),
        TallyfyConflictError,
        ("no free seat", "No seats left."),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_explained(name: str, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    fault, kind, words = REFUSALS[name]
    sandbox.fail("POST", "/runs", fault)
    with pytest.raises(kind) as error:
        hook.launch_run(template, answers=ANSWERS)
    assert [text for text in words if text not in str(error.value)] == []
    assert isinstance(error.value, AirflowFailException)
    assert len(posts(sandbox)) == 1


@pytest.mark.parametrize("template_of", [{"draft": True}, {"launchers": ["ann@acme.com"]}])
def test_draft_and_missing_permission_are_explained(
    template_of: dict[str, Any], sandbox: Sandbox, hook: TallyfyHook, people: dict[str, int]
) -> None:
    template = sandbox.add_template("Payroll", **template_of)
    with pytest.raises(TallyfyForbiddenError, match=r"launch the template 'Payroll' .*process_launch"):
        hook.launch_run(template)


def test_refused_field_is_named_by_its_label(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    field = sandbox.template(template)["prerun"][0]["id"]
    step = sandbox.template(template)["steps"][1]["id"]
    errors = {f"prerun.{field}": ["is wrong"], f"tasks.{step}.owners.guests.0": [f"{step} takes no such guest"]}
    sandbox.fail("POST", "/runs", Fault.status(422, {"message": "The given data was invalid.", "errors": errors}))
    with pytest.raises(TallyfyValidationError) as error:
        hook.launch_run(template, answers=ANSWERS)
    assert error.value.errors == {
        "prerun.'Company'": ["is wrong"],
        "tasks.step 'Approve'.owners.guests.0": ["step 'Approve' takes no such guest"],
    }
    assert field not in str(error.value)
    assert step not in str(error.value)


# -- verification -----------------------------------------------------------------------------------------------------


def test_new_run_that_tallyfy_does_not_show_yet_is_read_again(
    sandbox: Sandbox, hook: TallyfyHook, template: str, lag: Callable[[float], LagClock]
) -> None:
    clock = lag(2.9)
    run = hook.launch_run(template, answers=ANSWERS, assignees={"Approve": ["cfo@acme.com"]})
    assert clock.slept == [1.0, 2.0]
    assert len(posts(sandbox)) == 1
    assert [found["id"] for found in sandbox.runs()] == [run["id"]]


def test_error_names_the_steps_whose_tasks_are_not_as_requested(
    sandbox: Sandbox, hook: TallyfyHook, template: str, people: dict[str, int]
) -> None:
    def change() -> None:
        run = next(iter(sandbox.organization.runs.values()))
        first, second, *_, last = sandbox.organization.tasks_of(run).values()
        first.users, second.deadline = [people["ben"]], None
        del run.tasks[last.id]  # type: ignore[union-attr]  # they were made above

    sandbox.when("GET", "/runs/*", change)
    seen: list[Any] = []
    with pytest.raises(TallyfyNotAppliedError) as error:
        hook.launch_run_outcome(template, answers=ANSWERS, deadlines={"Approve": "P3D"}, on_launched=seen.append)
    [run] = sandbox.runs()
    assert [known["id"] for known in seen] == [run["id"]]
    assert run["id"] in str(error.value)
    assert list(error.value.errors) == ["step 'Collect'", "step 'Approve'", "step 'Pay'"]
    assert f"its owners are {people['ben']}, agency@example.org" in str(error.value) or "its owners are" in str(
        error.value
    )
    assert "its deadline is None" in str(error.value)
    assert "its task is missing" in str(error.value)


def test_rules_of_the_template_may_change_tasks(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    def hide() -> None:
        run = next(iter(sandbox.organization.runs.values()))
        tasks = sandbox.organization.tasks_of(run)
        del tasks[next(iter(tasks))]

    rules = {"data": {**sandbox.template(template), "automated_actions": [{"id": "x"}]}}
    sandbox.fail("GET", "/checklists/*", Fault.other_answer(rules))
    sandbox.when("GET", "/runs/*", hide)
    outcome = hook.launch_run_outcome(template, answers=ANSWERS, deadlines={"Approve": "P3D"})
    assert "rules of the template may have changed its tasks: step 'Collect': its task is missing" in outcome.note


def test_answer_that_tallyfy_dropped_is_an_error(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.when("GET", "/runs/*", lambda: next(iter(sandbox.organization.runs.values())).prerun.clear(), times=None)
    with pytest.raises(TallyfyNotAppliedError, match=r"answer to 'Company': was not stored"):
        hook.launch_run(template, answers=ANSWERS)


def test_retry_succeeds_after_a_run_that_could_not_be_verified(
    sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.fail("GET", "/runs/*", Fault.server_error(503), times=None)
    arguments: dict[str, Any] = {"answers": ANSWERS, "assignees": {"Approve": ["cfo@acme.com"]}, "launch_key": "k"}
    with pytest.raises(TallyfyServerError, match=r"was launched, but it is unknown whether it is as") as error:
        hook.launch_run(template, **arguments)
    assert not isinstance(error.value, AirflowFailException)
    sandbox.forget_faults()
    outcome = hook.launch_run_outcome(template, **arguments)
    assert (outcome.how, outcome.note, len(posts(sandbox))) == ("already", "", 1)
