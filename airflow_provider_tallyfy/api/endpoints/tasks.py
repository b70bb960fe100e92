"""Tasks of runs: the steps that people complete, and the form fields that they fill in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, csv, organization
from airflow_provider_tallyfy.api.protocol.arguments import check_id, check_texts
from airflow_provider_tallyfy.api.protocol.messages import Param, Request


def list_tasks(org: str, run_id: str, include: Iterable[str] = (), status: str | None = None) -> Request:
    """List the tasks of a run, in the order of its steps."""
    wanted = csv(check_texts("include", include))
    params: tuple[tuple[str, Param], ...] = (("with", wanted),) if wanted else ()
    params += (("status", status),) if status is not None else ()
    path = organization(org, "runs", check_id("run_id", run_id), "tasks")
    return Request("GET", path, (*params, ("sort", "position"), ("per_page", PAGE_SIZE)), expects="list")


def get_task(org: str, run_id: str, task_id: str, include: Iterable[str] = ()) -> Request:
    """Read a task of a run."""
    wanted = csv(check_texts("include", include))
    path = organization(org, "runs", check_id("run_id", run_id), "tasks", check_id("task_id", task_id))
    return Request("GET", path, (("with", wanted),) if wanted else (), expects="object", identity=task_id)


def get_any_task(org: str, task_id: str, include: Iterable[str] = ()) -> Request:
    """Read a task without naming its run. It may be a one-off task, which has no run."""
    wanted = csv(check_texts("include", include))
    path = organization(org, "tasks", check_id("task_id", task_id))
    return Request("GET", path, (("with", wanted),) if wanted else (), expects="object", identity=task_id)


def update_task(org: str, run_id: str, task_id: str, body: Mapping[str, Any]) -> Request:
    """Write fields of a task. Tallyfy silently drops unknown keys of ``taskdata``."""
    path = organization(org, "runs", check_id("run_id", run_id), "tasks", check_id("task_id", task_id))
    return Request("PUT", path, json=dict(body), expects="object", identity=task_id)


def complete_task(org: str, run_id: str, task_id: str, is_approved: bool | None = None) -> Request:
    """Complete a task. Never repeat this request: completing a task twice notifies everybody twice."""
    body: dict[str, Any] = {"task_id": check_id("task_id", task_id)}
    if is_approved is not None:
        body["is_approved"] = is_approved
    path = organization(org, "runs", check_id("run_id", run_id), "completed-tasks")
    return Request("POST", path, json=body, expects="object", identity=task_id)


def reopen_task(org: str, run_id: str, task_id: str) -> Request:
    """Reopen a completed task; its run becomes active again."""
    path = organization(org, "runs", check_id("run_id", run_id), "completed-tasks", check_id("task_id", task_id))
    return Request("DELETE", path, expects="object", identity=task_id)


def comment_on_task(org: str, task_id: str, content: str) -> Request:
    """Write a comment on a task. Tallyfy accepts 120 comments per hour and organization."""
    path = organization(org, "tasks", check_id("task_id", task_id), "comment")
    return Request("POST", path, json={"content": content}, expects="object")
