"""The activity feed: what happened in the organization, for those who may know."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping

from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Event, Member, Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.refusal import forbidden, invalid
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
_DAY = 86400.0
_CATEGORIES = {"run": "process", "task": "task", "thread": "comment"}


@routes.add("GET", "/organizations/{}/activity-feeds")
def activity(call: Call) -> Answer:
    """``GET /activity-feeds``: newest first, 20 a page."""
    organization, query, behaviour = call.organization, call.query, call.behaviour
    if behaviour.feed == "forbidden":
        raise forbidden("You don't have access to the activity feed.")
    kind, entity = query.get("entity_type", ""), query.get("entity_id", "")
    everything = call.member.role == "admin" or call.member.support_bot
    run = organization.runs.get(entity) if kind == "run" else None
    if run is not None and not everything and not _may_see(organization, call.member, run):
        raise forbidden("You don't have access to the activity feed of this process.")

    since, until = _day(query, "created_after"), _day(query, "created_before")
    if until is not None:
        until += _DAY - 0.000_001
    if behaviour.feed_lag > 0:
        until = min(until or float("inf"), time.time() - behaviour.feed_lag)
    if behaviour.feed == "empty":
        events = []
    elif kind == "run" and entity:
        events = [one for one in organization.events.get(entity, ()) if _within(one, since, until)]
    else:
        events = organization.feed.between(since, until)
        if kind or entity:
            events = [one for one in events if one.entity_type == kind and entity in ("", one.entity_id)]
    events = _shown(call, _filtered(call, events), everything)
    if query.get("sort", "-created_at") != "created_at":
        events = events[::-1]
    return page(call, events, call.serializer.event, default=20)


def _within(event: Event, since: float | None, until: float | None) -> bool:
    return (since is None or since <= event.created_at) and (until is None or event.created_at <= until)


def _filtered(call: Call, events: list[Event]) -> list[Event]:
    """What the other parameters leave; each costs a look at every row only when it is sent."""
    query = call.query
    if verb := query.get("verb"):
        events = [event for event in events if event.verb == verb]
    if actor := query.get("actor_id"):
        events = [event for event in events if str(event.actor_id) == actor]
    if kind := query.get("actor_type"):
        events = [event for event in events if bool(event.guest) is (kind == "guest")]
    if email := query.get("actor_email", "").lower():
        members = {member.id for member in call.organization.members.values() if member.email.lower() == email}
        events = [event for event in events if event.actor_id in members or event.guest.lower() == email]
    if source := query.get("source"):
        events = [event for event in events if event.source == source]
    if category := query.get("type", "").lower():
        events = [event for event in events if _CATEGORIES[event.entity_type] == category]
    if field := query.get("field"):
        events = [event for event in events if event.field == field]
    if text := query.get("search", "").lower():
        if not 2 <= len(text) <= 100:
            raise invalid("search", "The search must be between 2 and 100 characters.")
        events = [event for event in events if text in event.description.lower()]
    return events


def _shown(call: Call, events: list[Event], everything: bool) -> list[Event]:
    """What the member may see, and what the switches do not hide."""
    organization, behaviour = call.organization, call.behaviour
    if not everything:
        # Nobody is told that there are others.
        runs = organization.runs
        mine = {key for key in {event.run_id for event in events} if key in runs}
        mine = {key for key in mine if _may_see(organization, call.member, runs[key or ""])}
        events = [event for event in events if event.run_id in mine]
    if every := behaviour.feed_missing_every:
        events = [event for event in events if event.id % every]
    if verbs := behaviour.feed_missing_verbs:
        events = [event for event in events if event.verb not in verbs]
    return events


def _may_see(organization: Organization, member: Member, run: Run) -> bool:
    """Whether a member who is no administrator is told about a run: its creator, its members, its assignees."""
    if member.id in (run.started_by, run.owner_id, *run.users):
        return True
    groups = {group.id for group in organization.groups.values() if member.id in group.members}
    tasks = organization.tasks_of(run).values()
    return any(member.id in task.users or not groups.isdisjoint(task.groups) for task in tasks)


def _day(query: Mapping[str, str], name: str) -> float | None:
    """The beginning of a day in UTC; of anything longer only the day counts."""
    if not (text := query.get(name, "")):
        return None
    try:
        day = datetime.date.fromisoformat(text[:10])
    except ValueError:
        raise invalid(name, f"The {name.replace('_', ' ')} does not match the format Y-m-d.") from None
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()
