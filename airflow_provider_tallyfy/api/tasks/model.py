"""Read a task, which is the object that Tallyfy returns, and check the arguments of a change."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_rendered, check_text, is_absent, show
from airflow_provider_tallyfy.api.protocol.messages import related

Task = dict[str, Any]

APPROVAL = "approval"
#: Types of tasks that complete themselves after their deadline. Tallyfy records a rejection of one as "expired".
EXPIRING = frozenset({"expiring", "expiring_email"})
#: The statuses by which Tallyfy filters a list of tasks.
STATUSES = (
    *("complete", "active", "active_visible", "incomplete", "inprogress", "not-started"),
    *("hasproblem", "overdue", "due_soon"),
)
TITLE_LIMIT = 600  # characters
_COMPLETE = frozenset({"completed", "complete"})
_LABEL_OF_ISSUES = "problem"


def complete_state(task: Mapping[str, Any]) -> bool | None:
    """Return whether the task is complete; ``None`` if it does not show that.

    Reopening clears ``completed_at``, so either of ``completed_at`` and ``status`` is enough.
    """
    if _status(task) in _COMPLETE or task.get("completed_at"):
        return True
    return False if "completed_at" in task or task.get("status") is not None else None


def is_complete(task: Mapping[str, Any]) -> bool:
    """Return whether the task shows that it is complete."""
    return complete_state(task) is True


def is_skipped(task: Mapping[str, Any]) -> bool:
    """Return whether a rule of the template hides the task. Such a task can't be completed."""
    return _status(task).startswith("auto-skipped")


def kind_of(task: Mapping[str, Any]) -> str:
    """Return the task's type, such as ``task`` or ``approval``; empty if it does not show one."""
    kind = task.get("task_type")
    return kind.lower() if isinstance(kind, str) else ""


def decision(task: Mapping[str, Any]) -> bool | None:
    """Return whether a complete approval was approved; ``None`` = it does not show the decision.

    Open tasks have ``is_approved: false`` too, so the result means nothing for a task that is not complete.
    """
    value = task.get("is_approved")
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(text)


def describe(task: Mapping[str, Any]) -> str:
    """Return the task's title and id, for log lines and errors."""
    title = task.get("title")
    identity = str(task.get("id", "?"))
    return f"{title!r} ({identity})" if isinstance(title, str) and title else identity


def included(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]] | None:
    """Return the objects of an included relation; ``None`` = it is not included."""
    rows = related(value.get(name))
    return None if rows is None else [row for row in rows if isinstance(row, Mapping)]


def open_issues(task: Mapping[str, Any]) -> list[str]:
    """Return the texts of the task's open issues; ``"an issue"`` for an issue whose text Tallyfy does not show."""
    found = [
        plain(thread.get("content")) or "an issue"
        for thread in included(task, "threads") or []
        if thread.get("label") == _LABEL_OF_ISSUES and not thread.get("resolved")
    ]
    return found or (["an issue"] if task.get("problem") is True else [])


def stored_answers(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers in the task's form, by field id."""
    found = {
        str(row["id"]): row["value"]
        for row in included(task, "form_fields") or []
        if row.get("id") is not None and row.get("value") is not None
    }
    taskdata = task.get("taskdata")
    if isinstance(taskdata, Mapping):
        found.update({str(key): value for key, value in taskdata.items() if value is not None})
    return found


def plain(content: object) -> str:
    """Return the text of a comment, without the mark-up of Tallyfy's editor."""
    text = html.unescape(re.sub(r"<[^<>]*>", " ", content)) if isinstance(content, str) else ""
    return " ".join(text.split())


def check_task(argument: str, value: object) -> str:
    """Return ``value`` if it can be the id, title or alias of a task.

    :raises ArgumentError: for anything else.
    """
    if isinstance(value, Mapping) and "id" in value:
        raise ArgumentError(f"{argument}={show(value)} is a whole object. Pass its id: row['id'].")
    text = check_text(argument, value).strip()
    if is_absent(text):
        raise ArgumentError(
            f"{argument}={show(value)} is not the id, title or alias of a task. If it comes from XCom "
            "or a template, the upstream task returned nothing."
        )
    check_rendered(argument, text)
    if len(text) > TITLE_LIMIT:
        raise ArgumentError(f"{argument} has {len(text)} characters; a task's title has at most {TITLE_LIMIT}.")
    return text


def check_approve(argument: str, value: object) -> bool | None:
    """Return ``True``, ``False`` or ``None``.

    :raises ArgumentError: for anything else. Text is refused, because the text "False" counts as true in Python.
    """
    if value is None or isinstance(value, bool):
        return value
    raise ArgumentError(f"{argument}={show(value)} is not True (approve), False (reject) or None (no approval).")


def check_comment(argument: str, value: object) -> str | None:
    """Return the text of a comment; ``None`` and blank text = no comment.

    :raises ArgumentError: for anything else.
    """
    if value is None:
        return None
    text = check_text(argument, value).strip()
    check_rendered(argument, text)
    return None if is_absent(text) else text


def _status(task: Mapping[str, Any]) -> str:
    """Return the status; Tallyfy spells some statuses in several ways."""
    return str(task.get("status") or "").lower().replace("_", "-")
