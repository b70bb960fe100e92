"""Comment on a task once. Tallyfy accepts 120 comments per hour and organization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints import tasks as task_endpoints
from airflow_provider_tallyfy.api.once import read_until
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs.read import describe_reply
from airflow_provider_tallyfy.api.tasks.model import Task, check_comment, included, plain
from airflow_provider_tallyfy.api.timestamps import instant

Comment = dict[str, Any]


def comment(org: str, task_id: str, content: str) -> Flow[Comment]:
    """Write a comment on a task. The task is read first, so that a read after a lost answer shows a new comment.

    :raises ArgumentError: for a comment without text.
    :raises Rejected: for Tallyfy's own errors; ``UNREPEATABLE`` if it is unknown whether the comment was written.
    """
    check_id("task_id", task_id)
    text = check_comment("content", content)
    if text is None:
        raise ArgumentError(f"content={show(content)}: a comment needs text.")
    read = task_endpoints.get_any_task(org, task_id, ("threads",))
    before = comment_ids((yield from ask(read)))
    return (yield from post(org, task_id, text, read, before, Kind.UNREPEATABLE))


def post(
    org: str, task_id: str, text: str, read: Request, before: frozenset[str] | None, in_doubt: Kind
) -> Flow[Comment]:
    """Write a comment. After a lost answer, a read decides: a new comment with this text is ours.

    :param read: the read of the task with its comments.
    :param before: the ids of its comments before; ``None`` = Tallyfy did not return them, so new ones are unknown.
    :param in_doubt: the kind of the error if it is unknown whether the comment was written.
    """
    exchange = yield task_endpoints.comment_on_task(org, task_id, text)
    answer: Comment = (exchange.value if exchange.ok else None) or {}
    if answer.get("content") and plain(answer["content"]) == plain(text):
        return answer
    if not exchange.ok and not exchange.maybe_done:
        reject(exchange)

    def ours(task: Mapping[str, Any]) -> list[Comment]:
        """Return the new comments with this text, or with the id in the answer if Tallyfy changed the text."""
        rows = [] if before is None else [dict(row) for row in included(task, "threads") or []]
        fresh = [row for row in rows if str(row.get("id")) not in (before or ())]
        return [
            row for row in fresh if plain(row.get("content")) == plain(text) or row.get("id") == answer.get("id", "")
        ]

    found = yield from read_until(read, exchange, lambda task: bool(ours(task)))
    if found.ok and (rows := ours(found.value)):
        return rows[-1]
    raise about(exchange.request, in_doubt, _doubtful(exchange, in_doubt), like=exchange)


def was_written(task: Task, text: str) -> bool | None:
    """Return whether this comment was written since the task was completed; ``None`` = Tallyfy returned no comments.

    An older comment belongs to an earlier completion, after which the task was reopened.
    """
    if included(task, "threads") is None:
        return None
    completed = instant(task.get("completed_at"))
    for row in comments_with(task, text):
        created = instant(row.get("created_at"))
        if completed is None or created is None or created >= completed:
            return True
    return False


def comments_with(task: Mapping[str, Any], text: str) -> list[Comment]:
    """Return the task's comments with this text, whatever its mark-up."""
    wanted = plain(text)
    return [dict(row) for row in included(task, "threads") or [] if plain(row.get("content")) == wanted]


def comment_ids(task: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the ids of the task's comments; ``None`` = Tallyfy did not return them."""
    rows = included(task, "threads")
    return None if rows is None else frozenset(str(row.get("id")) for row in rows)


def _doubtful(exchange: Exchange, in_doubt: Kind) -> str:
    text = f"{exchange.request.label}: the comment may or may not have been written ({describe_reply(exchange)}): a "
    text += "read does not show it. "
    if in_doubt is Kind.UNREPEATABLE:
        return text + "Look at the task before you write it again."
    return text + "A retry is harmless, because it reads first: let the task retry, or run it again."
