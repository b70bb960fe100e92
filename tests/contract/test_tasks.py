"""Completing tasks: what is refused before any write, and what is written once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyArchivedError,
    TallyfyArgumentError,
    TallyfyConflictError,
    TallyfyError,
    TallyfyForbiddenError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyServerError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._desk import APPROVE, COLLECT, COMPLETED, EXPIRE, Desk, complete_it
from tests.contract._example_organization import UNKNOWN
from tests.contract._plain_requests import Ask


class TestFinding:
    @pytest.mark.parametrize(
        ("name", "title"),
        [
            (COLLECT, COLLECT),
            ("collect", COLLECT),
            ("collect DETAILS", COLLECT),
            ("Confirm", "Confirm"),  # another task differs only in letter case
            ("confirm", "Confirm"),  # the alias of one task counts before the title of another
            ("confirm-again", "confirm"),
        ],
    )
    def test_task_is_found_by_alias_or_title(self, desk: Desk, hook: TallyfyHook, name: str, title: str) -> None:
        assert hook.get_task(desk.run_id, name)["id"] == desk.task_id(title)

    def test_task_is_read_by_its_id_in_one_request(self, desk: Desk, hook: TallyfyHook) -> None:
        found = hook.get_task(desk.run_id, desk.task_id(APPROVE), include=["form_fields"])
        assert (found["title"], len(found["form_fields"]["data"])) == (APPROVE, 2)
        assert desk.methods == ["GET"]

    @pytest.mark.parametrize(
        ("name", "error", "words"),
        [
            ("Aprove", TallyfyArgumentError, r"did you mean 'Approve'.*\. There are 'Collect details', 'Approve', "),
            (
                "twice",
                TallyfyArgumentError,
                r"2 tasks of the run \w+ are called 'twice': \w+ \(position 4\), \w+ \(pos",
            ),
            (UNKNOWN, TallyfyNotFoundError, r"The run 'Onboarding Acme' \(\w+\) has no task 0123.*deleted"),
            ("", TallyfyArgumentError, "is not the id, title or alias of a task"),
            ("None", TallyfyArgumentError, "upstream task returned nothing"),
            ({"id": UNKNOWN}, TallyfyArgumentError, "is a whole object. Pass its id"),
        ],
    )
    def test_unknown_or_ambiguous_task_is_an_error(
        self, desk: Desk, hook: TallyfyHook, name: Any, error: type[TallyfyError], words: str
    ) -> None:
        for title in ("Confirm", "confirm"):
            desk.set(title, title="Twice")
        for method in (hook.get_task, hook.complete_task, hook.reopen_task):
            with pytest.raises(error, match=words):
                method(desk.run_id, name)
        assert desk.writes == []

    @pytest.mark.parametrize("name", [COLLECT, UNKNOWN])
    @pytest.mark.parametrize("tasks_of_archived", ["empty", "404"])
    def test_error_says_that_the_run_is_archived(
        self, desk: Desk, hook: TallyfyHook, name: str, tasks_of_archived: Any
    ) -> None:
        desk.sandbox.behaviour = Behaviour(tasks_of_archived=tasks_of_archived)
        desk.sandbox.archive(desk.run_id)
        with pytest.raises(TallyfyArchivedError, match=r"The run 'Onboarding Acme' \(\w+\) is archived.*Activate it"):
            hook.complete_task(desk.run_id, name)
        assert desk.writes == []

    def test_archived_run_that_still_shows_its_tasks_is_refused(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.behaviour = Behaviour(tasks_of_archived="tasks")
        desk.sandbox.archive(desk.run_id)
        with pytest.raises(TallyfyArchivedError, match="Activate it first"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_unknown_run_is_an_error(self, desk: Desk, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError, match="There is no run 0123"):
            hook.complete_task(UNKNOWN, COLLECT)

    def test_run_that_shows_no_tasks_yet_is_an_error_to_retry(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        desk = Desk(sandbox, sandbox.add_run("New", template=sandbox.add_template("Empty", [])))
        with pytest.raises(TallyfyServerError, match="launched a moment ago") as caught:
            hook.complete_task(desk.run_id, COLLECT)
        assert not isinstance(caught.value, AirflowFailException)

    def test_task_of_another_run_is_refused(self, desk: Desk, hook: TallyfyHook) -> None:
        task_id = desk.task_id(APPROVE)
        other = {"data": {**desk.task(APPROVE), "run_id": UNKNOWN}}
        desk.sandbox.fail("GET", "*", Fault.other_answer(other))
        with pytest.raises(TallyfyNotFoundError, match="belongs to the run 0123"):
            hook.complete_task(desk.run_id, task_id, approve=True)
        assert desk.writes == []


REFUSED: list[tuple[str, dict[str, Any], type[TallyfyError], str]] = [
    (COLLECT, {"approve": True}, TallyfyArgumentError, "is not an approval .its type is 'task'.. Leave approve out"),
    (COLLECT, {"approve": False}, TallyfyArgumentError, "is not an approval .its type is 'task'.. Leave approve out"),
    (EXPIRE, {"approve": True}, TallyfyArgumentError, "is not an approval .its type is 'expiring'."),
    (EXPIRE, {"approve": False}, TallyfyArgumentError, "is an expiring task, which can't be rejected"),
    (APPROVE, {}, TallyfyArgumentError, "is an approval. Pass approve=True or approve=False"),
    (APPROVE, {"approve": "False"}, TallyfyArgumentError, "approve='False' is not True"),
    (COLLECT, {}, TallyfyArgumentError, "'Amount' is required"),
    (COLLECT, {"answers": {"Amount": ""}}, TallyfyArgumentError, "'Amount' is required"),
    (COLLECT, {"answers": {"Amuont": 1}}, TallyfyArgumentError, "did you mean '[Aa]mount'"),
    (COLLECT, {"answers": {"Amount": 1, "Size": "XS"}}, TallyfyArgumentError, "'XS' is not an option.*'S', 'M', 'L'"),
    (COLLECT, {"answers": {"Amount": 1, "amount": 2}}, TallyfyArgumentError, "name the same field"),
    (COLLECT, {"answers": "{'Amount': 1}"}, TallyfyArgumentError, "is not an object.*Jinja renders an object"),
    (COLLECT, {"answers": [1]}, TallyfyArgumentError, "is not an object"),
    (COLLECT, {"answers": {1: 2}}, TallyfyArgumentError, "names are strings"),
    ("Confirm", {"answers": {"Amount": 1}}, TallyfyArgumentError, "There are no fields"),
    ("Confirm", {"comment": 7}, TallyfyArgumentError, "comment=7 is of type int"),
    ("Confirm", {"comment": "{{ x }}"}, TallyfyArgumentError, "not rendered"),
]


class TestRefusing:
    @pytest.mark.parametrize(("title", "arguments", "error", "words"), REFUSED)
    def test_arguments_that_do_not_fit_the_task_are_refused_before_any_write(
        self,
        desk: Desk,
        hook: TallyfyHook,
        title: str,
        arguments: dict[str, Any],
        error: type[TallyfyError],
        words: str,
    ) -> None:
        with pytest.raises(error, match=words):
            hook.complete_task(desk.run_id, title, **arguments)
        assert desk.writes == []
        assert desk.notified("completed") == 0

    @pytest.mark.parametrize("by_id", [True, False])
    def test_open_issue_is_named(self, desk: Desk, hook: TallyfyHook, ask: Ask, by_id: bool) -> None:
        name = desk.task_id("Confirm") if by_id else "confirm-again"
        task_id = desk.task_id("Confirm" if by_id else "confirm")

        ask("POST", f"/tasks/{task_id}/problem", {"content": "<p>The seal is &quot;broken&quot;</p>"})
        desk.sandbox.forget_requests()
        with pytest.raises(
            TallyfyConflictError, match="open issue that somebody must resolve first: 'The seal is \"bro"
        ):
            hook.complete_task(desk.run_id, name)
        ask("POST", f"/runs/{desk.run_id}/problem", {"content": "All wrong"})
        desk.sandbox.forget_requests()
        with pytest.raises(TallyfyConflictError, match="its run has an open issue, which locks all tasks of the run"):
            hook.complete_task(desk.run_id, name)
        assert desk.writes == []

    def test_error_says_that_the_task_is_hidden(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set("Confirm", status="auto-skipped")
        with pytest.raises(TallyfyConflictError, match=r"a rule of its template hides it \(auto-skipped\)"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_error_says_that_the_task_was_deleted(self, desk: Desk, hook: TallyfyHook, ask: Ask) -> None:
        task_id = desk.task_id(EXPIRE)
        ask("DELETE", f"/tasks/{task_id}")
        desk.sandbox.forget_requests()
        with pytest.raises(TallyfyNotFoundError, match=r"has no task .*It may have been deleted"):
            hook.complete_task(desk.run_id, task_id)
        with pytest.raises(TallyfyArgumentError, match="no task of the run"):
            hook.complete_task(desk.run_id, EXPIRE)
        shown = {"data": [{**desk.task(EXPIRE), "archived_at": "2026-01-01T00:00:00Z"}]}
        desk.sandbox.fail("GET", "*", Fault.other_answer(shown))
        with pytest.raises(TallyfyNotFoundError, match="it was deleted at 2026-01-01"):
            hook.complete_task(desk.run_id, EXPIRE)
        assert desk.writes == []

    def test_task_that_does_not_show_whether_it_is_complete_is_refused(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("GET", "*", Fault.without("status", "completed_at"), times=None)
        for method in (hook.complete_task, hook.reopen_task):
            with pytest.raises(TallyfyServerError, match="does not show whether it is complete"):
                method(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_missing_permission_is_reported_with_tallyfys_message(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("POST", "*", Fault.status(403, {"error": True, "message": "Only assignees may complete."}))
        with pytest.raises(TallyfyForbiddenError, match="Only assignees may complete"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.methods == ["GET", "POST", "GET"], "the second read finds out whether it is already complete"


class TestCompleting:
    def test_task_without_answers_needs_two_requests_by_id(self, desk: Desk, hook: TallyfyHook) -> None:
        task = hook.complete_task(desk.run_id, desk.task_id("Confirm"))
        assert (task["title"], task["status"]) == ("Confirm", "completed")
        assert task["tasks_changed_by_rules"] == [], "the task is what Tallyfy answered"
        assert desk.writes == [(COMPLETED, {"task_id": task["id"]})]
        assert desk.methods == ["GET", "POST"]
        assert desk.notified("completed") == 1

    def test_only_answers_are_written_before_the_completion(self, desk: Desk, hook: TallyfyHook) -> None:
        before = desk.task(COLLECT)
        hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 12, "size": "l", "Modules": ["SSO"]})
        amount, size, modules = (desk.field_id(label, COLLECT) for label in ("Amount", "Size", "Modules"))
        assert desk.writes == [
            (
                f"PUT {before['id']}",
                {
                    "taskdata": {
                        amount: 12,
                        size: {"id": 3, "text": "L"},
                        modules: [{"id": 1, "text": "SSO", "selected": True}],
                    }
                },
            ),
            (COMPLETED, {"task_id": before["id"]}),
        ]
        after = desk.task(COLLECT)
        assert (after["status"], after["owners"]) == ("completed", before["owners"])

    def test_stored_answers_are_not_written_again(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12})
        hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 12})
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_stored_answer_satisfies_a_required_field(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12})
        hook.complete_task(desk.run_id, COLLECT)
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_member_is_given_by_e_mail_address(self, desk: Desk, hook: TallyfyHook) -> None:
        ann = desk.sandbox.add_member("Ann@example.com")
        hook.complete_task(
            desk.run_id, COLLECT, answers={"Amount": 1, "Reviewers": ["ann@example.com", "out@side.example"]}
        )
        reviewers = desk.answer("Reviewers", COLLECT)
        assert (reviewers["users"], reviewers["guests"]) == ([ann], ["out@side.example"])

    @pytest.mark.parametrize("approve", [True, False])
    @pytest.mark.parametrize("undecided", [None, False])  # what Tallyfy shows before anybody has decided
    def test_approval_is_approved_or_rejected(
        self, desk: Desk, hook: TallyfyHook, approve: bool, undecided: bool | None
    ) -> None:
        desk.set(APPROVE, is_approved=undecided)
        task = hook.complete_task(desk.run_id, APPROVE, approve=approve, answers={"Reason": "Checked"})
        assert (task["status"], task["is_approved"]) == ("completed", approve)
        assert desk.writes[-1] == (COMPLETED, {"task_id": task["id"], "is_approved": approve})
        assert desk.answer("Reason", APPROVE) == "Checked"

    def test_expiring_task_is_completed_without_a_decision(self, desk: Desk, hook: TallyfyHook) -> None:
        task = hook.complete_task(desk.run_id, EXPIRE)
        assert desk.writes == [(COMPLETED, {"task_id": task["id"]})]

    def test_error_names_the_answers_that_tallyfy_dropped(self, desk: Desk, hook: TallyfyHook) -> None:
        shown = desk.task(COLLECT)
        desk.sandbox.fail("PUT", "*", Fault.other_answer({"data": shown}, applies=False))
        with pytest.raises(TallyfyNotAppliedError, match="does not show the answers to 'Amount', 'Notes'") as caught:
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 1, "Notes": "x"})
        assert set(caught.value.errors) == {"Amount", "Notes"}
        assert desk.notified("completed") == 0

    def test_error_says_that_each_assignee_must_complete_the_task(self, desk: Desk, hook: TallyfyHook) -> None:
        shown = {"data": {**desk.task("Confirm"), "everyone_must_complete": True}}
        desk.sandbox.fail("POST", "*", Fault.other_answer(shown, applies=False))
        desk.sandbox.fail("GET", "*", Fault.other_answer(shown), times=None, after=0)
        with pytest.raises(TallyfyNotAppliedError, match="each of its assignees must complete it"):
            hook.complete_task(desk.run_id, desk.task_id("Confirm"))


class TestAlreadyComplete:
    @pytest.mark.parametrize(
        ("decided", "approve", "succeeds"),
        [
            (True, True, True),
            (True, None, True),
            (True, False, False),
            (False, False, True),
            (False, None, True),
            (False, True, False),
            (None, True, False),
        ],
    )
    def test_same_decision_succeeds_and_the_opposite_is_an_error(
        self, desk: Desk, hook: TallyfyHook, decided: bool | None, approve: bool | None, succeeds: bool
    ) -> None:
        complete_it(desk, APPROVE, decided)()
        if succeeds:
            outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=approve)
            assert (outcome.how, outcome.task["is_approved"]) == ("already", decided)
            assert outcome.note.startswith("it was already complete, since 20")
        else:
            texts = {True: "it was approved", False: "it was rejected", None: "Tallyfy does not show its decision"}
            words = f"is complete, and {texts[decided]}, but approve={approve}. Reopen it"
            with pytest.raises(TallyfyConflictError, match=words):
                hook.complete_task(desk.run_id, APPROVE, approve=approve)
        assert desk.methods == ["GET"]

    def test_second_completion_notifies_nobody(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(3):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.notified("completed") == 1
        assert desk.methods == ["GET", "POST", "GET", "GET"]

    def test_answers_that_differ_are_kept_and_reported(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12, desk.field_id("Notes", COLLECT): "same"})
        complete_it(desk, COLLECT)()
        outcome = hook.complete_task_outcome(desk.run_id, COLLECT, answers={"Amount": 13, "Notes": "same"})
        assert "its answers to 'Amount' differ from the given ones, and were kept" in outcome.note
        assert desk.methods == ["GET"]

    def test_note_says_that_the_task_had_expired(self, desk: Desk, hook: TallyfyHook) -> None:
        complete_it(desk, EXPIRE, False)()
        assert hook.complete_task_outcome(desk.run_id, EXPIRE).note.endswith("; it had expired")

    @pytest.mark.parametrize("before", ["PUT", "POST"])
    @pytest.mark.parametrize("complete_twice", ["200", "422"])
    def test_somebody_else_may_complete_the_task_meanwhile(
        self, desk: Desk, hook: TallyfyHook, before: str, complete_twice: Any
    ) -> None:
        desk.sandbox.behaviour = Behaviour(complete_twice=complete_twice)
        desk.sandbox.when(before, "*", complete_it(desk, APPROVE, True))
        outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=True, answers={"Reason": "x"})
        assert outcome.task["status"] == "completed"
        assert outcome.how == ("changed" if (before, complete_twice) == ("POST", "200") else "already")
        assert desk.methods.count("POST") == (before == "POST")

    @pytest.mark.parametrize("before", ["PUT", "POST"])
    def test_somebody_else_may_decide_the_other_way_meanwhile(self, desk: Desk, hook: TallyfyHook, before: str) -> None:
        desk.sandbox.behaviour = Behaviour(complete_twice="422")
        desk.sandbox.when(before, "*", complete_it(desk, APPROVE, False))
        with pytest.raises(TallyfyConflictError, match="it was rejected, but approve=True"):
            hook.complete_task(desk.run_id, APPROVE, approve=True, answers={"Reason": "x"})
