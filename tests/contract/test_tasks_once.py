"""Completions and comments whose answers are lost, or whose process is killed: a read decides, each is made once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.once import LAG
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyIndeterminateError,
    TallyfyRateLimitedError,
    TallyfyServerError,
    TallyfyUnrepeatableError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Fault
from tests.contract._clock import FastClock
from tests.contract._desk import APPLIED, APPROVE, COLLECT, COMPLETED, NOT_APPLIED, Desk


def test_reads_after_a_lost_answer_pause_for_the_replica(desk: Desk, hook: TallyfyHook, clock: FastClock) -> None:
    desk.sandbox.fail("POST", "*", Fault.drop_before())
    with pytest.raises(TallyfyIndeterminateError):
        hook.complete_task(desk.run_id, "Confirm")
    assert clock.slept == list(LAG)


class TestLostAnswer:
    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_read_after_a_lost_answer_shows_the_completion(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        desk.sandbox.fail("POST", "*", fault)
        outcome = hook.complete_task_outcome(desk.run_id, APPROVE, approve=False)
        assert (outcome.task["status"], outcome.task["is_approved"]) == ("completed", False)
        assert "a read shows that the task is complete" in outcome.note
        assert desk.methods == ["GET", "POST", "GET"]
        assert desk.notified("completed") == 1

    @pytest.mark.parametrize("fault", NOT_APPLIED, ids=lambda fault: fault.name)
    def test_completion_that_a_read_does_not_show_is_not_sent_again(
        self, desk: Desk, hook: TallyfyHook, fault: Fault, waits: list[float]
    ) -> None:
        desk.sandbox.fail("POST", "*", fault)
        with pytest.raises(
            TallyfyIndeterminateError, match=r"may or may not have been done.*It was not sent again"
        ) as e:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert not isinstance(e.value, AirflowFailException), "Airflow's retry reads first"
        assert desk.methods.count("POST") == 1
        assert desk.methods.count("GET") == 2 + len(LAG), "a read may come from a replica that lags behind"
        assert waits == list(LAG)

        task = hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert task["status"] == "completed"
        assert (desk.notified("completed"), desk.notified("commented")) == (1, 1)

    def test_read_from_a_lagging_replica_is_repeated(self, desk: Desk, hook: TallyfyHook, waits: list[float]) -> None:
        stale = Fault.other_answer({"data": desk.task("Confirm")})
        desk.sandbox.fail("POST", "*", Fault.drop_after())
        desk.sandbox.fail("GET", "*", stale, times=2, after=1)
        outcome = hook.complete_task_outcome(desk.run_id, "Confirm")
        assert (outcome.how, outcome.task["status"]) == ("checked", "completed")
        assert desk.methods == ["GET", "POST", "GET", "GET", "GET"]
        assert len(waits) == 2
        assert desk.notified("completed") == 1

    def test_completion_is_indeterminate_if_the_read_fails_too(self, desk: Desk, hook: TallyfyHook) -> None:
        desk.sandbox.fail("POST", "*", Fault.drop_after())
        desk.sandbox.fail("GET", "*", Fault.server_error(), times=None, after=1)
        with pytest.raises(TallyfyIndeterminateError, match=r"reading it failed too \(the answer was 503"):
            hook.complete_task(desk.run_id, "Confirm")
        desk.sandbox.forget_faults()
        assert hook.complete_task_outcome(desk.run_id, "Confirm").how == "already"
        assert desk.notified("completed") == 1

    def test_hook_without_retries_also_repeats_the_read(self, desk: Desk, connect: Callable[..., TallyfyHook]) -> None:
        hook = connect(desk.sandbox, hook={"max_retries": 0})
        desk.sandbox.fail("POST", "*", Fault.drop_before())
        with pytest.raises(TallyfyIndeterminateError, match="It was not sent again"):
            hook.complete_task(desk.run_id, "Confirm")
        assert desk.methods == ["GET", "POST", *["GET"] * (1 + len(LAG))]

    @pytest.mark.parametrize("fault", [*APPLIED, *NOT_APPLIED], ids=lambda fault: f"{fault.name}-{fault.applies}")
    def test_answers_are_written_and_the_task_is_completed_once(
        self, desk: Desk, hook: TallyfyHook, fault: Fault
    ) -> None:
        desk.sandbox.fail("PUT", "*", fault)
        try:
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 5})
        except TallyfyServerError:
            assert desk.methods.count("POST") == 0
            hook.complete_task(desk.run_id, COLLECT, answers={"Amount": 5})
        assert desk.answer("Amount", COLLECT) == 5
        assert desk.notified("completed") == 1


class Killed(BaseException):
    """The process of the task is killed."""


class TestKilled:
    """A process that is killed at any point, followed by a retry: the result is the same as without the kill."""

    @pytest.mark.parametrize("sent", [False, True])
    @pytest.mark.parametrize("at", range(4))
    def test_retry_makes_only_the_remaining_writes(
        self, desk: Desk, connect: Callable[..., TallyfyHook], monkeypatch: pytest.MonkeyPatch, at: int, sent: bool
    ) -> None:
        def complete(hook: TallyfyHook) -> dict[str, Any]:
            return hook.complete_task(
                desk.run_id, APPROVE, approve=False, answers={"Reason": "Too dear"}, comment="Rejected by a DAG"
            )

        first = connect(desk.sandbox)
        send = first._transport.send

        def send_or_be_killed(request: Any) -> Any:
            is_last = len(desk.methods) == at
            reply = send(request) if sent or not is_last else None
            if is_last:
                raise Killed
            return reply

        monkeypatch.setattr(first._transport, "send", send_or_be_killed)
        with pytest.raises(Killed):
            complete(first)
        task = complete(connect(desk.sandbox))
        assert (task["status"], task["is_approved"]) == ("completed", False)
        assert desk.answer("Reason", APPROVE) == "Too dear"
        assert (desk.notified("completed"), desk.notified("commented")) == (1, 1)
        assert [write.split(" ")[0] for write, _ in desk.writes] == ["PUT", "POST", "POST"], "each write once"


class TestCommenting:
    def test_comment_is_written_after_the_completion(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment=" Done by Airflow ")
        assert [write for write, _ in desk.writes] == [COMPLETED, "POST comment"]
        assert [thread["content"] for thread in desk.task("Confirm")["threads"]["data"]] == ["Done by Airflow"]

    @pytest.mark.parametrize("comment", [None, "", "  ", "None"])
    def test_blank_comment_is_not_written(self, desk: Desk, hook: TallyfyHook, comment: str | None) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment=comment)
        assert [write for write, _ in desk.writes] == [COMPLETED]

    def test_retry_does_not_repeat_the_comment(self, desk: Desk, hook: TallyfyHook) -> None:
        for _ in range(2):
            outcome = hook.complete_task_outcome(desk.run_id, "Confirm", comment="Done")
        assert outcome.note.endswith("its comment was already written")
        assert desk.notified("commented") == 1

    def test_comment_of_an_earlier_completion_does_not_count(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        desk.set("Confirm", completed_at=time.time() + 60)
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert desk.notified("commented") == 2

    def test_retry_after_the_hourly_limit_writes_only_the_comment(self, desk: Desk, hook: TallyfyHook) -> None:
        limit = {"message": "You've reached the hourly limit for comments.", "code": "RATE_LIMIT_EXCEEDED"}
        desk.sandbox.fail("POST", "*/comment", Fault.status(429, limit, {"Retry-After": "1800"}))
        with pytest.raises(TallyfyRateLimitedError, match=r"but its comment is not written.*hourly limit") as caught:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert caught.value.retry_after == 1800
        assert not isinstance(caught.value, AirflowFailException)
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert (desk.notified("completed"), desk.notified("commented")) == (1, 1)

    @pytest.mark.parametrize("fault", APPLIED, ids=lambda fault: fault.name)
    def test_read_after_a_lost_answer_shows_the_comment(self, desk: Desk, hook: TallyfyHook, fault: Fault) -> None:
        desk.sandbox.fail("POST", "*/comment", fault, times=2)
        assert hook.complete_task(desk.run_id, "Confirm", comment="Done")["status"] == "completed"
        written = hook.comment_on_task(desk.task_id("Confirm"), "Done")
        assert written["content"] == "Done"
        assert desk.notified("commented") == 2

    @pytest.mark.parametrize("fault", NOT_APPLIED, ids=lambda fault: fault.name)
    def test_comment_that_a_read_does_not_show_is_not_sent_again(
        self, desk: Desk, hook: TallyfyHook, fault: Fault
    ) -> None:
        desk.sandbox.fail("POST", "*/comment", fault, times=2)
        with pytest.raises(TallyfyIndeterminateError, match="A retry is harmless, because it reads first") as caught:
            hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert not isinstance(caught.value, TallyfyUnrepeatableError)
        with pytest.raises(TallyfyUnrepeatableError, match="Look at the task before you write it again"):
            hook.comment_on_task(desk.task_id("Confirm"), "Done")
        assert desk.notified("commented") == 0
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        assert (desk.notified("completed"), desk.notified("commented")) == (1, 1)

    def test_comment_is_not_written_if_earlier_comments_are_not_shown(self, desk: Desk, hook: TallyfyHook) -> None:
        hook.complete_task(desk.run_id, "Confirm", comment="Done")
        desk.sandbox.fail("GET", "*", Fault.without("threads"))
        outcome = hook.complete_task_outcome(desk.run_id, "Confirm", comment="Done")
        assert "because Tallyfy does not show whether it was written before" in outcome.note
        assert desk.notified("commented") == 1

    @pytest.mark.parametrize("content", ["", " ", "None", 7, None, "{{ x }}"])
    def test_comment_without_text_is_refused(self, desk: Desk, hook: TallyfyHook, content: Any) -> None:
        with pytest.raises(TallyfyArgumentError, match="content"):
            hook.comment_on_task(desk.task_id("Confirm"), content)
        assert desk.methods == []
