"""Tasks: of a run, one-off ones, and what people write on them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from airflow_provider_tallyfy.sandbox import forms, task_work
from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Task, Thread
from airflow_provider_tallyfy.sandbox.refusal import Refusal, invalid, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"
RUN = "/organizations/{}/runs/{}"


@routes.add("GET", f"{RUN}/tasks")
def list_run_tasks(call: Call) -> Answer:
    """``GET /runs/{run}/tasks``."""
    organization = call.organization
    run = organization.as_read(organization.find_run(call.ids[1]))
    if run is None:
        # Just launched, read from a replica that has the run but not yet its tasks.
        return _page(call, [])
    if run.archived_at is not None:
        if call.behaviour.tasks_of_archived == "404":
            raise not_found()
        if call.behaviour.tasks_of_archived == "empty":
            return _page(call, [])
    return _page(call, [task for task in organization.tasks_of(run).values() if task.archived_at is None])


@routes.add("GET", f"{RUN}/tasks/{{}}")
def get_run_task(call: Call) -> Answer:
    """``GET /runs/{run}/tasks/{task}``."""
    return _one(call, call.organization.read_task(call.ids[2], call.ids[1]))


@routes.add("GET", f"{ORG}/tasks/{{}}")
def get_task(call: Call) -> Answer:
    """``GET /tasks/{task}``: one-off or of a run."""
    return _one(call, call.organization.read_task(call.ids[1]))


@routes.add("GET", f"{ORG}/tasks")
def list_tasks(call: Call) -> Answer:
    """``GET /tasks``: of the whole organization, or with ``assignee=me`` (or a member's id) of one member."""
    tasks = _all_tasks(call)
    if assignee := call.query.get("assignee"):
        member_id = str(call.member.id) if assignee == "me" else assignee
        tasks = [task for task in tasks if member_id in map(str, task.users)]
    return _page(call, tasks)


@routes.add("GET", f"{ORG}/me/tasks")
def list_my_tasks(call: Call) -> Answer:
    """``GET /me/tasks``: active ones unless a status is given."""
    mine = [task for task in _all_tasks(call) if call.member.id in task.users]
    return _page(call, mine, default_status="active")


@routes.add("GET", f"{ORG}/users/{{}}/tasks")
def list_user_tasks(call: Call) -> Answer:
    """``GET /users/{user}/tasks``."""
    return _page(call, [task for task in _all_tasks(call) if call.ids[1] in map(str, task.users)])


@routes.add("POST", f"{RUN}/completed-tasks")
def complete(call: Call) -> Answer:
    """Complete a task of a run."""
    return _complete(call, call.organization.find_task(_task_id(call), call.ids[1]))


@routes.add("POST", f"{ORG}/completed-tasks")
def complete_one_off(call: Call) -> Answer:
    """Complete a one-off task."""
    return _complete(call, call.organization.find_task(_task_id(call)))


@routes.add("DELETE", f"{RUN}/completed-tasks/{{}}")
def reopen(call: Call) -> Answer:
    """Reopen a task of a run, which becomes active again."""
    return _reopen(call, call.organization.find_task(call.ids[2], call.ids[1]))


@routes.add("DELETE", f"{ORG}/completed-tasks/{{}}")
def reopen_one_off(call: Call) -> Answer:
    """Reopen a one-off task."""
    return _reopen(call, call.organization.find_task(call.ids[1]))


@routes.add("PUT", f"{RUN}/tasks/{{}}")
def update(call: Call) -> Answer:
    """Change a task; a partial ``owners`` empties the buckets it leaves out."""
    return _update(call, call.organization.find_task(call.ids[2], call.ids[1]))


@routes.add("PUT", f"{ORG}/tasks/{{}}")
def update_one_off(call: Call) -> Answer:
    """Change a one-off task: title, deadline and owners are required."""
    errors = {
        name: [f"The {name} field is required."] for name in ("title", "deadline", "owners") if not call.json.get(name)
    }
    if errors:
        raise Refusal(422, "The given data was invalid.", errors=errors)
    return _update(call, call.organization.find_task(call.ids[1]))


@routes.add("POST", f"{ORG}/tasks")
def create_one_off(call: Call) -> Answer:
    """Create a one-off task; ``run_id`` attaches it to a run."""
    organization, body = call.organization, call.json
    required = ("title", "task_type", "deadline", "owners")
    errors = {name: [f"The {name} field is required."] for name in required if not body.get(name)}
    if errors:
        raise Refusal(422, "The given data was invalid.", errors=errors)
    run = organization.find_run(body["run_id"]) if body.get("run_id") else None
    now = time.time()
    task = Task(
        organization.new_id(),
        organization.next_number("increment"),
        forms.a_text("title", body["title"], 600),
        run.id if run else None,
        None,
        len(organization.tasks_of(run)) + 1 if run else 1,
        now,
        now,
        task_type=body["task_type"],
        summary=body.get("summary"),
        deadline=forms.moment_of("deadline", body["deadline"]),
    )
    _set_owners(call, task, body["owners"])
    if run is None:
        organization.one_off_tasks[task.id] = task
    else:
        organization.write(run)
        organization.tasks_of(run)[task.id] = task
        organization.settle(run, call.member)
    organization.task_home[task.id] = task.run_id
    return _one(call, task, 201)


@routes.add("DELETE", f"{ORG}/tasks/{{}}")
def archive_task(call: Call) -> Answer:
    """Archive a task: 204."""
    task = call.organization.find_task(call.ids[1])
    task.archived_at = time.time()
    return Answer(status=204)


@routes.add("POST", f"{ORG}/tasks/{{}}/comment")
def comment(call: Call) -> Answer:
    """A comment on a task; the label ``resolve`` does not resolve anything."""
    return _thread(call, str(call.json.get("label") or "comment"))


@routes.add("POST", f"{ORG}/tasks/{{}}/problem")
def problem(call: Call) -> Answer:
    """An issue on a task: its run becomes a ``problem``."""
    return _thread(call, "problem")


@routes.add("PUT", f"{ORG}/tasks/{{}}/comment/{{}}")
def edit_comment(call: Call) -> Answer:
    """Change a comment."""
    thread = _find_thread(call.organization.find_task(call.ids[1]), call.ids[2])
    thread.content = forms.a_text("content", call.json.get("content"))
    return Answer({"data": call.serializer.thread(thread)})


@routes.add("DELETE", f"{ORG}/tasks/{{}}/comment/{{}}")
def delete_comment(call: Call) -> Answer:
    """Delete a comment: 204."""
    task = call.organization.find_task(call.ids[1])
    task.threads.remove(_find_thread(task, call.ids[2]))
    task_work.changed(call.organization, task, call.member)
    return Answer(status=204)


@routes.add("POST", f"{ORG}/tasks/{{}}/resolved-threads")
def resolve(call: Call) -> Answer:
    """Resolve an issue of a task."""
    task = call.organization.find_task(call.ids[1])
    thread = task_work.resolve_thread(call.organization, task, call.member, call.json.get("thread_id"))
    return Answer({"data": call.serializer.thread(thread)})


def _complete(call: Call, task: Task) -> Answer:
    organization, body = call.organization, call.json
    approve = completer = None
    if body.get("is_approved") is not None:
        approve = forms.a_bool("is_approved", body["is_approved"])
    if body.get("override_user") is not None:
        completer = forms.member_of(organization, "override_user", body["override_user"])
    task_work.complete_task(organization, task, call.member, approve=approve, completer=completer)
    return Answer({"data": {**call.serializer.task(task, single=True), "tasks_changed_by_rules": []}})


def _reopen(call: Call, task: Task) -> Answer:
    task_work.reopen_task(call.organization, task, call.member)
    return Answer({"data": {**call.serializer.task(task, single=True), "tasks_changed_by_rules": []}})


def _update(call: Call, task: Task) -> Answer:
    body = call.json
    task_work.about_to_change(call.organization, task_work.unlocked(call.organization, task))
    if task.done:
        raise invalid("task", "A completed task cannot be updated.")
    changes: dict[str, Any] = {}
    for name, limit in (("title", 600), ("summary", None), ("webhook", None)):
        if body.get(name) is not None:
            changes[name] = forms.a_text(name, body[name], limit)
    for name in ("deadline", "started_at"):
        if body.get(name) is not None:
            changes[name] = forms.moment_of(name, body[name])
    for name in ("position", "max_assignable"):
        if body.get(name) is not None:
            if type(body[name]) is not int:
                raise invalid(name, f"The {name} must be an integer.")
            changes[name] = body[name]
    if body.get("top_secret") is not None:
        changes["top_secret"] = forms.a_bool("top_secret", body["top_secret"])
    fields = task.step.fields if task.step else []
    answers = body.get("taskdata") or {}
    if not isinstance(answers, dict):
        raise invalid("taskdata", "The taskdata must be an object.")
    known = {item.id for item in fields}
    answers = {key: value for key, value in answers.items() if key in known}
    forms.check_answers(call.organization, fields, answers)
    if body.get("owners") is not None:
        _set_owners(call, task, body["owners"])
    for name, value in changes.items():
        setattr(task, name, value)
    task.taskdata.update(answers)
    run = task_work.changed(call.organization, task, call.member)
    verb = "owners-updated" if set(body) == {"owners"} else "updated"
    call.organization.log(verb, call.member, run, "task", task.id, f"Updated task: {task.title}")
    return _one(call, task)


def _thread(call: Call, label: str) -> Answer:
    task = call.organization.find_task(call.ids[1])
    state = str(call.json.get("state") or "")
    thread = task_work.add_thread(call.organization, task, call.member, call.json.get("content"), label, state)
    return Answer({"data": call.serializer.thread(thread)}, 201)


def _set_owners(call: Call, task: Task, owners: Any) -> None:
    """A partial ``owners`` empties the buckets that it leaves out."""
    given = forms.owners_of(call.organization, "owners", owners)
    task.users, task.guests, task.groups = given["users"], given["guests"], given["groups"]


def _one(call: Call, task: Task, status: int = 200) -> Answer:
    return Answer({"data": call.serializer.task(task, call.with_, single=True)}, status)


def _page(call: Call, tasks: Sequence[Task], default_status: str = "all") -> Answer:
    wanted = call.query.get("status", default_status).replace("_", "-")
    rows = [task for task in tasks if _has_status(task, wanted)]
    for name in ("owners", "groups", "guests"):
        if ids := {part for part in call.query.get(name, "").split(",") if part}:
            bucket = "users" if name == "owners" else name
            rows = [task for task in rows if not ids.isdisjoint(map(str, getattr(task, bucket)))]
    if call.flag("unassigned"):
        rows = [task for task in rows if not (task.users or task.groups or task.guests)]
    sort = call.query.get("sort", "")
    if sort.lstrip("-") in ("position", "deadline"):
        rows.sort(key=lambda task: getattr(task, sort.lstrip("-")) or 0, reverse=sort.startswith("-"))
    return page(call, rows, lambda task: call.serializer.task(task, call.with_))


def _has_status(task: Task, wanted: str) -> bool:
    if wanted in ("complete", "completed"):
        return task.done
    if wanted in ("active", "active-visible", "incomplete", "inprogress", "in-progress"):
        return not task.done
    if wanted in ("hasproblem", "has-problem"):
        return task.problem
    return task.status == wanted if wanted == "not-started" else wanted not in ("overdue", "due-soon")


def _all_tasks(call: Call) -> list[Task]:
    organization = call.organization
    tasks = [task for task in organization.one_off_tasks.values() if task.archived_at is None]
    for run in map(organization.as_read, organization.runs.values()):
        if run is not None and run.archived_at is None:
            tasks += [task for task in organization.tasks_of(run).values() if task.archived_at is None]
    return tasks


def _task_id(call: Call) -> str:
    task_id = call.json.get("task_id")
    if not isinstance(task_id, str) or not task_id:
        raise invalid("task_id", "The task id field is required.")
    return task_id


def _find_thread(task: Task, thread_id: str) -> Thread:
    for thread in task.threads:
        if thread.id == thread_id:
            return thread
    raise not_found()
