"""Complete a task of a run: read, check, write the answers, complete it once, comment.

Each step is skipped where a read shows that it is done, so the whole may be tried again at any point: after answers
that were written, after a completion whose answer was lost, before a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_tallyfy.api import forms
from airflow_provider_tallyfy.api.endpoints import tasks as task_endpoints
from airflow_provider_tallyfy.api.members import Members
from airflow_provider_tallyfy.api.once import Done, bring_about
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
    describe,
    included,
    is_complete,
    is_skipped,
    kind_of,
    open_issues,
    stored_answers,
    verdict,
)
from airflow_provider_tallyfy.api.tasks.read import archived, find, is_of_archived_run

#: What is read with a task before it is completed.
INCLUDE = ("form_fields", "threads", "run")
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_VERDICTS = {True: "approved", False: "rejected", None: "decided, but Tallyfy does not show how"}


@dataclass(frozen=True)
class TaskOutcome:
    """How completing or reopening a task ended, when it ended well.

    :param task: the task as Tallyfy returned it.
    :param how: ``changed`` = Tallyfy said so; ``already`` = there was nothing to do; ``checked`` = the answer was lost
        or unclear, and reading the task showed the wanted state.
    :param note: one sentence for the log; empty where there is nothing to add.
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
    """Complete a task, once.

    :param name: the task's id, title or alias.
    :param answers: answers to the fields of its form, by their id, alias or label.
    :param approve: the decision on an approval; of any other kind it must be ``None``.
    :param comment: written after the task is complete, unless it was written since.
    :param comment_if_already: write the comment on a task that was complete before, too.
    :raises ArgumentError: for an argument that does not fit the task.
    :raises Rejected: where the task can't be completed, and for what Tallyfy said.
    """
    given = forms.check_answers("answers", answers)
    check_approve("approve", approve)
    text = check_comment("comment", comment)
    task = yield from find(org, run_id, name, include=INCLUDE)
    read = task_endpoints.get_task(org, run_id, str(task["id"]), INCLUDE)
    _check_state(read, task)
    _check_decision(task, approve)
    if is_complete(task):
        outcome = yield from _already(org, read, task, approve, given)
    else:
        outcome = yield from _complete(org, run_id, task, read, given, approve)
    if text is not None and (outcome.how != "already" or comment_if_already):
        outcome = yield from _comment(org, task, outcome, read, text)
    return replace(outcome, task={key: value for key, value in outcome.task.items() if key not in INCLUDE})


def reopen(org: str, run_id: str, name: str) -> Flow[TaskOutcome]:
    """Reopen a complete task, once; its run becomes active again.

    :param name: the task's id, title or alias.
    """
    task = yield from find(org, run_id, name)
    read = task_endpoints.get_task(org, run_id, str(task["id"]))
    _check_state(read, task)
    if complete_state(task) is False:
        return TaskOutcome(task, "already", "it is open already")
    write = task_endpoints.reopen_task(org, run_id, str(task["id"]))
    done = yield from bring_about(write, read, lambda value: complete_state(value) is False, "the task is open")
    return TaskOutcome(done.value, done.how, done.note)


# -- before anything is written ----------------------------------------------------------------------------------------


def _check_state(read: Request, task: Task) -> None:
    """Refuse a task of which nothing says whether it is complete: it may be, and people would be told again."""
    if complete_state(task) is None:
        text = f"{read.label}: the task {describe(task)} that Tallyfy returned does not say whether it is complete."
        raise about(read, Kind.SERVER, text)


def _check_decision(task: Task, approve: bool | None) -> None:
    """Refuse a decision on what takes none, and an open approval without one."""
    kind = kind_of(task)
    if approve is None:
        if kind == APPROVAL and not is_complete(task):
            raise ArgumentError(
                f"approve=None: the task {describe(task)} is an approval. Pass approve=True or approve=False."
            )
    elif kind in EXPIRING and not approve:
        raise ArgumentError(
            f"approve=False: the task {describe(task)} is an expiring task, which takes no rejection (Tallyfy would "
            "record it as expired). Leave approve out."
        )
    elif kind != APPROVAL:
        what = f"its kind is {kind!r}" if kind else "Tallyfy does not show its kind"
        raise ArgumentError(f"approve={approve}: the task {describe(task)} is no approval ({what}). Leave approve out.")


def _check_open(read: Request, task: Task) -> None:
    """Refuse a task that can't be completed now, naming what is in the way."""
    if (run := is_of_archived_run(task)) is not None:
        raise archived(read, run)
    who = f"The task {describe(task)} can't be completed: "
    if task.get("archived_at"):
        raise about(read, Kind.NOT_FOUND, f"{who}it was deleted at {task['archived_at']}.")
    if is_skipped(task):
        raise about(read, Kind.CONFLICT, f"{who}a rule of its template has hidden it (auto-skipped).")
    if _is_locked(task):
        raise about(
            read,
            Kind.CONFLICT,
            f"{who}its run has an open issue, which locks all of its tasks. Somebody must resolve it.",
        )
    if issues := open_issues(task):
        told = "; ".join(show(issue) for issue in issues[:5])
        raise about(read, Kind.CONFLICT, f"{who}it has an open issue that somebody must resolve first: {told}.")


def _is_locked(task: Task) -> bool:
    run = task.get("run")
    run = run.get("data", run) if isinstance(run, Mapping) else {}
    run = run if isinstance(run, Mapping) else {}
    return run.get("has_open_issue") is True or "issue" in (task.get("run_status"), run.get("status"))


# -- what is there already ---------------------------------------------------------------------------------------------


def _already(org: str, read: Request, task: Task, approve: bool | None, given: Mapping[str, Any]) -> Flow[TaskOutcome]:
    """A task that is complete already, which is left as it is."""
    _check_verdict(read, task, approve)
    notes = ["it was complete before"]
    if task.get("completed_at"):
        notes[0] += f", since {task['completed_at']}"
    if kind_of(task) in EXPIRING and verdict(task) is False:
        notes.append("it had expired")
    if given:
        # Somebody else's answers are the answers. Which of them differ is worth a line in the log.
        fields = _fields(task)
        wanted = yield from _encode(org, fields, given, stored_answers(task), complete=False)
        if others := _not_shown(fields, wanted, task):
            notes.append(f"its answers to {', '.join(map(show, others))} differ from those given, and were left alone")
    return TaskOutcome(task, "already", "; ".join(notes))


def _check_verdict(like: Request, task: Task, approve: bool | None) -> None:
    """Refuse an approval that was decided in the other way."""
    if approve is None or kind_of(task) not in (APPROVAL, "") or verdict(task) is approve:
        return
    raise about(
        like,
        Kind.CONFLICT,
        f"The task {describe(task)} is complete and {_VERDICTS[verdict(task)]}, yet it was to be {_VERDICTS[approve]} "
        f"(approve={approve}). Reopen it to decide again.",
    )


# -- writing -----------------------------------------------------------------------------------------------------------


def _complete(
    org: str, run_id: str, task: Task, read: Request, given: Mapping[str, Any], approve: bool | None
) -> Flow[TaskOutcome]:
    _check_open(read, task)
    fields, stored = _fields(task), stored_answers(task)
    wanted = yield from _encode(org, fields, given, stored)
    if _not_shown(fields, wanted, task):
        faster = yield from _write_answers(org, run_id, task, read, fields, wanted)
        if faster is not None:
            return (yield from _already(org, read, faster, approve, given))
    write = task_endpoints.complete_task(org, run_id, str(task["id"]), approve)
    done: Done = yield from bring_about(write, read, is_complete, "the task is complete", why_not=_why_not_complete)
    _check_verdict(write, {**task, **done.value}, approve)
    return TaskOutcome(done.value, done.how, done.note)


def _encode(
    org: str, fields: list[forms.FormField], given: Mapping[str, Any], stored: Mapping[str, Any], complete: bool = True
) -> Flow[dict[str, Any]]:
    """The answers as Tallyfy takes them. Members that they name by e-mail address are looked up."""
    addresses = None
    if forms.needs_members(fields, given):
        addresses = yield from Members(org).by_address()
    return forms.encode("answers", fields, given, stored=stored, complete=complete, members=addresses)


def _why_not_complete(task: Mapping[str, Any]) -> str:
    return "each of its assignees has to complete it" if task.get("everyone_must_complete") is True else ""


def _write_answers(
    org: str, run_id: str, task: Task, read: Request, fields: list[forms.FormField], wanted: Mapping[str, Any]
) -> Flow[Task | None]:
    """Write answers into the task's form, and see that they are there. The owners are not sent: they stay.

    :return: the task, where somebody completed it meanwhile; else ``None``.
    """

    def settle(exchange: Exchange) -> Flow[Task | None]:
        shown: Task = yield from ask(read)
        return shown if is_complete(shown) or not _not_shown(fields, wanted, shown) else None

    write = task_endpoints.update_task(org, run_id, str(task["id"]), {"taskdata": dict(wanted)})
    result = yield from repeat_if_not_done(write, settle)
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
        complete_now: Task = found.value
        return complete_now
    left = _not_shown(fields, wanted, found.value)
    if not left:
        return None
    if result.maybe_done:
        text = f"{write.label} was not carried out ({describe_reply(result)}): a read does not show the answers. "
        raise about(write, Kind.SERVER, f"{text}A retry does it.", like=result)
    if not result.ok:
        reject(result)
    raise about(
        write,
        Kind.NOT_APPLIED,
        f"{write.label} answered {result.status}, yet the task {describe(task)} does not show the answers to "
        f"{', '.join(map(show, left))}.",
        like=result,
        errors={label: ["not written by Tallyfy"] for label in left},
    )


def _comment(org: str, task: Task, outcome: TaskOutcome, read: Request, text: str) -> Flow[TaskOutcome]:
    """Write the comment, unless an earlier try has written it."""
    if outcome.how == "already":
        there = comments.is_there(outcome.task, text)
        if there is None:
            note = "the comment was not written, because Tallyfy does not show whether it is there"
            return replace(outcome, note=f"{outcome.note}; {note}")
        if there:
            return replace(outcome, note=f"{outcome.note}; the comment is there already")
        task = outcome.task
    try:
        before = comments.thread_ids(task)
        yield from comments.post(org, str(task["id"]), text, read, before, Kind.INDETERMINATE)
    except Rejected as error:
        told = f"The task {describe(task)} is complete, but not its comment. {error.problem.message}"
        raise Rejected(replace(error.problem, message=told)) from None
    return outcome


def _fields(task: Task) -> list[forms.FormField]:
    return forms.fields_of(included(task, "form_fields") or [])


def _not_shown(fields: Iterable[forms.FormField], wanted: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    """The labels of the wanted answers that the task does not show."""
    shown = stored_answers(task)
    return [field.name for field in fields if field.id in wanted and not _same(field, wanted, shown)]


def _same(field: forms.FormField, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two answers to a field mean the same."""
    left, right = one.get(field.id), other.get(field.id)
    if left == right or (left in _EMPTY and right in _EMPTY):
        return True
    return forms.decode([field], one) == forms.decode([field], other)
