"""Reopening tasks, kick-off forms, and reading tasks, templates and the activity feed."""

from __future__ import annotations

import inspect
import time
from itertools import islice
from typing import Any

import pytest

from airflow_provider_tallyfy.api import activity
from airflow_provider_tallyfy.exceptions import (
    TallyfyArchivedError,
    TallyfyArgumentError,
    TallyfyIndeterminateError,
    TallyfyNotFoundError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._desk import APPLIED, APPROVE, COLLECT, Desk, complete_it
from tests.contract._example_organization import UNKNOWN
from tests.contract._plain_requests import Ask


class TestReopening:
    def test_complete_task_is_reopened_once(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm")
        for _ in range(2):
            assert hook.reopen_task(desk.run_id, "Confirm")["status"] == "in-progress"
        assert desk.notified("uncompleted") == 1

    @pytest.mark.parametrize("fault", [*APPLIED, Fault.server_error()], ids=lambda fault: fault.name)
    def test_read_after_a_lost_answer_shows_the_open_task(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        complete_it(desk, APPROVE, False)()
        desk.sandbox.fail("DELETE", "*", fault)
        task = hook.reopen_task(desk.run_id, APPROVE)
        assert (task["status"], task["completed_at"]) == ("in-progress", None)


class TestKickoff:
    def test_form_is_submitted_once_and_reopened_once(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(2):
            assert hook.reopen_kickoff(desk.run_id)["prerun_status"] == "incomplete"
        for _ in range(2):
            assert hook.submit_kickoff(desk.run_id)["prerun_status"] == "complete"
        assert desk.methods == ["GET", "DELETE", "GET", "GET", "POST", "GET"]

    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_read_after_a_lost_answer_shows_the_submission(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        hook.reopen_kickoff(desk.run_id)
        desk.sandbox.fail("POST", "*", fault)
        assert hook.submit_kickoff(desk.run_id)["prerun_status"] == "complete"
        assert desk.methods.count("POST") == 1

    def test_submission_that_a_read_does_not_show_is_not_sent_again(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.reopen_kickoff(desk.run_id)
        desk.sandbox.fail("POST", "*", Fault.drop_before())
        with pytest.raises(TallyfyIndeterminateError, match="not show that the kick-off form is submitted"):
            hook.submit_kickoff(desk.run_id)
        assert desk.methods.count("POST") == 1

    def test_archived_run_is_refused(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.archive(desk.run_id)
        for method in (hook.submit_kickoff, hook.reopen_kickoff):
            with pytest.raises(TallyfyArchivedError, match="kick-off form can't change"):
                method(desk.run_id)
        assert desk.writes == []

    def test_missing_answer_is_named(self, desk: Desk, hook: TallyfyHook, ask: Ask) -> None:
        hook.reopen_kickoff(desk.run_id)
        with desk.sandbox.organization.lock:
            desk.sandbox.organization.runs[desk.run_id].prerun.clear()
        with pytest.raises(TallyfyValidationError, match="Customer is required"):
            hook.submit_kickoff(desk.run_id)


class TestReading:
    def test_tasks_are_read_page_by_page_on_demand(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        steps = [f"Step {number}" for number in range(250)]
        desk = Desk(sandbox, sandbox.add_run("Long", template=sandbox.add_template("Long", steps)))
        tasks = hook.iter_tasks(desk.run_id, include=["form_fields"])
        assert desk.methods == []
        assert [task["title"] for task in islice(tasks, 3)] == steps[:3]
        assert desk.methods == ["GET"]
        assert len(list(tasks)) == 247
        assert desk.methods == ["GET"] * 3

    def test_tasks_are_filtered_by_status(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm")
        assert [task["title"] for task in hook.iter_tasks(desk.run_id, status="complete")] == ["Confirm"]
        for status in ("done", 7):
            with pytest.raises(TallyfyArgumentError, match="status"):
                hook.iter_tasks(desk.run_id, status=status)  # type: ignore[arg-type]  # refused before anything is sent

    def test_signature_has_every_filter_of_the_feed(self) -> None:
        names = {name for name in inspect.signature(TallyfyHook.iter_activity).parameters if name != "self"}
        assert names == set(activity.FILTERS)

    def test_templates_are_listed_and_read(self, desk: Desk, hook: TallyfyHook) -> None:
        [template] = [row for row in hook.iter_templates() if row["title"] == "Onboarding"]
        read = hook.get_template(template["id"])
        assert [step["title"] for step in read["steps"]["data"]][:2] == [COLLECT, APPROVE]
        assert [field["label"] for field in read["prerun"]] == ["Customer", "Amount"]
        with pytest.raises(TallyfyNotFoundError):
            hook.get_template(UNKNOWN)

    def test_activity_feed_lists_changes_and_can_be_filtered(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        hook.archive_run(desk.run_id)
        verbs = [row["verb"][0] for row in hook.iter_activity(entity_type="run", entity_id=desk.run_id)]
        assert {"archived", "completed", "commented"} <= set(verbs)
        assert [row["verb"] for row in hook.iter_activity(verb="archived")] == [["archived"]]
        today = time.strftime("%Y-%m-%d", time.gmtime())
        assert list(hook.iter_activity(created_before="2020-01-01")) == []
        assert len(list(hook.iter_activity(created_after=today, per_page=1))) >= 3

    @pytest.mark.parametrize(
        ("filters", "words"),
        [
            ({"entity_type": "run"}, "entity_type='run' also needs entity_id"),
            ({"entity_id": UNKNOWN}, "also needs entity_type"),
            ({"entity_type": "runs", "entity_id": UNKNOWN}, "did you mean 'run'"),
            ({"source": "member"}, "did you mean 'Member'"),
            ({"created_after": "yesterday"}, "created_after='yesterday' is not a point in time"),
            ({"search": "x"}, "has 1 characters; Tallyfy accepts 2 to 100"),
            ({"verb": ""}, "verb='' is empty"),
            ({"actor_id": True}, "actor_id=True"),
            ({"per_page": 1000}, "per_page=1000 must be a whole number from 1 to 100"),
        ],
    )
    def test_bad_filter_is_refused_before_anything_is_sent(
        self, desk: Desk, hook: TallyfyHook, filters: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=words):
            hook.iter_activity(**filters)
        assert desk.methods == []
