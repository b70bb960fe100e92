"""A launch happens once: lost answers, retries, given keys, and the operator."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs.launch_key import LAG, TaskIdentity
from airflow_provider_tallyfy.exceptions import (
    TallyfyAlreadyError,
    TallyfyArgumentError,
    TallyfyConflictError,
    TallyfyError,
    TallyfyIndeterminateError,
    TallyfyNotAppliedError,
    TallyfyUnrepeatableError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._launches import (
    ANSWERS,
    LagClock,
    connect_again,
    lag,
    people,
    posts,
    template,
)

__all__ = ["lag", "people", "template"]

TASK = TaskIdentity("hr", "manual", "launch", since=datetime.now(timezone.utc) - timedelta(hours=1))
RETRY = replace(TASK, try_number=2)
#: Faults in which the POST is carried out, but its answer does not show the run.
LOST = {
    "dropped": Fault.drop_after(),
    "reset": Fault.drop_after(reset=True),
    "cut short": Fault.truncated(),
    "a web page": Fault.not_json(),
    "an error": Fault.error_after(502, html=True),
    "nothing": Fault.other_answer({}),
    "another object": Fault.other_answer({"data": {"id": "f" * 32, "name": "Other"}}),
    "a bad id": Fault.other_id(7),
    "another id": Fault.other_id(),
}


@pytest.mark.parametrize("name", LOST)
def test_run_is_found_by_its_key_after_a_lost_answer(
    name: str, sandbox: Sandbox, hook: TallyfyHook, template: str
) -> None:
    sandbox.fail("POST", "/runs", LOST[name])
    outcome = hook.launch_run_outcome(template, answers=ANSWERS)
    assert outcome.how == "checked"
    assert [run["id"] for run in sandbox.runs()] == [outcome.run["id"]]
    assert len(posts(sandbox)) == 1


def test_search_after_a_lost_answer_is_repeated_after_the_lag(
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
    # Only the retry of a task has the same key.
    assert isinstance(error.value, TallyfyUnrepeatableError) is (task is None)
    if task is not None:
        outcome = hook.launch_run_outcome(template, name="Acme", answers=ANSWERS, task=RETRY)
        assert (outcome.how, len(sandbox.runs())) == ("changed", 1)


def test_launch_is_indeterminate_if_the_search_fails_too(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.fail("POST", "/runs", Fault.drop_after())
    sandbox.fail("GET", "/runs", Fault.server_error(503), times=None)
    with pytest.raises(TallyfyIndeterminateError, match="searching for it failed"):
        hook.launch_run_outcome(template, answers=ANSWERS, task=TASK)
    sandbox.forget_faults()
    assert hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY).how == "already"
    assert (len(posts(sandbox)), len(sandbox.runs())) == (1, 1)


def test_rate_limited_post_is_repeated(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    sandbox.fail("POST", "/runs", Fault.rate_limited(), times=2)
    assert hook.launch_run_outcome(template, answers=ANSWERS).how == "changed"
    assert (len(posts(sandbox)), len(sandbox.runs())) == (3, 1)


class TestRetry:
    @pytest.mark.parametrize("lagging", [0.0, LAG - 1])
    def test_adopts_the_run_of_a_killed_try(
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
        assert "which was launched before with the key" in caplog.text
        assert "Nothing was launched." in caplog.text

    def test_adopts_an_archived_run(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run_outcome(template, answers=ANSWERS, task=TASK)
        sandbox.archive(first.run["id"])
        again = hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY)
        assert (again.how, again.run["id"], again.note) == ("already", first.run["id"], "it is archived")

    def test_note_lists_how_the_adopted_run_differs(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        hook.launch_run_outcome(template, name="Ann", answers=ANSWERS, task=TASK)
        again = hook.launch_run_outcome(
            template,
            name="Ben",
            answers={**ANSWERS, "Company": "Other"},
            assignees={"Approve": ["cfo@acme.com"]},
            task=RETRY,
        )
        for text in ("its name is not 'Ben'", "its answers to 'Company'", "step 'Approve': its owners are"):
            assert text in again.note
        assert len(posts(sandbox)) == 1

    def test_relative_deadline_counts_from_the_launch_of_the_adopted_run(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        wanted: dict[str, Any] = {"answers": ANSWERS, "deadlines": {"Approve": timedelta(days=3), "Pay": "P5D"}}
        first = hook.launch_run_outcome(template, **wanted, task=TASK)
        # The retry comes an hour after the launch.
        run = sandbox.organization.runs[first.run["id"]]
        run.created_at -= 3600
        for task in sandbox.organization.tasks_of(run).values():
            task.deadline = task.deadline and task.deadline - 3600
        again = hook.launch_run_outcome(template, **wanted, task=RETRY)
        assert (again.how, again.run["id"], again.note) == ("already", first.run["id"], "")
        wanted["deadlines"] = {"Approve": timedelta(days=4), "Pay": "P5D"}
        changed = hook.launch_run_outcome(template, **wanted, task=RETRY)
        assert changed.note.count("its deadline is") == 1

    def test_fails_with_if_launched_fail(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
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

    def test_launches_if_no_earlier_try_did(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str, waits: list[float]
    ) -> None:
        sandbox.add_runs(3, template=template)
        outcome = hook.launch_run_outcome(template, answers=ANSWERS, task=RETRY)
        assert (outcome.how, waits) == ("changed", [LAG])
        # The next launch of the hook does not wait again, because Tallyfy shows the runs of earlier tries by now.
        TallyfyHook.clock.speed = 1e9  # type: ignore[attr-defined]  # it is a FastClock
        hook.launch_run_outcome(template, answers=ANSWERS, task=replace(RETRY, map_index=1))
        assert waits == [LAG]


class TestGivenKey:
    def test_old_run_is_adopted_in_another_dag_run(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
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

    def test_identifies_a_run_without_a_task(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first = hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4711")["id"] == first["id"]
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4712")["id"] != first["id"]
        assert hook.launch_run(template, answers=ANSWERS, launch_key="4711", if_launched="launch_again") != first
        assert len(sandbox.runs()) == 3

    def test_key_of_another_templates_run_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        sandbox.add_template("Offboarding")
        with pytest.raises(TallyfyConflictError, match=r"its template is 'Onboarding', not 'Offboarding'"):
            hook.launch_run("Offboarding", launch_key="4711")
        assert len(posts(sandbox)) == 1

    def test_retry_of_a_python_task_repeats_the_search(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CTX_TRY_NUMBER", "2")
        hook.launch_run(template, answers=ANSWERS, launch_key="4711")
        assert waits == [LAG]


def test_every_call_without_a_key_launches_a_run(sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
    assert hook.launch_run(template, answers=ANSWERS) != hook.launch_run(template, answers=ANSWERS)
    assert len(sandbox.runs()) == 2


# -- the operator -----------------------------------------------------------------------------------------------------


def execute(hook: TallyfyHook, try_number: int = 1, max_tries: int = 0, **arguments: Any) -> tuple[Any, dict[str, Any]]:
    """Execute the operator as a task would, and return its result and its XComs."""
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
    def test_returns_the_run_and_pushes_address_and_id(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        run, pushed = execute(hook, template=template, answers=ANSWERS, run_owner="cfo@acme.com")
        assert run["id"] == sandbox.runs()[0]["id"]
        assert pushed == {"tallyfy_run_url": hook.run_url(run["id"]), "tallyfy_run_id": run["id"]}
        assert run["summary"] == f"Launched by Airflow: hr, manual, launch (key {run['summary'][-13:-1]})"

    def test_address_is_pushed_although_the_run_is_not_as_requested(
        self, sandbox: Sandbox, hook: TallyfyHook, template: str
    ) -> None:
        sandbox.when("GET", "/runs/*", lambda: next(iter(sandbox.organization.runs.values())).prerun.clear())
        error, pushed = execute(hook, template=template, answers=ANSWERS)
        assert isinstance(error, TallyfyNotAppliedError)
        assert pushed == {
            "tallyfy_run_url": hook.run_url(launched := sandbox.runs()[0]["id"]),
            "tallyfy_run_id": launched,
        }

    def test_retried_and_cleared_tasks_adopt_the_run(self, sandbox: Sandbox, hook: TallyfyHook, template: str) -> None:
        first, _ = execute(hook, template=template, answers=ANSWERS)
        retried, pushed = execute(hook, 2, 1, template=template, answers=ANSWERS, retries=1)
        cleared, _ = execute(hook, 3, 3, template=template, answers=ANSWERS, retries=1)
        assert first["id"] == retried["id"] == cleared["id"]
        assert pushed == {"tallyfy_run_url": hook.run_url(first["id"]), "tallyfy_run_id": first["id"]}
        again, _ = execute(hook, 3, 3, template=template, answers=ANSWERS, retries=1, if_launched="launch_again")
        assert again["id"] != first["id"]

    def test_owner_that_is_not_a_member_is_airflows(self, hook: TallyfyHook, template: str) -> None:
        run, _ = execute(hook, template=template, answers=ANSWERS, owner="data-team")
        assert run["id"]

    @pytest.mark.parametrize("rendered", ["", "None", None])
    def test_error_for_an_empty_rendered_key_names_its_template(
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
        ("arguments", "words"),
        [
            ({"template": ""}, "template=''"),
            ({"answers": [1]}, "answers=[1] is not an object"),
            ({"assignees": {"Approve": ["x"]}}, "'x' is neither an e-mail address"),
            ({"deadlines": {"Approve": "soon"}}, "is not a deadline"),
            ({"launch_key": ""}, "launch_key='' is empty"),
            ({"if_launched": "never"}, "if_launched='never'"),
            ({"run_owner": "x"}, "owner='x'"),
            ({"extra_fields": {"tasks": {}}}, "use the argument assignees and deadlines"),
        ],
    )
    def test_literal_values_are_checked_when_the_dag_file_is_parsed(self, arguments: Any, words: str) -> None:
        with pytest.raises(ValueError, match=r"\w") as error:
            TallyfyLaunchRunOperator(**{"task_id": "t", "template": "Onboarding", **arguments})
        assert words in str(error.value)

    def test_past_deadline_is_accepted_when_the_dag_file_is_parsed(self) -> None:
        TallyfyLaunchRunOperator(task_id="t", template="Onboarding", deadlines={"Approve": date(2020, 1, 1)})
