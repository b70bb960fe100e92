"""What people do with tasks and on runs, by the API's rules: complete, reopen, fill in, comment, raise issues.

The routes do it in the name of whoever's token they get, scripted people in their own.
"""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_tallyfy.sandbox import forms
from airflow_provider_tallyfy.sandbox.models import Person, Run, Task, Thread
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.refusal import Refusal, forbidden, invalid, not_found


def unlocked(organization: Organization, task: Task) -> Run | None:
    """The task's run, about to change; refused while an open issue of the process locks its tasks."""
    run = organization.find_run(task.run_id) if task.run_id else None
    if run is not None and run.has_open_issue:
        raise forbidden("The process has an open issue. Resolve it before changing its tasks.")
    return run


def changed(organization: Organization, task: Task, actor: Person) -> Run | None:
    """Settle a task's run after the task changed."""
    task.last_updated = time.time()
    if task.run_id is None:
        return None
    run = organization.find_run(task.run_id)
    run.last_updated = task.last_updated
    organization.version += 1
    organization.settle(run, actor)
    return run


def about_to_change(organization: Organization, run: Run | None) -> None:
    """Keep what a lagging replica still shows."""
    if run is not None and organization.behaviour.read_lag > 0:
        organization.write(run)


def complete_task(
    organization: Organization, task: Task, actor: Person, *, approve: bool | None = None, completer: int | None = None
) -> None:
    """Complete a task, or decide on an approval.

    :param approve: the decision; an approval needs one.
    :param completer: in whose name, if not the actor's.
    :raises Refusal: if it is locked, has an open issue or a required field without an answer, or lacks the decision.
    """
    run = unlocked(organization, task)
    if task.done and organization.behaviour.complete_twice == "422":
        raise invalid("task_id", "The task is already completed.")
    if not task.done:
        if task.status == "auto-skipped":
            raise invalid("task_id", "The task is hidden by a rule.")
        if task.task_type == "approval" and approve is None:
            raise invalid("is_approved", "The is approved field is required")
        if task.task_type in ("expiring", "expiring_email") and approve is False:
            raise invalid("is_approved", "An expiring task cannot be rejected.")
        if task.problem:
            raise invalid("task_id", "The task has open issues.")
        if task.step and (errors := forms.missing(task.step.fields, task.taskdata)):
            raise Refusal(422, "The given data was invalid.", errors=errors)
        about_to_change(organization, run)
        task.status, task.completed_at = "completed", time.time()
        task.completer_id = actor.id if completer is None else completer
        if approve is not None:
            task.is_approved = approve
    # Completing it again changes nothing, yet tells everybody once more.
    organization.log("completed", actor, run, "task", task.id, f"Completed task: {task.title}")
    changed(organization, task, actor)


def reopen_task(organization: Organization, task: Task, actor: Person) -> None:
    """Reopen a task; its run becomes active again."""
    run = unlocked(organization, task)
    about_to_change(organization, run)
    task.status, task.completed_at, task.completer_id, task.is_approved = "in-progress", None, None, None
    organization.log("uncompleted", actor, run, "task", task.id, f"Reopened task: {task.title}")
    changed(organization, task, actor)


def skip_task(organization: Organization, task: Task, actor: Person) -> None:
    """Let a rule hide a task: nobody has to do it, and nobody has decided anything."""
    run = unlocked(organization, task)
    if task.done:
        raise invalid("task_id", "The task is already completed.")
    about_to_change(organization, run)
    task.status = "auto-skipped"
    organization.log("updated", actor, run, "task", task.id, f"A rule hid task: {task.title}", field="status")
    changed(organization, task, actor)


def fill_task(organization: Organization, task: Task, answers: dict[str, Any], actor: Person) -> None:
    """Answer fields of a task's form, by field id; unknown ids are dropped without a word."""
    run = unlocked(organization, task)
    if task.done:
        raise invalid("task", "A completed task cannot be updated.")
    fields = task.step.fields if task.step else []
    known = {item.id for item in fields}
    answers = {key: value for key, value in answers.items() if key in known}
    forms.check_answers(organization, fields, answers)
    about_to_change(organization, run)
    task.taskdata.update(answers)
    organization.log("updated", actor, run, "task", task.id, f"Updated task: {task.title}")
    changed(organization, task, actor)


def add_thread(
    organization: Organization, place: Run | Task, actor: Person, content: Any, label: str, state: str = ""
) -> Thread:
    """Write a comment on a task or a run or, with the label ``problem``, raise an issue."""
    content = forms.a_text("content", content)
    if not content:
        raise invalid("content", "The content field is required.")
    thread = organization.new_thread(content, label, actor.id, state or "hide-for-guests")
    run = _run_of(organization, place)
    if isinstance(place, Run):
        organization.write(place)
    else:
        about_to_change(organization, run)
    place.threads.append(thread)
    verb = "issue-reported" if label == "problem" else "commented"
    organization.log(verb, actor, run, "thread", thread.id, content, text=content)
    _settled(organization, place, actor)
    return thread


def resolve_thread(organization: Organization, place: Run | Task, actor: Person, thread_id: Any) -> Thread:
    """Resolve an issue of a task or of a run."""
    thread = next((thread for thread in place.threads if thread.id == thread_id), None)
    if thread is None:
        raise invalid("thread_id", "The selected thread id is invalid.")
    run = _run_of(organization, place)
    if isinstance(place, Run):
        organization.write(place)
    else:
        about_to_change(organization, run)
    thread.resolved = True
    organization.log("issue-resolved", actor, run, "thread", thread.id, thread.content)
    _settled(organization, place, actor)
    return thread


def fill_kickoff(organization: Organization, run: Run, answers: dict[str, Any], actor: Person) -> None:
    """Answer fields of the kick-off form, by field id."""
    forms.check_answers(organization, run.template.kickoff, answers)
    organization.write(run)
    run.prerun.update(answers)
    organization.log("updated", actor, run, "run", run.id, f"Answered the kick-off form of {run.name}", field="prerun")


def submit_kickoff(organization: Organization, run: Run, actor: Person) -> None:
    """Submit the kick-off form."""
    if errors := forms.missing(run.template.kickoff, run.prerun):
        raise Refusal(422, "The given data was invalid.", errors=errors)
    organization.write(run)
    run.prerun_completed_at, run.prerun_completed_by = run.last_updated, actor.id
    organization.log("updated", actor, run, "run", run.id, "Submitted the kick-off form", field="prerun_status")
    organization.settle(run, actor)


def reopen_kickoff(organization: Organization, run: Run, actor: Person) -> None:
    """Reopen the kick-off form; the run becomes active again."""
    organization.write(run)
    run.prerun_completed_at = run.prerun_completed_by = None
    organization.log("updated", actor, run, "run", run.id, "Reopened the kick-off form", field="prerun_status")
    organization.settle(run, actor)


def live(organization: Organization, run_id: str) -> Run:
    """A run that is not archived; 404 when it is, or when there is none."""
    run = organization.find_run(run_id)
    if run.archived_at is not None:
        raise not_found()
    return run


def _run_of(organization: Organization, place: Run | Task) -> Run | None:
    if isinstance(place, Run):
        return place
    return organization.find_run(place.run_id) if place.run_id else None


def _settled(organization: Organization, place: Run | Task, actor: Person) -> None:
    if isinstance(place, Run):
        organization.settle(place, actor)
    else:
        changed(organization, place, actor)
