"""Completing tasks: what is refused before anything is written, what is written once, how lost answers are settled."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api import activity
from airflow_provider_tallyfy.exceptions import (
    TallyfyArchivedError,
    TallyfyArgumentError,
    TallyfyConflictError,
    TallyfyError,
    TallyfyForbiddenError,
    TallyfyIndeterminateError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyRateLimitedError,
    TallyfyServerError,
    TallyfyUnrepeatableError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._asking import Ask
from tests.contract._clock import FastClock
from tests.contract._desk import Desk, new_desk
from tests.contract._office import UNKNOWN

COLLECT, APPROVE, EXPIRE = "Collect details", "Approve", "Read the policy"
COMPLETED = "POST completed-tasks"


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return new_desk(sandbox)


class TestFinding:
    @pytest.mark.parametrize(
        ("name", "title"),
        [
            (COLLECT, COLLECT),
            ("collect", COLLECT),
            ("collect DETAILS", COLLECT),
            ("Confirm", "Confirm"),  # another task differs only in the case of its letters
            ("confirm", "Confirm"),  # the alias of the one comes before the title of the other
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
        ("name", "error", "told"),
        [
            ("Aprove", TallyfyArgumentError, r"did you mean 'Approve'.*\. There are 'Collect details', 'Approve', "),
            ("twice", TallyfyArgumentError, r"2 tasks of the run \w+ are called so: \w+ \(position 4\), \w+ \(pos"),
            (UNKNOWN, TallyfyNotFoundError, r"The run 'Onboarding Acme' \(\w+\) has no task 0123.*deleted"),
            ("", TallyfyArgumentError, "neither the id nor the title nor the alias of a task"),
            ("None", TallyfyArgumentError, "upstream task returned nothing"),
            ({"id": UNKNOWN}, TallyfyArgumentError, "is a whole object. Pass its id"),
        ],
    )
    def test_task_that_is_not_there_is_an_error_that_helps(
        self, desk: Desk, hook: TallyfyHook, name: Any, error: type[TallyfyError], told: str
    ) -> None:
        for title in ("Confirm", "confirm"):
            desk.set(title, title="Twice")
        for method in (hook.get_task, hook.complete_task, hook.reopen_task):
            with pytest.raises(error, match=told):
                method(desk.run_id, name)
        assert desk.writes == []

    @pytest.mark.parametrize("name", [COLLECT, UNKNOWN])
    @pytest.mark.parametrize("tasks_of_archived", ["empty", "404"])
    def test_archived_run_is_said_to_be_archived(
        self, desk: Desk, hook: TallyfyHook, name: str, tasks_of_archived: Any
    ) -> None:
        desk.sandbox.behaviour = Behaviour(tasks_of_archived=tasks_of_archived)
        desk.sandbox.archive(desk.run_id)
        with pytest.raises(TallyfyArchivedError, match=r"The run 'Onboarding Acme' \(\w+\) is archived.*Activate it"):
            hook.complete_task(desk.run_id, name)
        assert desk.writes == []

    def test_archived_run_that_shows_its_tasks_is_archived_all_the_same(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.behaviour = Behaviour(tasks_of_archived="tasks")
        desk.sandbox.archive(desk.run_id)
        with pytest.raises(TallyfyArchivedError, match="Activate it first"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_run_that_does_not_exist(self, desk: Desk, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError, match="There is no run 0123"):
            hook.complete_task(UNKNOWN, COLLECT)

    def test_run_without_tasks_yet_is_for_a_retry(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
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
    (COLLECT, {"approve": True}, TallyfyArgumentError, "is no approval .its kind is 'task'.. Leave approve out"),
    (COLLECT, {"approve": False}, TallyfyArgumentError, "is no approval .its kind is 'task'.. Leave approve out"),
    (EXPIRE, {"approve": True}, TallyfyArgumentError, "is no approval .its kind is 'expiring'."),
    (EXPIRE, {"approve": False}, TallyfyArgumentError, "is an expiring task, which takes no rejection"),
    (APPROVE, {}, TallyfyArgumentError, "is an approval. Pass approve=True or approve=False"),
    (APPROVE, {"approve": "False"}, TallyfyArgumentError, "approve='False' is not True"),
    (COLLECT, {}, TallyfyArgumentError, "'Amount' is required"),
    (COLLECT, {"answers": {"Amount": ""}}, TallyfyArgumentError, "'Amount' is required"),
    (COLLECT, {"answers": {"Amuont": 1}}, TallyfyArgumentError, "did you mean '[Aa]mount'"),
    (COLLECT, {"answers": {"Amount": 1, "Size": "XS"}}, TallyfyArgumentError, "'XS' is not an option.*'S', 'M', 'L'"),
    (COLLECT, {"answers": {"Amount": 1, "amount": 2}}, TallyfyArgumentError, "name the same field"),
    (COLLECT, {"answers": "{'Amount': 1}"}, TallyfyArgumentError, "is not an object.*Jinja string"),
    (COLLECT, {"answers": [1]}, TallyfyArgumentError, "is not an object"),
    (COLLECT, {"answers": {1: 2}}, TallyfyArgumentError, "names are strings"),
    ("Confirm", {"answers": {"Amount": 1}}, TallyfyArgumentError, "The form has no fields"),
    ("Confirm", {"comment": 7}, TallyfyArgumentError, "comment=7 is of type int"),
    ("Confirm", {"comment": "{{ x }}"}, TallyfyArgumentError, "not rendered"),
]


class TestRefusing:
    @pytest.mark.parametrize(("title", "arguments", "error", "told"), REFUSED)
    def test_what_does_not_fit_the_task_is_refused_before_anything_is_written(
        self, desk: Desk, hook: TallyfyHook, title: str, arguments: dict[str, Any], error: type[TallyfyError], told: str
    ) -> None:
        with pytest.raises(error, match=told):
            hook.complete_task(desk.run_id, title, **arguments)
        assert desk.writes == []
        assert desk.told("completed") == 0

    @pytest.mark.parametrize("by_id", [True, False])
    def test_what_is_in_the_way_is_named(self, desk: Desk, hook: TallyfyHook, ask: Ask, by_id: bool) -> None:
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
        with pytest.raises(TallyfyConflictError, match="its run has an open issue, which locks all of its tasks"):
            hook.complete_task(desk.run_id, name)
        assert desk.writes == []

    def test_hidden_task_is_said_to_be_hidden(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set("Confirm", status="auto-skipped")
        with pytest.raises(TallyfyConflictError, match=r"a rule of its template has hidden it \(auto-skipped\)"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_deleted_task_is_said_to_be_deleted(self, desk: Desk, hook: TallyfyHook, ask: Ask) -> None:
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

    def test_task_that_does_not_say_whether_it_is_complete_is_left_alone(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("GET", "*", Fault.without("status", "completed_at"), times=None)
        for method in (hook.complete_task, hook.reopen_task):
            with pytest.raises(TallyfyServerError, match="does not say whether it is complete"):
                method(desk.run_id, "Confirm")
        assert desk.writes == []

    def test_who_may_not_is_told_so_in_tallyfys_words(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("POST", "*", Fault.status(403, {"error": True, "message": "Only assignees may complete."}))
        with pytest.raises(TallyfyForbiddenError, match="Only assignees may complete"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.methods == ["GET", "POST", "GET"], "the second read looks whether it is complete already"


class TestCompleting:
    def test_task_without_answers_takes_two_requests_by_id(self, desk: Desk, hook: TallyfyHook) -> None:
        task = hook.complete_task(desk.run_id, desk.task_id("Confirm"))
        assert (task["title"], task["status"]) == ("Confirm", "completed")
        assert task["tasks_changed_by_rules"] == [], "the task is what Tallyfy answered"
        assert desk.writes == [(COMPLETED, {"task_id": task["id"]})]
        assert desk.methods == ["GET", "POST"]
        assert desk.told("completed") == 1

    def test_answers_are_written_first_and_nothing_else_of_the_task(self, desk: Desk, hook: TallyfyHook) -> None:
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

    def test_answers_that_are_there_are_not_written_again(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12})
        hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 12})
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_required_answer_may_be_there_already(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12})
        hook.complete_task(desk.run_id, COLLECT)
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_member_is_named_by_e_mail_address(self, desk: Desk, hook: TallyfyHook) -> None:
        ann = desk.sandbox.add_member("Ann@example.com")
        hook.complete_task(
            desk.run_id, COLLECT, answers={"Amount": 1, "Reviewers": ["ann@example.com", "out@side.example"]}
        )
        reviewers = desk.answer("Reviewers", COLLECT)
        assert (reviewers["users"], reviewers["guests"]) == ([ann], ["out@side.example"])

    @pytest.mark.parametrize("approve", [True, False])
    @pytest.mark.parametrize("undecided", [None, False])  # what Tallyfy shows before anybody has decided
    def test_approval_is_decided(self, desk: Desk, hook: TallyfyHook, approve: bool, undecided: bool | None) -> None:
        desk.set(APPROVE, is_approved=undecided)
        task = hook.complete_task(desk.run_id, APPROVE, approve=approve, answers={"Reason": "Checked"})
        assert (task["status"], task["is_approved"]) == ("completed", approve)
        assert desk.writes[-1] == (COMPLETED, {"task_id": task["id"], "is_approved": approve})
        assert desk.answer("Reason", APPROVE) == "Checked"

    def test_expiring_task_is_completed_without_a_decision(self, desk: Desk, hook: TallyfyHook) -> None:
        task = hook.complete_task(desk.run_id, EXPIRE)
        assert desk.writes == [(COMPLETED, {"task_id": task["id"]})]

    def test_answers_that_tallyfy_drops_are_an_error_that_names_them(self, desk: Desk, hook: TallyfyHook) -> None:
        shown = desk.task(COLLECT)
        desk.sandbox.fail("PUT", "*", Fault.other_answer({"data": shown}, applies=False))
        with pytest.raises(TallyfyNotAppliedError, match="does not show the answers to 'Amount', 'Notes'") as caught:
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 1, "Notes": "x"})
        assert set(caught.value.errors) == {"Amount", "Notes"}
        assert desk.told("completed") == 0

    def test_task_that_each_assignee_must_complete_is_an_error_that_says_so(
        self, desk: Desk, hook: TallyfyHook
    ) -> None:
        shown = {"data": {**desk.task("Confirm"), "everyone_must_complete": True}}
        desk.sandbox.fail("POST", "*", Fault.other_answer(shown, applies=False))
        desk.sandbox.fail("GET", "*", Fault.other_answer(shown), times=None, after=0)
        with pytest.raises(TallyfyNotAppliedError, match="each of its assignees has to complete it"):
            hook.complete_task(desk.run_id, desk.task_id("Confirm"))


def complete_it(desk: Desk, title: str, approve: bool | None = None) -> Callable[[], object]:
    """Somebody completes a task meanwhile."""
    return lambda: desk.set(title, status="completed", completed_at=time.time(), is_approved=approve)


class TestAlreadyComplete:
    @pytest.mark.parametrize(
        ("decided", "approve", "ends_well"),
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
    def test_decision_that_holds_is_success_and_the_other_is_an_error(
        self, desk: Desk, hook: TallyfyHook, decided: bool | None, approve: bool | None, ends_well: bool
    ) -> None:
        complete_it(desk, APPROVE, decided)()
        if ends_well:
            outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=approve)
            assert (outcome.how, outcome.task["is_approved"]) == ("already", decided)
            assert outcome.note.startswith("it was complete before, since 20")
        else:
            words = {True: "approved", False: "rejected", None: "decided, but Tallyfy does not show how"}
            told = f"is complete and {words[decided]}, yet it was to be {words[approve]}"
            with pytest.raises(TallyfyConflictError, match=told):
                hook.complete_task(desk.run_id, APPROVE, approve=approve)
        assert desk.methods == ["GET"]

    def test_second_time_nobody_is_told_again(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(3):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.told("completed") == 1
        assert desk.methods == ["GET", "POST", "GET", "GET"]

    def test_answers_that_differ_are_left_alone_and_told(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.set(COLLECT, taskdata={desk.field_id("Amount", COLLECT): 12, desk.field_id("Notes", COLLECT): "same"})
        complete_it(desk, COLLECT)()
        outcome = hook.complete_task_outcome(desk.run_id, COLLECT, answers={"Amount": 13, "Notes": "same"})
        assert "its answers to 'Amount' differ from those given, and were left alone" in outcome.note
        assert desk.methods == ["GET"]

    def test_expired_task_is_complete_and_told_to_have_expired(self, desk: Desk, hook: TallyfyHook) -> None:
        complete_it(desk, EXPIRE, False)()
        assert hook.complete_task_outcome(desk.run_id, EXPIRE).note.endswith("; it had expired")

    @pytest.mark.parametrize("before", ["PUT", "POST"])
    @pytest.mark.parametrize("complete_twice", ["200", "422"])
    def test_somebody_may_be_faster(self, desk: Desk, hook: TallyfyHook, before: str, complete_twice: Any) -> None:
        desk.sandbox.behaviour = Behaviour(complete_twice=complete_twice)
        desk.sandbox.when(before, "*", complete_it(desk, APPROVE, True))
        outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=True, answers={"Reason": "x"})
        assert outcome.task["status"] == "completed"
        assert outcome.how == ("changed" if (before, complete_twice) == ("POST", "200") else "already")
        assert desk.methods.count("POST") == (before == "POST")

    @pytest.mark.parametrize("before", ["PUT", "POST"])
    def test_somebody_may_be_faster_and_decide_otherwise(self, desk: Desk, hook: TallyfyHook, before: str) -> None:
        desk.sandbox.behaviour = Behaviour(complete_twice="422")
        desk.sandbox.when(before, "*", complete_it(desk, APPROVE, False))
        with pytest.raises(TallyfyConflictError, match="is complete and rejected, yet it was to be approved"):
            hook.complete_task(desk.run_id, APPROVE, approve=True, answers={"Reason": "x"})


#: Faults after which the task is complete.
APPLIED = [
    Fault.drop_after(),
    Fault.error_after(),
    Fault.truncated(),
    Fault.not_json(),
    Fault.other_answer({"data": []}),
]
#: Faults after which it is not.
LEFT_UNDONE = [
    Fault.drop_before(),
    Fault.server_error(),
    Fault.status(408),
    Fault.not_json(applies=False),
    Fault.status(501),
]


class TestLostAnswer:
    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_completion_that_was_carried_out_is_seen_by_reading(
        self, desk: Desk, hook: TallyfyHook, fault: Fault
    ) -> None:
        desk.sandbox.fail("POST", "*", fault)
        outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=False)
        assert (outcome.task["status"], outcome.task["is_approved"]) == ("completed", False)
        assert "read afterwards, the task is complete" in outcome.note
        assert desk.methods == ["GET", "POST", "GET"]
        assert desk.told("completed") == 1

    @pytest.mark.parametrize("fault", LEFT_UNDONE, ids=lambda fault: fault.name)
    def test_completion_that_does_not_show_is_never_sent_again_on_a_guess(
        self, desk: Desk, hook: TallyfyHook, fault: Fault, waits: list[float]
    ) -> None:
        desk.sandbox.fail("POST", "*", fault)
        with pytest.raises(
            TallyfyIndeterminateError, match=r"may or may not have been done.*It was not sent again"
        ) as e:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert not isinstance(e.value, AirflowFailException), "Airflow's retry reads first"
        assert desk.methods.count("POST") == 1
        assert desk.methods.count("GET") == (2 if fault.answer and fault.answer[0] == 501 else 5), "reads may lag"
        assert waits == sorted(waits)

        task = hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert task["status"] == "completed"
        assert (desk.told("completed"), desk.told("commented")) == (1, 1)

    def test_read_that_lags_behind_is_read_again(self, desk: Desk, hook: TallyfyHook, waits: list[float]) -> None:
        stale = Fault.other_answer({"data": desk.task("Confirm")})
        desk.sandbox.fail("POST", "*", Fault.drop_after())
        desk.sandbox.fail("GET", "*", stale, times=2, after=1)
        outcome = hook.complete_task_outcome(desk.run_id, "Confirm")
        assert (outcome.how, outcome.task["status"]) == ("checked", "completed")
        assert desk.methods == ["GET", "POST", "GET", "GET", "GET"]
        assert len(waits) == 2
        assert desk.told("completed") == 1

    def test_read_that_fails_too_leaves_it_open(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("POST", "*", Fault.drop_after())
        desk.sandbox.fail("GET", "*", Fault.server_error(), times=None, after=1)
        with pytest.raises(TallyfyIndeterminateError, match=r"reading it failed too \(the answer was 503"):
            hook.complete_task(desk.run_id, "Confirm")
        desk.sandbox.forget_faults()
        assert hook.complete_task_outcome(desk.run_id, "Confirm").how == "already"
        assert desk.told("completed") == 1

    def test_hook_without_retries_reads_once(self, desk: Desk, connect: Callable[..., TallyfyHook]) -> None:
        hook = connect(desk.sandbox, hook={"max_retries": 0})
        desk.sandbox.fail("POST", "*", Fault.drop_before())
        with pytest.raises(TallyfyIndeterminateError, match="It was not sent again"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.methods == ["GET", "POST", "GET"]

    @pytest.mark.parametrize("fault", [*APPLIED, *LEFT_UNDONE], ids=lambda fault: f"{fault.name}-{fault.applies}")
    def test_answers_are_written_and_the_task_completed_once(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        desk.sandbox.fail("PUT", "*", fault)
        try:
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 5})
        except TallyfyServerError:
            assert desk.methods.count("POST") == 0
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 5})
        assert desk.answer("Amount", COLLECT) == 5
        assert desk.told("completed") == 1


class Killed(BaseException):
    """The process of the task is killed."""


class TestKilled:
    """A process that ends at any moment, and Airflow's retry: the same as a process that was not killed."""

    @pytest.mark.parametrize("sent", [False, True])
    @pytest.mark.parametrize("at", range(4))
    def test_retry_does_what_is_still_to_do(
        self, desk: Desk, connect: Callable[..., TallyfyHook], monkeypatch: pytest.MonkeyPatch, at: int, sent: bool
    ) -> None:
        def complete(hook: TallyfyHook) -> dict[str, Any]:
            return hook.complete_task(
                desk.run_id, APPROVE, approve=False, answers={"Reason": "Too dear"}, comment="Rejected by a DAG"
            )

        first = connect(desk.sandbox)
        send = first._transport.send

        def send_or_die(request: Any) -> Any:
            is_last = len(desk.methods) == at
            reply = send(request) if sent or not is_last else None
            if is_last:
                raise Killed
            return reply

        monkeypatch.setattr(first._transport, "send", send_or_die)
        with pytest.raises(Killed):
            complete(first)
        task = complete(connect(desk.sandbox))
        assert (task["status"], task["is_approved"]) == ("completed", False)
        assert desk.answer("Reason", APPROVE) == "Too dear"
        assert (desk.told("completed"), desk.told("commented")) == (1, 1)
        assert [write.split(" ")[0] for write, _ in desk.writes] == ["PUT", "POST", "POST"], "each write once"


class TestCommenting:
    def test_comment_is_written_when_the_task_is_complete(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment=" Done by Airflow ")
        assert [write for write, _ in desk.writes] == [COMPLETED, "POST comment"]
        assert [thread["content"] for thread in desk.task("Confirm")["threads"]["data"]] == ["Done by Airflow"]

    @pytest.mark.parametrize("comment", [None, "", "  ", "None"])
    def test_blank_comment_is_none(self, desk: Desk, hook: TallyfyHook, comment: str | None) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment=comment)
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_retry_does_not_write_it_again(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(2):
            outcome = hook.complete_task_outcome(desk.run_id, "Confirm", comment="Done")
        assert outcome.note.endswith("the comment is there already")
        assert desk.told("commented") == 1

    def test_comment_of_an_earlier_completion_does_not_count(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        desk.set("Confirm", completed_at=time.time() + 60)
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert desk.told("commented") == 2

    def test_hourly_cap_fails_with_the_task_complete_and_a_retry_comments(self, desk: Desk, hook: TallyfyHook) -> None:
        cap = {"message": "You've reached the hourly limit for comments.", "code": "RATE_LIMIT_EXCEEDED"}
        desk.sandbox.fail("POST", "*/comment", Fault.status(429, cap, {"Retry-After": "1800"}))
        with pytest.raises(TallyfyRateLimitedError, match=r"is complete, but not its comment.*hourly limit") as caught:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert caught.value.retry_after == 1800
        assert not isinstance(caught.value, AirflowFailException)
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert (desk.told("completed"), desk.told("commented")) == (1, 1)

    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_lost_answer_is_settled_by_reading(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        desk.sandbox.fail("POST", "*/comment", fault, times=2)
        assert hook.complete_task(desk.run_id, "Confirm", comment="Done")["status"] == "completed"
        written = hook.comment_on_task(desk.task_id("Confirm"), "Done")
        assert written["content"] == "Done"
        assert desk.told("commented") == 2

    @pytest.mark.parametrize("fault", LEFT_UNDONE, ids=lambda fault: fault.name)
    def test_lost_answer_that_does_not_show_is_never_sent_again(
        self, desk: Desk, hook: TallyfyHook, fault: Fault
    ) -> None:
        desk.sandbox.fail("POST", "*/comment", fault, times=2)
        with pytest.raises(TallyfyIndeterminateError, match="Another try looks for it first") as caught:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert not isinstance(caught.value, TallyfyUnrepeatableError)
        with pytest.raises(TallyfyUnrepeatableError, match="Look at the task before you write it again"):
            hook.comment_on_task(desk.task_id("Confirm"), "Done")
        assert desk.told("commented") == 0
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert (desk.told("completed"), desk.told("commented")) == (1, 1)

    def test_without_threads_a_retry_does_not_comment(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        desk.sandbox.fail("GET", "*", Fault.without("threads"))
        outcome = hook.complete_task_outcome(desk.run_id, "Confirm", comment="Done")
        assert "the comment was not written, because Tallyfy does not show whether it is there" in outcome.note
        assert desk.told("commented") == 1

    @pytest.mark.parametrize("content", ["", " ", "None", 7, None, "{{ x }}"])
    def test_comment_without_text_is_refused(self, desk: Desk, hook: TallyfyHook, content: Any) -> None:
        with pytest.raises(TallyfyArgumentError, match="content"):
            hook.comment_on_task(desk.task_id("Confirm"), content)
        assert desk.methods == []


class TestReopening:
    def test_complete_task_is_reopened_once(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm")
        for _ in range(2):
            assert hook.reopen_task(desk.run_id, "Confirm")["status"] == "in-progress"
        assert desk.told("uncompleted") == 1

    @pytest.mark.parametrize("fault", [*APPLIED, Fault.server_error()], ids=lambda fault: fault.name)
    def test_lost_answer_is_settled(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        complete_it(desk, APPROVE, False)()
        desk.sandbox.fail("DELETE", "*", fault)
        task = hook.reopen_task(desk.run_id, APPROVE)
        assert (task["status"], task["completed_at"]) == ("in-progress", None)


class TestKickoff:
    def test_form_is_submitted_and_reopened_once_each(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(2):
            assert hook.reopen_kickoff(desk.run_id)["prerun_status"] == "incomplete"
        for _ in range(2):
            assert hook.submit_kickoff(desk.run_id)["prerun_status"] == "complete"
        assert desk.methods == ["GET", "DELETE", "GET", "GET", "POST", "GET"]

    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_lost_answer_is_settled_by_reading(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        hook.reopen_kickoff(desk.run_id)
        desk.sandbox.fail("POST", "*", fault)
        assert hook.submit_kickoff(desk.run_id)["prerun_status"] == "complete"
        assert desk.methods.count("POST") == 1

    def test_submission_that_does_not_show_is_not_sent_again(self, desk: Desk, hook: TallyfyHook) -> None:
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

    def test_missing_answer_is_told(self, desk: Desk, hook: TallyfyHook, ask: Ask) -> None:
        hook.reopen_kickoff(desk.run_id)
        with desk.sandbox.organization.lock:
            desk.sandbox.organization.runs[desk.run_id].prerun.clear()
        with pytest.raises(TallyfyValidationError, match="Customer is required"):
            hook.submit_kickoff(desk.run_id)


class TestReading:
    def test_tasks_are_read_page_by_page_when_they_are_wanted(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
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

    def test_every_filter_of_the_feed_is_spelled_out(self) -> None:
        names = {name for name in inspect.signature(TallyfyHook.iter_activity).parameters if name != "self"}
        assert names == set(activity.FILTERS)

    def test_templates(self, desk: Desk, hook: TallyfyHook) -> None:
        [template] = [one for one in hook.iter_templates() if one["title"] == "Onboarding"]
        read = hook.get_template(template["id"])
        assert [step["title"] for step in read["steps"]["data"]][:2] == [COLLECT, APPROVE]
        assert [field["label"] for field in read["prerun"]] == ["Customer", "Amount"]
        with pytest.raises(TallyfyNotFoundError):
            hook.get_template(UNKNOWN)

    def test_activity_is_the_audit_trail(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        hook.archive_run(desk.run_id)
        verbs = [row["verb"][0] for row in hook.iter_activity(entity_type="run", entity_id=desk.run_id)]
        assert {"archived", "completed", "commented"} <= set(verbs)
        assert [row["verb"] for row in hook.iter_activity(verb="archived")] == [["archived"]]
        today = time.strftime("%Y-%m-%d", time.gmtime())
        assert list(hook.iter_activity(created_before="2020-01-01")) == []
        assert len(list(hook.iter_activity(created_after=today, per_page=1))) >= 3

    @pytest.mark.parametrize(
        ("filters", "told"),
        [
            ({"entity_type": "run"}, "entity_type='run' needs entity_id beside it"),
            ({"entity_id": UNKNOWN}, "needs entity_type beside it"),
            ({"entity_type": "runs", "entity_id": UNKNOWN}, "did you mean 'run'"),
            ({"source": "member"}, "did you mean 'Member'"),
            ({"created_after": "yesterday"}, "created_after='yesterday' is not a point in time"),
            ({"search": "x"}, "has 1 characters; Tallyfy takes 2 to 100"),
            ({"verb": ""}, "verb='' is empty"),
            ({"actor_id": True}, "actor_id=True"),
            ({"per_page": 1000}, "per_page=1000 must be a whole number from 1 to 100"),
        ],
    )
    def test_bad_filter_is_refused_before_anything_is_sent(
        self, desk: Desk, hook: TallyfyHook, filters: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=told):
            hook.iter_activity(**filters)
        assert desk.methods == []


def test_waits_between_reads_are_those_of_the_policy(desk: Desk, hook: TallyfyHook, clock: FastClock) -> None:
    desk.sandbox.fail("POST", "*", Fault.drop_before())
    with pytest.raises(TallyfyIndeterminateError):
        hook.complete_task(desk.run_id, "Confirm")
    assert len(clock.slept) == hook.max_retries
    assert 0.7 < clock.slept[0] <= 1 < clock.slept[1] <= 2 < clock.slept[2] <= 4
