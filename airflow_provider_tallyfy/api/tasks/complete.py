"""Complete a task of a run: read it, check the arguments, write the answers, complete it once, comment.

A step is skipped if a read shows that it is done. So the flow can be repeated after it ended at any point: after the
answers were written, after the response to the completion was lost, before the comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_tallyfy.api import forms
from airflow_provider_tallyfy.api.endpoints import tasks as task_endpoints
from airflow_provider_tallyfy.api.members import Members
from airflow_provider_tallyfy.api.once import WriteOutcome, write_once
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs.read import describe_reply, repeat_if_not_done
from airflow_provider_tallyfy.api.tasks import comments
from airflow_provider_tallyfy.api.tasks.model import (
    APPROVAL,
    EXPIRING,
    Task,
    check_approve,
    check_comment,
    complete_state,
    decision,
    describe,
    included,
    is_complete,
    is_skipped,
    kind_of,
    open_issues,
    stored_answers,
)
from airflow_provider_tallyfy.api.tasks.read import archived_run_error, archived_run_of, find

#: The relations that are read with a task before it is completed.
INCLUDE = ("form_fields", "threads", "run")
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_DECISIONS = {True: "it was approved", False: "it was rejected", None: "Tallyfy does not show its decision"}


@dataclass(frozen=True)
class TaskOutcome:
    """How completing or reopening a task ended, if it succeeded.

    :param task: the task as Tallyfy returned it.
    :param how: ``changed`` = Tallyfy's answer shows the change; ``already`` = there was nothing to do;
        ``checked`` = the answer was lost or unclear, and a read showed the wanted state.
    :param note: details for the log; may be empty.
    """

    task: Task
    how: Literal["changed", "already", "checked"]
    note: str = ""


def complete(
    org: str,
    run_id: str,
    name: str,
    *,
    answers: Mapping[str, Any] | None = None,
    approve: bool | None = None,
    comment: str | None = None,
    comment_if_already: bool = True,
) -> Flow[TaskOutcome]:
    """Complete a task once.

    :param name: the task's id, title or alias.
    :param answers: answers to its form, by id, alias or label of the field.
    :param approve: the decision, if the task is an approval; otherwise ``None``.
    :param comment: a comment to write after the completion, unless it was written since then.
    :param comment_if_already: also write the comment if the task was already complete.
    :raises ArgumentError: for an argument that does not fit the task.
    :raises Rejected: if the task can't be completed, and for Tallyfy's own errors.
    """
    given = forms.check_answers("answers", answers)
    check_approve("approve", approve)
    text = check_comment("comment", comment)
    task = yield from find(org, run_id, name, include=INCLUDE)
    read = task_endpoints.get_task(org, run_id, str(task["id"]), INCLUDE)
    _check_state(read, task)
    _check_decision(task, approve)
    if is_complete(task):
        outcome = yield from _leave_complete(org, read, task, approve, given)
    else:
        outcome = yield from _complete(org, run_id, task, read, given, approve)
    if text is not None and (outcome.how != "already" or comment_if_already):
        outcome = yield from _comment(org, task, outcome, read, text)
    return replace(outcome, task={key: value for key, value in outcome.task.items() if key not in INCLUDE})


def reopen(org: str, run_id: str, name: str) -> Flow[TaskOutcome]:
    """Reopen a complete task once. Its run becomes active again.

    :param name: the task's id, title or alias.
    """
    task = yield from find(org, run_id, name)
    read = task_endpoints.get_task(org, run_id, str(task["id"]))
    _check_state(read, task)
    if complete_state(task) is False:
        return TaskOutcome(task, "already", "it was already open")
    write = task_endpoints.reopen_task(org, run_id, str(task["id"]))
    done = yield from write_once(write, read, lambda value: complete_state(value) is False, "the task is open")
    return TaskOutcome(done.value, done.how, done.note)


# -- before anything is written ----------------------------------------------------------------------------------------


def _check_state(read: Request, task: Task) -> None:
    """Refuse a task that does not show whether it is complete: if it is, completing it would notify people again."""
    if complete_state(task) is None:
        text = f"{read.label}: the task {describe(task)} that Tallyfy returned does not show whether it is complete."
        raise about(read, Kind.SERVER, text)


def _check_decision(task: Task, approve: bool | None) -> None:
    """Refuse a decision on a task that is not an approval, and an open approval without a decision."""
    kind = kind_of(task)
    if approve is None:
        if kind == APPROVAL and not is_complete(task):
            raise ArgumentError(
                f"approve=None: the task {describe(task)} is an approval. Pass approve=True or approve=False."
            )
    elif kind in EXPIRING and not approve:
        raise ArgumentError(
            f"approve=False: the task {describe(task)} is an expiring task, which can't be rejected (Tallyfy would "
            "record it as expired). Leave approve out."
        )
    elif kind != APPROVAL:
        what = f"its type is {kind!r}" if kind else "Tallyfy does not show its type"
        raise ArgumentError(
            f"approve={approve}: the task {describe(task)} is not an approval ({what}). Leave approve out."
        )


def _check_open(read: Request, task: Task) -> None:
    """Refuse a task that can't be completed now, and say why."""
    if (run := archived_run_of(task)) is not None:
        raise archived_run_error(read, run)
    who = f"The task {describe(task)} can't be completed: "
    if task.get("archived_at"):
        raise about(read, Kind.NOT_FOUND, f"{who}it was deleted at {task['archived_at']}.")
    if is_skipped(task):
        raise about(read, Kind.CONFLICT, f"{who}a rule of its template hides it (auto-skipped).")
    if _is_locked(task):
        raise about(
            read,
            Kind.CONFLICT,
            f"{who}its run has an open issue, which locks all tasks of the run. Somebody must resolve it.",
        )
    if issues := open_issues(task):
        texts = "; ".join(show(issue) for issue in issues[:5])
        raise about(read, Kind.CONFLICT, f"{who}it has an open issue that somebody must resolve first: {texts}.")


def _is_locked(task: Task) -> bool:
    run = task.get("run")
    run = run.get("data", run) if isinstance(run, Mapping) else {}
    run = run if isinstance(run, Mapping) else {}
    return run.get("has_open_issue") is True or "issue" in (task.get("run_status"), run.get("status"))


# -- a task that is already complete -----------------------------------------------------------------------------------


def _leave_complete(
    org: str, read: Request, task: Task, approve: bool | None, given: Mapping[str, Any]
) -> Flow[TaskOutcome]:
    """Return the outcome for a task that is already complete, and change nothing."""
    _check_same_decision(read, task, approve)
    notes = ["it was already complete"]
    if task.get("completed_at"):
        notes[0] += f", since {task['completed_at']}"
    if kind_of(task) in EXPIRING and decision(task) is False:
        notes.append("it had expired")
    if given:
        # The answers of a complete task stay as they are. The log lists those that differ.
        fields = _fields(task)
        wanted = yield from _encode(org, fields, given, stored_answers(task), complete=False)
        if others := _not_shown(fields, wanted, task):
            notes.append(f"its answers to {', '.join(map(show, others))} differ from the given ones, and were kept")
    return TaskOutcome(task, "already", "; ".join(notes))


def _check_same_decision(like: Request, task: Task, approve: bool | None) -> None:
    """Refuse an approval that was decided the other way."""
    if approve is None or kind_of(task) not in (APPROVAL, "") or decision(task) is approve:
        return
    raise about(
        like,
        Kind.CONFLICT,
        f"The task {describe(task)} is complete, and {_DECISIONS[decision(task)]}, but approve={approve}. Reopen it to "
        "decide again.",
    )


# -- writing -----------------------------------------------------------------------------------------------------------


def _complete(
    org: str, run_id: str, task: Task, read: Request, given: Mapping[str, Any], approve: bool | None
) -> Flow[TaskOutcome]:
    _check_open(read, task)
    fields, stored = _fields(task), stored_answers(task)
    wanted = yield from _encode(org, fields, given, stored)
    if _not_shown(fields, wanted, task):
        completed = yield from _write_answers(org, run_id, task, read, fields, wanted)
        if completed is not None:
            return (yield from _leave_complete(org, read, completed, approve, given))
    write = task_endpoints.complete_task(org, run_id, str(task["id"]), approve)
    done: WriteOutcome = yield from write_once(
        write, read, is_complete, "the task is complete", why_not=_why_not_complete
    )
    _check_same_decision(write, {**task, **done.value}, approve)
    return TaskOutcome(done.value, done.how, done.note)


def _encode(
    org: str, fields: list[forms.FormField], given: Mapping[str, Any], stored: Mapping[str, Any], complete: bool = True
) -> Flow[dict[str, Any]]:
    """Encode the answers. If they name members by e-mail address, the members are read."""
    addresses = None
    if forms.needs_members(fields, given):
        addresses = yield from Members(org).by_address()
    return forms.encode("answers", fields, given, stored=stored, complete=complete, members=addresses)


def _why_not_complete(task: Mapping[str, Any]) -> str:
    return "each of its assignees must complete it" if task.get("everyone_must_complete") is True else ""


def _write_answers(
    org: str, run_id: str, task: Task, read: Request, fields: list[forms.FormField], wanted: Mapping[str, Any]
) -> Flow[Task | None]:
    """Write answers into the task's form, and check that it has them. Its owners are not sent, so they stay.

    :return: the task, if somebody else completed it in the meantime; otherwise ``None``.
    """

    def check(exchange: Exchange) -> Flow[Task | None]:
        shown: Task = yield from ask(read)
        return shown if is_complete(shown) or not _not_shown(fields, wanted, shown) else None

    write = task_endpoints.update_task(org, run_id, str(task["id"]), {"taskdata": dict(wanted)})
    result = yield from repeat_if_not_done(write, check)
    if isinstance(result, dict):
        return result if is_complete(result) else None
    if result.ok and result.value is not None and not _not_shown(fields, wanted, result.value):
        return None
    if not result.ok and not result.maybe_done and result.status not in (400, 403, 404, 409, 422):
        reject(result)
    found = yield read
    if not found.ok:
        reject(found if result.ok or result.maybe_done else result)
    if is_complete(found.value):
        completed: Task = found.value
        return completed
    missing = _not_shown(fields, wanted, found.value)
    if not missing:
        return None
    if result.maybe_done:
        text = f"{write.label} was not carried out ({describe_reply(result)}): a read does not show the answers. "
        raise about(write, Kind.SERVER, f"{text}A retry writes them again.", like=result)
    if not result.ok:
        reject(result)
    raise about(
        write,
        Kind.NOT_APPLIED,
        f"{write.label} answered {result.status}, but the task {describe(task)} does not show the answers to "
        f"{', '.join(map(show, missing))}.",
        like=result,
        errors={label: ["not written by Tallyfy"] for label in missing},
    )


def _comment(org: str, task: Task, outcome: TaskOutcome, read: Request, text: str) -> Flow[TaskOutcome]:
    """Write the comment, unless an earlier try wrote it."""
    if outcome.how == "already":
        written = comments.was_written(outcome.task, text)
        if written is None:
            note = "the comment was not written, because Tallyfy does not show whether it was written before"
            return replace(outcome, note=f"{outcome.note}; {note}")
        if written:
            return replace(outcome, note=f"{outcome.note}; its comment was already written")
        task = outcome.task
    try:
        before = comments.comment_ids(task)
        yield from comments.post(org, str(task["id"]), text, read, before, Kind.INDETERMINATE)
    except Rejected as error:
        message = f"The task {describe(task)} is complete, but its comment is not written. {error.problem.message}"
        raise Rejected(replace(error.problem, message=message)) from None
    return outcome


def _fields(task: Task) -> list[forms.FormField]:
    return forms.fields_of(included(task, "form_fields") or [])


def _not_shown(fields: Iterable[forms.FormField], wanted: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    """Return the labels of the wanted answers that the task does not have."""
    shown = stored_answers(task)
    return [field.name for field in fields if field.id in wanted and not _same(field, wanted, shown)]


def _same(field: forms.FormField, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two answers to a field mean the same."""
    left, right = one.get(field.id), other.get(field.id)
    if left == right or (left in _EMPTY and right in _EMPTY):
        return True
    return forms.decode([field], one) == forms.decode([field], other)
