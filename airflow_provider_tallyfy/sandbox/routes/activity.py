"""Finding things: the activity feed and the search."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Event, Run
from airflow_provider_tallyfy.sandbox.refusal import invalid
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"


@routes.add("GET", f"{ORG}/activity-feeds")
def activity(call: Call) -> Answer:
    """``GET /activity-feeds``: newest first, 20 a page."""
    organization, query = call.organization, call.query
    kind, entity = query.get("entity_type", ""), query.get("entity_id", "")
    run = organization.runs.get(entity) if kind == "run" else None
    if run is not None:
        events = [*_beginning(run), *organization.events.get(run.id, ())]
    else:
        everything = [event for events in organization.events.values() for event in events]
        events = [
            event
            for event in everything
            if (not kind or event.entity_type == kind) and (not entity or event.entity_id == entity)
        ]
    if verb := query.get("verb"):
        events = [event for event in events if event.verb == verb]
    if actor := query.get("actor_id"):
        events = [event for event in events if str(event.actor_id) == actor]
    if source := query.get("source"):
        events = [event for event in events if event.source == source]
    since, until = query.get("created_after"), query.get("created_before")
    if since or until:
        events = [event for event in events if (since or "") <= _day(event) <= (until or "9999")]
    events.sort(key=lambda event: (event.created_at, event.id), reverse=True)
    return page(call, events, call.serializer.event, default=20)


@routes.add("GET", f"{ORG}/search")
def search(call: Call) -> Answer:
    """``GET /search?on=process,task&search=...``: a page of each kind that is named, under its name."""
    kinds = [kind.strip() for kind in call.query.get("on", "").split(",")]
    if unknown := [kind for kind in kinds if kind not in SEARCHES]:
        raise invalid("on", f"The selected on is invalid: {unknown[0]}.")
    text = call.query.get("search", "").lower()
    return Answer({kind: page(call, SEARCHES[kind](call, text), dict, default=20).data for kind in kinds})


def _processes(call: Call, text: str) -> list[dict[str, Any]]:
    keys = ("id", "increment_id", "name", "status", "type", "due_date_passed", "due_soon")
    runs = [run for run in call.organization.runs.values() if run.archived_at is None and text in run.name.lower()]
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
        for run in call.organization.runs.values()
        if run.archived_at is None
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


def _beginning(run: Run) -> list[Event]:
    """Runs that the sandbox was filled with were created too, though by no request."""
    return [Event(run.increment_id, "created", run.started_by, run.id, "run", run.id, run.name, run.created_at)]


def _day(event: Event) -> str:
    return datetime.datetime.fromtimestamp(event.created_at, datetime.timezone.utc).strftime("%Y-%m-%d")
