"""What the pages say about people, moments and states."""

from __future__ import annotations

import re
import time

from airflow_provider_tallyfy.sandbox.models import Event, Run, Tag, Task
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages.markup import NOTHING, Html, dot, el, name
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord

STATES = ("active", "complete", "delayed", "problem", "issue", "archived")
_TOKEN = re.compile(r"sandbox-(admin|standard|light)-[0-9a-f]{40}")
_ID = re.compile(r"[0-9a-f]{32}")
_UNITS = ((86400 * 2, 86400, "days"), (3600, 3600, "h"), (60, 60, "min"), (0, 1, "s"))


def state_of(run: Run) -> str:
    """The state that counts: archived, or what it is."""
    return "archived" if run.archived_at is not None else run.status


def badge(run: Run) -> Html:
    """The state."""
    state = state_of(run)
    return el("span", state, class_=f"badge {state}" if state in STATES else "badge")


def since(moment: float, now: float) -> str:
    """A span in one unit: ``35 days``, ``4 h``, ``12 s``."""
    seconds = max(0.0, now - moment)
    for least, unit, word in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)} {word}"
    return "0 s"


def when(moment: float | None, now: float, *, exact: bool = False) -> Html:
    """A moment: how long ago, and which.

    :param exact: show both; otherwise the moment itself is in the tooltip.
    """
    if moment is None:
        return NOTHING
    utc = time.gmtime(moment)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", utc)
    age = f"in {since(now, moment)}" if moment > now + 1 else f"{since(moment, now)} ago"
    machine = time.strftime("%Y-%m-%dT%H:%M:%SZ", utc)
    if exact:
        return el("time", f"{stamp} ", el("small", f"({age})"), datetime=machine)
    return el("time", age, datetime=machine, title=stamp)


def person(organization: Organization, member_id: int | None) -> Html:
    """A member by name; one that is gone by number."""
    if member_id is None:
        return NOTHING
    member = organization.members.get(member_id)
    return name(f"#{member_id}" if member is None else member.full_name or member.email)


def doer(organization: Organization, event: Event) -> Html:
    """Who did something: a member by name, a guest by address."""
    return name(event.guest) if event.guest else person(organization, event.actor_id)


def caller(organization: Organization, authorization: str | None) -> Html:
    """Whom a request's token belongs to. The token itself goes nowhere."""
    if not authorization:
        return Html("no token")
    member_id = organization.tokens.get(authorization.removeprefix("Bearer "))
    return Html("unknown token") if member_id is None else person(organization, member_id)


def tag_list(organization: Organization, run: Run) -> Html:
    """The run's tags, each with its spot of colour."""
    tags: list[Tag] = [organization.tags[tag_id] for tag_id in run.tags if tag_id in organization.tags]
    items = [el("li", dot(tag.color), name(tag.title)) for tag in tags]
    return el("ul", *items, class_="tags") if items else NOTHING


def progress(organization: Organization, run: Run) -> Html:
    """Tasks done, as a bar and in words; of an archived run, what it was before."""
    done, total = organization.progress(run)
    if run.archived_at is not None:
        return el("span", f"was {run.status}, {done} of {total}", class_="progress")
    bar = el("progress", value=done, max=max(total, 1), aria_hidden="true")
    return el("span", bar, f"{done} of {total} tasks", class_="progress")


def happened(event: Event) -> Html:
    """What an entry of the activity feed says, in a few words."""
    verbs = {"unarchived": "activated", "issue-reported": "issue reported", "issue-resolved": "issue resolved"}
    return name(event.description if event.verb in ("linked", "unlinked") else verbs.get(event.verb, event.verb))


def started_at(record: RequestRecord) -> float:
    """When a request came, in seconds since the epoch."""
    return record.received_at + (time.time() - time.monotonic())


def tasks_shown(organization: Organization, run: Run) -> list[tuple[str, str, list[int], Task | None]]:
    """Title, state and assignees of the run's tasks, without making tasks that nobody has asked the API for.

    Making them takes ids from the sandbox's supply: with a seed, what comes later would depend on who looked.
    """
    if run.tasks is not None:
        tasks = [task for task in run.tasks.values() if task.archived_at is None]
        return [(task.title, task.status, task.users, task) for task in sorted(tasks, key=lambda task: task.position)]
    shown: list[tuple[str, str, list[int], Task | None]] = []
    for number, step in enumerate(run.steps):
        state = "completed" if number < run.done else "active" if number == run.done else "not-started"
        shown.append((step.title, state, run.owners_of(step)[0], None))
    return shown


def short(text: str) -> str:
    """A path whose ids are cut to what tells them apart."""
    return _ID.sub(lambda match: match[0][:8] + "…", text)


def without_tokens(page: str) -> str:
    """A page in which no token is left, wherever it may have come from: a request's query, a run's name."""
    return _TOKEN.sub("***", page)
