"""Find a task of a run by id, title or alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints import tasks as task_endpoints
from airflow_provider_tallyfy.api.forms.fields import text_of
from airflow_provider_tallyfy.api.names import choose as choose_by_name
from airflow_provider_tallyfy.api.protocol.arguments import check_id
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.runs import read as run_reading
from airflow_provider_tallyfy.api.runs.model import archived_state, describe
from airflow_provider_tallyfy.api.tasks.model import Task, check_task
from airflow_provider_tallyfy.api.titles import looks_like_id


def find(org: str, run_id: str, name: str, *, include: Iterable[str] = ()) -> Flow[Task]:
    """Read a task of a run: by id, it is one request; by title or alias, it reads all tasks of the run.

    :param name: the task's id, title or alias. Letter case counts only if several tasks differ in nothing else.
    :param include: relations to return with the task.
    :raises ArgumentError: if no task of the run has the name (with the nearest titles), or several have it.
    :raises Rejected: if the run or the task does not exist, or the run is archived.
    """
    check_id("run_id", run_id)
    name = check_task("task", name)
    include = tuple(include)
    if looks_like_id(name):
        exchange = yield task_endpoints.get_task(org, run_id, name, include)
        if exchange.ok:
            return _check_run(exchange, run_id)
        if exchange.status not in run_reading.GONE:
            reject(exchange)
        raise (yield from _why_missing(org, run_id, name, exchange))
    walk = Walk(task_endpoints.list_tasks(org, run_id, include))
    rows: list[Task] = []
    while (request := walk.next_request) is not None:
        exchange = yield request
        if exchange.status in run_reading.GONE:
            raise (yield from _why_missing(org, run_id, None, exchange))
        rows += walk.take(exchange)
    if not rows:
        raise (yield from _why_missing(org, run_id, None, exchange))
    return choose(run_id, rows, name)


def list_all(org: str, run_id: str, *, include: Iterable[str] = ()) -> Flow[list[Task]]:
    """Read all tasks of a run, in the order of its steps."""
    walk = Walk(task_endpoints.list_tasks(org, run_id, include))
    rows: list[Task] = []
    while walk.next_request is not None:
        rows += yield from read_page(walk)
    return rows


def choose(run_id: str, tasks: Iterable[Task], name: str) -> Task:
    """Return the task that a name means: by id, alias or title, in this order; then the same in any letter case.

    :raises ArgumentError: if no task has the name (with the nearest titles), or several have it (with their ids).
    """
    names = [_text_under(key) for key in ("id", "alias", "title")]
    return choose_by_name(
        "task",
        name,
        list(tasks),
        names,
        what="task",
        of=f" of the run {run_id}",
        identify=lambda task: f"{task['id']} (position {task.get('position')})",
    )


def _text_under(key: str) -> Callable[[Task], str]:
    return lambda task: text_of(task.get(key))


def _check_run(exchange: Exchange, run_id: str) -> Task:
    """Return the task in an answer.

    :raises Rejected: if it belongs to another run.
    """
    task: Task = exchange.value
    actual = task.get("run_id")
    if actual is not None and str(actual).casefold() != run_id.casefold():
        raise about(
            exchange.request,
            Kind.NOT_FOUND,
            f"{exchange.request.label}: the task {task['id']} belongs to the run {str(actual)[:40]}, not to {run_id}.",
            like=exchange,
        )
    return task


def _why_missing(org: str, run_id: str, task_id: str | None, exchange: Exchange) -> Flow[Rejected]:
    """Read the run, and return the error that says why a task, or every task of the run, is missing.

    :param task_id: the task; ``None`` = all tasks of the run.
    """
    state = yield from run_reading.require(org, run_id)
    if state.archived:
        return archived_run_error(exchange.request, state.run, exchange)
    run = describe(state.run)
    if task_id is not None:
        text = f"The run {run} has no task {task_id}. It may have been deleted, or belong to another run."
        return about(exchange.request, Kind.NOT_FOUND, text, like=exchange)
    text = (
        f"Tallyfy returned no tasks of the run {run}. If it was launched a moment ago, it may not show them yet: a "
        "retry reads them again."
    )
    return about(exchange.request, Kind.SERVER, text, like=exchange)


def archived_run_error(request: Request, run: Mapping[str, Any], exchange: Exchange | None = None) -> Rejected:
    """Return the error for a task whose run is archived."""
    text = f"The run {describe(run)} is archived, so its tasks can't change. Activate it first."
    return about(request, Kind.ARCHIVED, text, like=exchange)


def archived_run_of(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the run that is included in a task if it is archived; otherwise ``None``."""
    run = task.get("run")
    run = run.get("data", run) if isinstance(run, Mapping) else None
    return run if isinstance(run, Mapping) and archived_state(run) else None
