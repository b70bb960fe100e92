"""Finding things by their text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.refusal import invalid
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"


@routes.add("GET", f"{ORG}/search")
def search(call: Call) -> Answer:
    """``GET /search?on=process,task&search=...``: a page of each kind that is named, under its name."""
    kinds = [kind.strip() for kind in call.query.get("on", "").split(",")]
    if unknown := [kind for kind in kinds if kind not in SEARCHES]:
        raise invalid("on", f"The selected on is invalid: {unknown[0]}.")
    text = call.query.get("search", "").lower()
    return Answer({kind: page(call, SEARCHES[kind](call, text), dict, default=20).data for kind in kinds})


def _runs(call: Call) -> list[Run]:
    """The runs that are not archived, as the replica has them."""
    shown = map(call.organization.as_read, call.organization.runs.values())
    return [run for run in shown if run is not None and run.archived_at is None]


def _processes(call: Call, text: str) -> list[dict[str, Any]]:
    keys = ("id", "increment_id", "name", "status", "type", "due_date_passed", "due_soon")
    runs = [run for run in _runs(call) if text in run.name.lower()]
    rows = [call.serializer.run(run) for run in runs]
    return [{key: row[key] for key in keys if key in row} for row in rows]


def _blueprints(call: Call, text: str) -> list[dict[str, Any]]:
    templates = call.organization.templates.values()
    found = [template for template in templates if template.archived_at is None and text in template.title.lower()]
    return [{"id": template.id, "title": template.title, "steps_count": len(template.steps)} for template in found]


def _tasks(call: Call, text: str) -> list[dict[str, Any]]:
    return [
        # No run_id: the search does not give it.
        {"id": task.id, "increment_id": task.increment_id, "name": task.title, "status": task.status}
        for run in _runs(call)
        for task in call.organization.tasks_of(run).values()
        if text in task.title.lower()
    ]


def _nothing(call: Call, text: str) -> list[dict[str, Any]]:
    return []


SEARCHES: dict[str, Callable[[Call, str], list[dict[str, Any]]]] = {
    "process": _processes,
    "blueprint": _blueprints,
    "task": _tasks,
    "snippet": _nothing,
    "capture": _nothing,
    "step": _nothing,
}
