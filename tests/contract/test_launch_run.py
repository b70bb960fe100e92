"""Launching a run once: what reaches Tallyfy, what the caller sees, and how many runs there are afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs.launch_key import LAG, TaskIdentity
from airflow_provider_tallyfy.exceptions import (
    TallyfyAlreadyError,
    TallyfyArgumentError,
    TallyfyConflictError,
    TallyfyError,
    TallyfyForbiddenError,
    TallyfyIndeterminateError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyServerError,
    TallyfyUnrepeatableError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._clock import FastClock

SOON = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=10)
ANSWERS = {"Company": "Acme", "Size": "L"}


@pytest.fixture
def people(sandbox: Sandbox) -> dict[str, int]:
    return {name: sandbox.add_member(f"{name}@acme.com") for name in ("cfo", "ann", "ben")}


@pytest.fixture
def template(sandbox: Sandbox, people: dict[str, int]) -> str:
    """A template with a step of every kind that a full map must keep."""
    return sandbox.add_template(
        "Onboarding",
        [
            {"title": "Collect", "users": ["ann@acme.com"], "guests": ["agency@example.org"]},
            {"title": "Approve", "task_type": "approval", "users": ["ben@acme.com"]},
            {"title": "Confirm", "assign_run_starter": True},
            {"title": "Pay", "allow_guest_owners": False, "assign_run_starter": False},
        ],
        [
            {"label": "Company", "required": True},
            {"label": "Size", "field_type": "dropdown", "options": ["S", "L"]},
            {"label": "Buddy", "field_type": "assignees_form"},
        ],
    )


def posts(sandbox: Sandbox) -> list[Any]:
    """What the launches said that were sent."""
    return [record.json for record in sandbox.requests if record.method == "POST" and record.route == "/runs"]


def owners(sandbox: Sandbox, run_id: str) -> dict[str, list[Any]]:
    return {
        task["title"]: [*task["owners"]["users"], *task["owners"]["guests"], *task["owners"]["groups"]]
        for task in sandbox.tasks(run_id)
    }


class TestWhatIsLaunched:
    def test_all_arguments_by_the_names_that_people_use(
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
        assert "tasks" not in posts(sandbox)[0], "nobody was assigned, so the steps keep what the template says"

    def test_name_is_that_of_the_template_and_the_day_where_none_is_given(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        run = hook.launch_run(template, answers=ANSWERS)
        assert run["name"] == f"Onboarding - {datetime.now(timezone.utc).date().isoformat()}"

    def test_requests_without_titles_are_three(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        run = hook.launch_run(template, answers=ANSWERS)
        assert sandbox.calls == [f"GET /checklists/{template}?with=steps", "POST /runs", f"GET /runs/{run['id']}"]

    @pytest.mark.parametrize("tasks_map", ["truncates", "overrides"])
    def test_full_map_of_tasks_keeps_all_that_is_not_spoken_of(
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
        ids=["datetime", "no zone", "other zone", "date", "date text", "length", "length text"],
    )
    def test_deadline_in_every_form(
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


#: Arguments, what the error says, and what was sent before.
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...], bool]] = {
    "template that none has": ({"template": "Onbarding"}, ("no template has this title", "'Onboarding'"), True),
    "template that two have": ({"template": "Twice"}, ("2 templates are titled 'Twice'", "Use the id"), True),
    "template that is empty": ({"template": ""}, ("template=''",), False),
    "answers that are text": ({"answers": "{'Company': 'Acme'}"}, ("is not an object", "native"), False),
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
    "step that does not exist": ({"assignees": {"Aprove": ["cfo@acme.com"]}}, ("'Aprove'", "mean 'Approve'"), True),
    "step twice": (
        {"assignees": {"Approve": ["cfo@acme.com"], "approve": ["cfo@acme.com"]}},
        ("names the step 'Approve' twice: 'Approve' and 'approve'",),
        True,
    ),
    "address that is none": ({"assignees": {"Approve": ["cfo[at]acme.com"]}}, ("'cfo[at]acme.com' is neither",), False),
    "list that became text": ({"assignees": {"Approve": "['cfo@acme.com']"}}, ("is not a list",), False),
    "nobody": ({"assignees": {"Approve": []}}, ("name somebody",), False),
    "user who is no member": (
        {"assignees": {"Approve": ["cfo@acme.com", 7]}},
        ("assignees['Approve']", "no member of the organization has the id 7"),
        True,
    ),
    "guest where none may be": (
        {"assignees": {"Pay": ["guest@example.org"]}},
        ("assignees['Pay']: guest@example.org is no member", "allow_guest_owners: false"),
        True,
    ),
    "deadline in the past": (
        {"deadlines": {"Approve": "2020-01-01"}},
        ("deadlines['Approve']='2020-01-01' is past", "ISO 8601", "timedelta(days=3)"),
        False,
    ),
    "deadline that can't be read": (
        {"deadlines": {"Approve": "next week", "Pay": 7}},
        ("deadlines['Approve']='next week' is no deadline", "deadlines['Pay']=7 is no deadline", "'P3D'"),
        False,
    ),
    "deadline of an unknown step": ({"deadlines": {"Aprove": "P3D"}}, ("deadlines: no step", "'Approve'"), True),
    "owner who is no member": ({"owner": "cfo@acme.co"}, ("owner: no member", "'cfo@acme.com'"), True),
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
        ("name=' '", "is past", "owner='nobody'"),
        False,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_anything_is_launched(
    name: str, sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.add_tag("VIP")
    sandbox.add_template("Twice")
    sandbox.add_template("Twice")
    bad, says, looked = BAD[name]
    with pytest.raises(TallyfyArgumentError) as error:
        hook.launch_run(**{"template": template, "answers": ANSWERS, **bad})
    assert [text for text in says if text not in str(error.value)] == [], str(error.value)
    assert {record.method for record in sandbox.requests} == ({"GET"} if looked else set())
    assert sandbox.runs() == []


def test_empty_list_of_members_makes_nobody_a_guest(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
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
def test_refusal_says_what_it_is_about(name: str, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    fault, kind, says = REFUSALS[name]
    sandbox.fail("POST", "/runs", fault)
    with pytest.raises(kind) as error:
        hook.launch_run(template, answers=ANSWERS)
    assert [text for text in says if text not in str(error.value)] == []
    assert isinstance(error.value, AirflowFailException)
    assert len(posts(sandbox)) == 1


@pytest.mark.parametrize("template_of", [{"draft": True}, {"launchers": ["ann@acme.com"]}])
def test_draft_and_missing_right_are_told(
    template_of: dict[str, Any], sandbox: Sandbox, hook: TallyfyHook, people: dict[str, int]
) -> None:
    template = sandbox.add_template("Payroll", **template_of)
    with pytest.raises(TallyfyForbiddenError, match=r"launch the template 'Payroll' .*process_launch"):
        hook.launch_run(template)


def test_refused_field_is_told_by_its_label(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
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


# -- afterwards -------------------------------------------------------------------------------------------------------


class LagClock(FastClock):
    """A clock whose sleeps let the sandbox's read replica catch up."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for run in self.sandbox.organization.runs.values():
            run.lagging_until -= min(seconds, run.lagging_until)


@pytest.fixture
def lag(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], LagClock]:
    """Let reads lag behind writes by so many seconds, of which none passes."""

    def lag(seconds: float) -> LagClock:
        clock = LagClock(sandbox)
        monkeypatch.setattr(TallyfyHook, "clock", clock)
        sandbox.behaviour = Behaviour(read_lag=seconds)
        return clock

    return lag


def test_run_that_is_not_shown_at_once_is_read_again(
    sandbox: Sandbox, hook: TallyfyHook, template: str, lag: Callable[[float], LagClock]
) -> None:
    clock = lag(2.9)
    run = hook.launch_run(template, answers=ANSWERS, assignees={"Approve": ["cfo@acme.com"]})
    assert clock.slept == [1.0, 2.0]
    assert len(posts(sandbox)) == 1
    assert [found["id"] for found in sandbox.runs()] == [run["id"]]


def test_run_whose_tasks_are_not_as_wanted_is_an_error_that_names_them(
    sandbox: Sandbox, hook: TallyfyHook, template: str, people: dict[str, int]
) -> None:
    def meddle() -> None:
        run = next(iter(sandbox.organization.runs.values()))
        first, second, *_, last = sandbox.organization.tasks_of(run).values()
        first.users, second.deadline = [people["ben"]], None
        del run.tasks[last.id]  # type: ignore[union-attr]  # they were made above

    sandbox.when("GET", "/runs/*", meddle)
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


def test_rules_of_a_template_may_change_tasks(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    def hide() -> None:
        run = next(iter(sandbox.organization.runs.values()))
        tasks = sandbox.organization.tasks_of(run)
        del tasks[next(iter(tasks))]

    rules = {"data": {**sandbox.template(template), "automated_actions": [{"id": "x"}]}}
    sandbox.fail("GET", "/checklists/*", Fault.other_answer(rules))
    sandbox.when("GET", "/runs/*", hide)
    outcome = hook.launch_run_outcome(template, answers=ANSWERS, deadlines={"Approve": "P3D"})
    assert "the rules of the template may have changed its tasks: step 'Collect': its task is missing" in outcome.note


def test_answer_that_was_dropped_is_an_error(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.when("GET", "/runs/*", lambda: next(iter(sandbox.organization.runs.values())).prerun.clear(), times=None)
    with pytest.raises(TallyfyNotAppliedError, match=r"answer to 'Company': was not stored"):
        hook.launch_run(template, answers=ANSWERS)


def test_tasks_that_cannot_be_read_are_an_error_that_a_retry_settles(
    sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.fail("GET", "/runs/*", Fault.server_error(503), times=None)
    arguments: dict[str, Any] = {"answers": ANSWERS, "assignees": {"Approve": ["cfo@acme.com"]}, "launch_key": "k"}
    with pytest.raises(TallyfyServerError, match=r"was launched, but whether it is as wanted can't be read") as error:
        hook.launch_run(template, **arguments)
    assert not isinstance(error.value, AirflowFailException)
    sandbox.forget_faults()
    outcome = hook.launch_run_outcome(template, **arguments)
    assert (outcome.how, outcome.note, len(posts(sandbox))) == ("already", "", 1)


# -- once -------------------------------------------------------------------------------------------------------------

TASK = TaskIdentity("hr", "manual", "launch", since=datetime.now(timezone.utc) - timedelta(hours=1))
RETRY = replace(TASK, try_number=2)
#: The POST was carried out, and its answer says something else, or nothing.
LOST = {
    "dropped": Fault.drop_after(),
    "reset": Fault.drop_after(reset=True),
    "cut short": Fault.truncated(),
    "a web page": Fault.not_json(),
    "an error": Fault.error_after(502, html=True),
    "nothing": Fault.other_answer({}),
    "another object": Fault.other_answer({"data": {"id": "f" * 32, "name": "Other"}}),
    "an id that is none": Fault.other_id(7),
    "another id": Fault.other_id(),
}


@pytest.mark.parametrize("name", LOST)
def test_launch_whose_answer_is_lost_is_found_by_its_key(
    name: str, sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.fail("POST", "/runs", LOST[name])
    outcome = hook.launch_run_outcome(template, answers=ANSWERS)
    assert outcome.how == "checked"
    assert [run["id"] for run in sandbox.runs()] == [outcome.run["id"]]
    assert len(posts(sandbox)) == 1


def test_launch_whose_answer_is_lost_is_looked_for_again_after_the_lag(
    sandbox: Sandbox, hook: TallyfyHook, template: str, lag: Callable[[float], LagClock]
) -> None:
    clock = lag(LAG - 1)
    sandbox.fail("POST", "/runs", Fault.drop_after())
    outcome = hook.launch_run_outcome(template, answers=ANSWERS)
    assert (outcome.how, clock.slept) == ("checked", [LAG])
    assert [run["id"] for run in sandbox.runs()] == [outcome.run["id"]]
    assert len(posts(sandbox)) == 1


NOT_DONE = {"dropped": Fault.drop_before(), "503": Fault.server_error(503), "a page": Fault.not_json(applies=False)}


@pytest.mark.parametrize("name", NOT_DONE)
@pytest.mark.parametrize("task", [None, TASK], ids=["a call", "a task"])
def test_post_is_never_repeated_on_a_guess(
    task: TaskIdentity | None, name: str, sandbox: Sandbox, hook: TallyfyHook, template: str, waits: list[float]
) -> None:
    sandbox.fail("POST", "/runs", NOT_DONE[name])
    with pytest.raises(TallyfyIndeterminateError) as error:
        hook.launch_run_outcome(template, name="Acme", answers=ANSWERS, task=task)
    assert (len(posts(sandbox)), sandbox.runs(), waits) == (1, [], [LAG])
    code = posts(sandbox)[0]["summary"][-13:-1]
    for text in ("may or may not", "'Onboarding'", "named 'Acme'", f"(key {code})", "archived"):
        assert text in str(error.value)
    # Only a task has a next try, which looks for the same key.
    assert isinstance(error.value, TallyfyUnrepeatableError) is (task is None)
    if task is not None:
        outcome = hook.launch_run_outcome(template, name="Acme", answers=ANSWERS, task=RETRY)
        assert (outcome.how, len(sandbox.runs())) == ("changed", 1)


def test_doubt_stays_where_the_list_cannot_be_read(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.fail("POST", "/runs", Fault.drop_after())
    sandbox.fail("GET", "/runs", Fault.server_error(503), times=None)
    with pytest.raises(TallyfyIndeterminateError, match="looking for it failed"):
        hook.launch_run_outcome(template, answers=ANSWERS, task=TASK)
    sandbox.forget_faults()
    assert hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY).how == "already"
    assert (len(posts(sandbox)), len(sandbox.runs())) == (1, 1)


def test_rate_limited_post_is_repeated(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.fail("POST", "/runs", Fault.rate_limited(), times=2)
    assert hook.launch_run_outcome(template, answers=ANSWERS).how == "changed"
    assert (len(posts(sandbox)), len(sandbox.runs())) == (3, 1)


class TestNextTry:
    @pytest.mark.parametrize("lagging", [0.0, LAG - 1])
    def test_adopts_what_a_killed_one_launched(
        self,
        lagging: float,
        sandbox: Sandbox,
        hook: TallyfyHook,
        template: str,
        lag: Callable[[float], LagClock],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(TallyfyHook, "log", logging.getLogger("plain"))
        clock = lag(lagging)
        first = hook.launch_run_outcome(template, answers=ANSWERS, task=TASK)
        for run in sandbox.organization.runs.values():
            run.lagging_until = 0 if not lagging else run.lagging_until + lagging  # as if it were launched just now
        clock.slept.clear()
        caplog.set_level(logging.INFO)
        again = connect_again(hook).launch_run_outcome(template, answers=ANSWERS, task=RETRY)
        assert (again.how, again.run["id"]) == ("already", first.run["id"])
        assert len(posts(sandbox)) == 1
        assert clock.slept == ([LAG] if lagging else [])
        assert "was launched before with the key" in caplog.text
        assert "it is adopted and nothing is launched" in caplog.text

    def test_adopts_an_archived_run(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run_outcome(template, answers=ANSWERS, task=TASK)
        sandbox.archive(first.run["id"])
        again = hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY)
        assert (again.how, again.run["id"], again.note) == ("already", first.run["id"], "it is archived")

    def test_tells_what_is_not_as_this_launch_wants_it(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        hook.launch_run_outcome(template, name="Ann", answers=ANSWERS, task=TASK)
        again = hook.launch_run_outcome(
            template,
            name="Ben",
            answers={**ANSWERS, "Company": "Other"},
            assignees={"Approve": ["cfo@acme.com"]},
            task=RETRY,
        )
        for text in ("its name is not the 'Ben'", "its answers to 'Company'", "step 'Approve': its owners are"):
            assert text in again.note
        assert len(posts(sandbox)) == 1

    def test_fails_where_it_was_told_so(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run_outcome(template, answers=ANSWERS, task=TASK, if_launched="fail")
        with pytest.raises(TallyfyAlreadyError, match=first.run["id"]):
            hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY, if_launched="fail")
        assert len(posts(sandbox)) == 1

    def test_launches_again_only_after_the_task_was_cleared(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        def launch(task: TaskIdentity) -> Any:
            return hook.launch_run_outcome(template, answers=ANSWERS, task=task, if_launched="launch_again")

        first = launch(TASK)
        assert launch(RETRY).run["id"] == first.run["id"], "the first try may have been killed after its POST"
        cleared = launch(replace(TASK, try_number=3, first_try=3))
        assert cleared.how == "changed"
        assert len(sandbox.runs()) == 2
        assert launch(replace(TASK, try_number=4, first_try=3)).run["id"] == cleared.run["id"]

    def test_launches_what_nobody_launched(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str, waits: list[float]
    ) -> None:
        sandbox.add_runs(3, template=template)
        outcome = hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY)
        assert (outcome.how, waits) == ("changed", [LAG])
        # A hook that launches more does not wait again: what an earlier try launched is shown by now.
        TallyfyHook.clock.speed = 1e9  # type: ignore[attr-defined]  # it is a FastClock
        hook.launch_run_outcome(template, answers=ANSWERS, task=replace(RETRY, map_index=1))
        assert waits == [LAG]


class TestGivenKey:
    def test_holds_in_every_dag_run_for_ever(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run_outcome(template, name="Acme", answers=ANSWERS, launch_key="4711", task=TASK)
        sandbox.organization.runs[first.run["id"]].created_at -= 300 * 86400
        for days in (100, 200):
            sandbox.add_runs(60, template=template, days_old=days)
        sandbox.forget_requests()
        later = replace(TASK, run_id="next", since=datetime.now(timezone.utc) - timedelta(seconds=1))
        again = hook.launch_run_outcome(template, name="Acme", answers=ANSWERS, launch_key="4711", task=later)
        assert (again.how, again.run["id"]) == ("already", first.run["id"])
        assert any("q=Acme" in call for call in sandbox.calls)
        assert posts(sandbox) == []

    def test_without_a_task(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4711")["id"] == first["id"]
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4712")["id"] != first["id"]
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4711", if_launched="launch_again") != first
        assert len(sandbox.runs()) == 3

    def test_of_another_template_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        sandbox.add_template("Offboarding")
        with pytest.raises(TallyfyConflictError, match=r"another template, 'Onboarding' and not 'Offboarding'"):
            hook.launch_run("Offboarding", launch_key="4711")
        assert len(posts(sandbox)) == 1

    def test_looks_again_in_a_second_try_of_a_python_task(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CTX_TRY_NUMBER", "2")
        hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        assert waits == [LAG]


def test_without_a_key_every_call_launches(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    assert hook.launch_run(template, answers=ANSWERS) != hook.launch_run(template, answers=ANSWERS)
    assert len(sandbox.runs()) == 2


def connect_again(hook: TallyfyHook) -> TallyfyHook:
    """The hook of the next try."""
    return TallyfyHook(hook.tallyfy_conn_id)


# -- the operator -----------------------------------------------------------------------------------------------------


def execute(hook: TallyfyHook, try_number: int = 1, max_tries: int = 0, **arguments: Any) -> tuple[Any, dict[str, Any]]:
    """Run the operator as a task would; return its result and what it pushed."""
    pushed: dict[str, Any] = {}
    operator = TallyfyLaunchRunOperator(task_id="launch", tallyfy_conn_id=hook.tallyfy_conn_id, **arguments)
    now = datetime.now(timezone.utc)
    context: Any = {
        "ti": SimpleNamespace(
            dag_id="hr", run_id="manual", task_id="launch", map_index=-1, try_number=try_number, max_tries=max_tries,
            xcom_push=lambda key, value: pushed.__setitem__(key, value),
        ),
        "dag_run": SimpleNamespace(run_id="manual", run_after=now, logical_date=now),
    }  # fmt: skip
    try:
        return operator.execute(context), pushed
    except TallyfyError as error:
        return error, pushed


class TestOperator:
    def test_returns_the_run_and_pushes_its_address(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        run, pushed = execute(hook, template=template, answers=ANSWERS, run_owner="cfo@acme.com")
        assert run["id"] == sandbox.runs()[0]["id"]
        assert pushed == {"tallyfy_run_url": hook.run_url(run["id"]), "tallyfy_run_id": run["id"]}
        assert run["summary"] == f"Launched by Airflow: hr, manual, launch (key {run['summary'][-13:-1]})"

    def test_address_is_pushed_although_the_run_is_not_as_wanted(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        sandbox.when("GET", "/runs/*", lambda: next(iter(sandbox.organization.runs.values())).prerun.clear())
        error, pushed = execute(hook, template=template, answers=ANSWERS)
        assert isinstance(error, TallyfyNotAppliedError)
        assert pushed == {
            "tallyfy_run_url": hook.run_url(launched := sandbox.runs()[0]["id"]),
            "tallyfy_run_id": launched,
        }

    def test_second_try_and_cleared_task_adopt(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first, _ = execute(hook, template=template, answers=ANSWERS)
        retried, pushed = execute(hook, 2, 1, template=template, answers=ANSWERS, retries=1)
        cleared, _ = execute(hook, 3, 3, template=template, answers=ANSWERS, retries=1)
        assert first["id"] == retried["id"] == cleared["id"]
        assert pushed == {"tallyfy_run_url": hook.run_url(first["id"]), "tallyfy_run_id": first["id"]}
        again, _ = execute(hook, 3, 3, template=template, answers=ANSWERS, retries=1, if_launched="launch_again")
        assert again["id"] != first["id"]

    def test_owner_of_default_args_is_airflows(self, hook: TallyfyHook, template: str) -> None:
        run, _ = execute(hook, template=template, answers=ANSWERS, owner="data-team")
        assert run["id"]

    @pytest.mark.parametrize("rendered", ["", "None", None])
    def test_key_that_is_empty_after_rendering_names_its_template(
        self, rendered: Any, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        operator = TallyfyLaunchRunOperator(
            task_id="launch", template=template, launch_key="{{ params.hire }}", tallyfy_conn_id=hook.tallyfy_conn_id
        )
        operator.launch_key = rendered
        context: Any = {"ti": SimpleNamespace(xcom_push=None)}
        with pytest.raises(TallyfyArgumentError) as error:
            operator.execute(context)
        assert "rendered from '{{ params.hire }}'" in str(error.value)
        assert template in str(error.value)
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"template": ""}, "template=''"),
            ({"answers": [1]}, "answers=[1] is not an object"),
            ({"assignees": {"Approve": ["x"]}}, "'x' is neither an e-mail address"),
            ({"deadlines": {"Approve": "soon"}}, "is no deadline"),
            ({"launch_key": ""}, "launch_key='' is empty"),
            ({"if_launched": "never"}, "if_launched='never'"),
            ({"run_owner": "x"}, "owner='x'"),
            ({"extra_fields": {"tasks": {}}}, "use the argument assignees and deadlines"),
        ],
    )
    def test_literal_values_are_checked_when_the_dag_file_is_parsed(self, arguments: Any, says: str) -> None:
        with pytest.raises(ValueError, match=r"\w") as error:
            TallyfyLaunchRunOperator(**{"task_id": "t", "template": "Onboarding", **arguments})
        assert says in str(error.value)

    def test_deadline_that_has_passed_is_no_error_of_the_dag_file(self) -> None:
        TallyfyLaunchRunOperator(task_id="t", template="Onboarding", deadlines={"Approve": date(2020, 1, 1)})
