"""Whom everybody waits for: open tasks and their owners, and what scripted people are about to do."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest

from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages.fragments import person, tasks_shown
from airflow_provider_tallyfy.sandbox.pages.markup import Html, el, join, name, row, table
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.script import ScriptedAct, find_task, who

#: Runs that the overview names; an organization may wait for thousands.
RUNS = 5
#: Tasks that it names of each.
TASKS = 3
_SAYING = {
    "complete": "completes",
    "approve": "approves",
    "reject": "rejects",
    "fill": "fills in",
    "comment": "comments on",
    "raise_issue": "raises an issue on",
    "resolve_issues": "resolves the issues of",
    "reopen": "reopens",
    "skip": "A rule hides",
    "complete_run": "completes the run",
    "archive": "archives the run",
    "auto_archive": "The auto-archive bot archives the run",
    "activate": "activates the run",
    "delete": "deletes the run",
    "submit_kickoff": "submits the kick-off form",
    "reopen_kickoff": "reopens the kick-off form",
}
_NOBODY = ("skip", "auto_archive")


def awaited_runs(organization: Organization, people: People, address: str) -> Html:
    """The runs that wait for somebody: those that scripted people turn to next, then the newest.

    :param address: of a run's page, with ``{}`` for its id.
    """
    to_come: dict[str, list[ScriptedAct]] = defaultdict(list)
    for act in people.to_come:
        if act.run_id in organization.runs:
            to_come[act.run_id].append(act)
    chosen = [organization.runs[run_id] for run_id in list(to_come)[:RUNS]]
    waiting = [run for run in organization.runs.values() if run.archived_at is None and run.status != "complete"]
    chosen += nlargest(
        RUNS - len(chosen), (run for run in waiting if run.id not in to_come), key=lambda run: run.created_at
    )
    items = []
    for run in chosen:
        link = el("a", name(run.name), href=address.format(run.id))
        tasks = _open_tasks(organization, run)
        shown = [join([name(title), ": ", owners]) for title, owners in tasks[:TASKS]]
        if len(tasks) > TASKS:
            shown.append(Html(f"and {len(tasks) - TASKS} more"))
        lines = [el("small", line, class_="under") for line in shown]
        lines += [el("small", _act(organization, people, act), class_="under good") for act in to_come[run.id][:TASKS]]
        items.append(el("li", link, *lines))
    total = len(waiting) + sum(run.status == "complete" or run.archived_at is not None for run in chosen)
    more = f"{len(chosen)} of {total} runs" if total > len(chosen) else None
    head = el("h2", "Awaited ", el("small", more), id="awaited")
    return join([head, el("ol", *items) if items else el("p", "Nobody is waited for.", class_="empty")])


def awaited_people(organization: Organization, people: People, run: Run) -> Html:
    """The people whom one run waits for, and what is about to happen to it."""
    tasks = [] if run.archived_at is not None else _open_tasks(organization, run)
    acts = [act for act in people.to_come if act.run_id == run.id]
    if not tasks and not acts:
        return el("p", "Nobody.", class_="empty")
    heads = ("Task", "Waits for")
    rows = [row(heads, (name(title), owners)) for title, owners in tasks]
    shown = [el("li", _act(organization, people, act)) for act in acts]
    return join(
        [
            table("Open tasks", heads, rows) if rows else None,
            el("p", "Scripted people will do this:") if shown else None,
            el("ul", *shown) if shown else None,
        ]
    )


def _open_tasks(organization: Organization, run: Run) -> list[tuple[str, Html]]:
    """Title and owners of every task that somebody has still to do."""
    found = []
    for title, state, users, task in tasks_shown(organization, run):
        if state in ("completed", "auto-skipped"):
            continue
        owners = [person(organization, user) for user in users]
        step = task.step if task is not None else next((one for one in run.steps if one.title == title), None)
        _, guests, groups = ([], task.guests, task.groups) if task else run.owners_of(step) if step else ([], [], [])
        owners += [name(guest) for guest in guests]
        owners += [name(organization.groups[key].name) for key in groups if key in organization.groups]
        found.append((title, join(owners, ", ") or Html("nobody in particular")))
    return found


def _act(organization: Organization, people: People, act: ScriptedAct) -> Html:
    """What somebody is about to do, and when: ``Maya Fischer approves "Go-live" in 4 s``."""
    told, run = act.instruction, organization.runs[act.run_id]
    saying = _SAYING[told.act]
    if told.act in _NOBODY:
        doer = None
    else:
        task = None
        # Looking must not make tasks that nobody has asked the API for.
        if told.task is not None and run.tasks is not None:
            titles = [(one.id, one.title, one.step.alias if one.step else None) for one in run.tasks.values()]
            task = find_task(organization, run, told.task) if any(told.task in one for one in titles) else None
        doer = join([name(who(organization, run, task, told.act, told.by).full_name), " "])
    about = join([" ", name(f'"{told.task}"')]) if told.task else Html(" the run") if saying.endswith(" on") else None
    if act.polls is not None:
        when = f" before poll {act.polls} from now"
    else:
        when = f" in {max(0.0, (act.due or 0.0) - people.now()):.0f} s"
    return join([doer, saying, about, when])
