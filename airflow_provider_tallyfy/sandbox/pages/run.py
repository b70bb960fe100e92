"""The page of one run, where "Open in Tallyfy" leads to."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from airflow_provider_tallyfy.sandbox.models import FormField, Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages.awaited import awaited_people
from airflow_provider_tallyfy.sandbox.pages.fragments import (
    badge,
    caller,
    doer,
    happened,
    person,
    progress,
    short,
    started_at,
    tag_list,
    tasks_shown,
    when,
)
from airflow_provider_tallyfy.sandbox.pages.markup import NOTHING, Html, el, join, name, row, table
from airflow_provider_tallyfy.sandbox.pages.overview import answered, authorization
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord

#: Entries of the history that are shown; a poll every second would otherwise bury the page.
HISTORY = 100


def changing_part(organization: Organization, people: People, records: Sequence[RequestRecord], run: Run) -> Html:
    """Everything below the banner: all of it may change while somebody looks."""
    now = time.time()
    return join(
        [
            el("p", el("a", "All runs", href="/"), class_="back"),
            el("h1", name(run.name)),
            el("p", badge(run), progress(organization, run), class_="state"),
            el("p", name(run.summary), class_="summary") if run.summary else None,
            _section("Fields", _fields(organization, run, now)),
            _section("Kick-off form", _kickoff(organization, run, now)),
            _section("Tasks", _tasks(organization, run, now)),
            _section("Awaited", awaited_people(organization, people, run)),
            _section("People and places", _relations(organization, run)),
            _section("Comments and issues", _threads(organization, run, now)),
            _section("History", _history(organization, records, run, now)),
        ]
    )


def _section(title: str, content: Html) -> Html:
    slug = title.split(maxsplit=1)[0].lower()
    return el("section", el("h2", title, id=slug), content, aria_labelledby=slug)


def _fields(organization: Organization, run: Run, now: float) -> Html:
    pairs: list[tuple[str, Html | str | int]] = [
        ("Run id", el("code", run.id)),
        ("Number", run.increment_id),
        ("Template", name(run.template.title)),
        ("Owner", join([person(organization, run.owner_id), el("small", f" {run.owner_id}")])),
        ("Started by", person(organization, run.started_by)),
        ("Created", when(run.created_at, now, exact=True)),
        ("Last updated", when(run.last_updated, now, exact=True)),
        ("Completed", when(run.completed_at, now, exact=True)),
        ("Archived", when(run.archived_at, now, exact=True)),
        ("Starred", _yes(run.starred)),
        ("Public", _yes(run.is_public)),
    ]
    if run.due_date is not None:
        pairs.append(("Due", when(run.due_date, now, exact=True)))
    if run.publicly_hidden_fields:
        pairs.append(("Hidden from the public", name(_text(run.publicly_hidden_fields))))
    if run.parent_id:
        pairs.append(("Parent run", name(_text(run.parent_id))))
    return el("dl", *(el("div", el("dt", term), el("dd", value)) for term, value in pairs))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _kickoff(organization: Organization, run: Run, now: float) -> Html:
    form: list[tuple[str, Any]] = [(item.label, run.prerun.get(item.id)) for item in run.template.kickoff]
    known = {item.id for item in run.template.kickoff}
    form += [(key, value) for key, value in run.prerun.items() if key not in known]
    if run.prerun_completed_at is None:
        state = Html("Not submitted.")
    else:
        who = person(organization, run.prerun_completed_by)
        state = join(["Submitted ", when(run.prerun_completed_at, now), " by ", who, "."])
    if not form:
        return el("p", "This template asks nothing at the start. ", state)
    heads = ("Question", "Answer")
    rows = [row(heads, (name(label), name(_text(value)))) for label, value in form]
    return join([el("p", state), table("Kick-off answers", heads, rows)])


def _tasks(organization: Organization, run: Run, now: float) -> Html:
    heads = ("Task", "State", "Assignees", "Completed", "Answers")
    rows = []
    for title, state, users, task in tasks_shown(organization, run):
        done = NOTHING
        if task is not None and task.completed_at is not None:
            by = Html("a guest") if task.completer_id is None else person(organization, task.completer_id)
            done = join([when(task.completed_at, now), " by ", by])
        elif task is None and state == "completed":
            done = join([when(run.completed_at or run.last_updated, now), " by ", person(organization, run.owner_id)])
        others = [*task.guests, *_names(organization.groups, task.groups)] if task is not None else []
        who = join([*(person(organization, user) for user in users), *(name(other) for other in others)], ", ")
        fields: list[FormField] = task.step.fields if task is not None and task.step is not None else []
        answers = {item.id: item.label for item in fields}
        given = [
            join([name(answers.get(key, key)), ": ", name(_text(value))])
            for key, value in (task.taskdata if task is not None else {}).items()
        ]
        if task is not None and task.done and task.is_approved is not None:
            state = "approved" if task.is_approved else "rejected"
        shown = el("span", "has a problem" if task is not None and task.problem else state.replace("-", " "))
        rows.append(row(heads, (name(title), shown, who or NOTHING, done, join(given, "; ") or NOTHING)))
    return table("Tasks in order", heads, rows) if rows else el("p", "It has no tasks.", class_="empty")


def _names(things: Any, ids: Sequence[str]) -> list[str]:
    return [things[identity].name if identity in things else identity for identity in ids]


def _relations(organization: Organization, run: Run) -> Html:
    def listed(values: Sequence[Html]) -> Html:
        return join(values, ", ") or NOTHING

    folders = [name(organization.folders[key].name) for key in run.folders if key in organization.folders]
    pairs = [
        ("Members", listed([person(organization, user) for user in run.users])),
        ("Groups", listed([name(title) for title in _names(organization.groups, run.groups)])),
        ("Tags", tag_list(organization, run)),
        ("Folders", listed(folders)),
    ]
    return el("dl", *(el("div", el("dt", term), el("dd", value)) for term, value in pairs))


def _threads(organization: Organization, run: Run, now: float) -> Html:
    places = [("the run", thread) for thread in run.threads]
    for task in (run.tasks or {}).values():
        places += [(task.title, thread) for thread in task.threads]
    if not places:
        return el("p", "None.", class_="empty")
    heads = ("Text", "Kind", "On", "Who", "When")
    rows = []
    for place, thread in places:
        kind = {"problem": "issue, resolved" if thread.resolved else "issue, open"}.get(thread.label, thread.label)
        who = person(organization, thread.author)
        rows.append(row(heads, (name(thread.content), kind, name(place), who, when(thread.created_at, now))))
    return table("Comments and issues", heads, rows)


def _history(organization: Organization, records: Sequence[RequestRecord], run: Run, now: float) -> Html:
    """What happened to the run, and every request that named it, newest first."""
    heads = ("What", "When", "Who")
    entries: list[tuple[float, int, Html]] = []

    def add(moment: float, order: int, kind: str, what: Html, who: Html) -> None:
        cells = (what, when(moment, now), who)
        entries.append((moment, order, row(heads, cells, class_=kind)))

    for event in organization.events.get(run.id, ()):
        what = el("b", happened(event))
        if event.entity_type == "task":
            what = el("b", name(event.description))
        elif event.entity_type != "run":
            what = join([what, ": ", name(event.description)])
        source = " (by API)" if event.source == "Webhook" else ""
        add(event.created_at, 1, "event", what, join([doer(organization, event), source]))
    body_id = run.id.encode()
    for record in records:
        if run.id in record.path or (record.method != "GET" and body_id in record.body):
            detail = name(short(record.raw_query) if record.raw_query else _sent(record))
            request = el("code", f"{record.method} {short(record.route)}")
            what = join([request, " ", answered(record), el("small", detail, class_="under") if detail else None])
            add(started_at(record), 0, "request", what, caller(organization, authorization(record)))
    entries.sort(key=lambda entry: entry[:2], reverse=True)
    left = len(entries) - HISTORY
    more = el("p", f"and {left} earlier entries", class_="empty") if left > 0 else None
    rows = (entry[2] for entry in entries[:HISTORY])
    return join([table("History, newest first", heads, rows), more])


def _sent(record: RequestRecord) -> str:
    """What a request wanted to write, cut short."""
    text = record.body.decode(errors="replace")
    return text if len(text) <= 300 else f"{text[:300]}…"


def _text(value: Any) -> str:
    """A value as a person would read it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False)
