"""Creates a run of a given age and state directly, without the requests that would have led to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.sandbox.models import Run, Template
from airflow_provider_tallyfy.sandbox.moments import Moment, seconds_since_epoch
from airflow_provider_tallyfy.sandbox.organization import Organization

DAY = 86400.0


def add_new_run(
    organization: Organization,
    name: str | None,
    *,
    template: str | None,
    status: str | None,
    owner_id: int | None,
    created_at: Moment | None,
    last_updated: Moment | None,
    completed_at: Moment | None,
    archived_at: Moment | None,
    days_old: float | None,
    unmodified_days: float | None,
    completed_days_ago: float | None,
    tags: Iterable[str],
    folders: Iterable[str],
    users: Iterable[int],
    groups: Iterable[str],
    prerun: Mapping[str, Any] | None,
    summary: str,
    starred: bool,
    archived: bool,
    done: int | None,
) -> Run:
    """Add a run to an organization. The arguments are those of :meth:`Sandbox.add_run`.

    :raises ValueError: if a time is given twice, or is before the creation of the run.
    """
    now = time.time()
    created = _one_of("created_at", created_at, "days_old", days_old, now)
    updated = _one_of("last_updated", last_updated, "unmodified_days", unmodified_days, now)
    completed = _one_of("completed_at", completed_at, "completed_days_ago", completed_days_ago, now)
    gone = None if archived_at is None else seconds_since_epoch("archived_at", archived_at, now)
    if status == "complete" and completed is None:
        completed = min(moment for moment in (updated, gone, now) if moment is not None)
    if completed is not None:
        status = "complete"
    happened = {"last_updated": updated, "completed_at": completed, "archived_at": gone}
    known = {field: moment for field, moment in happened.items() if moment is not None}
    if created is None:
        created = min([now, *known.values()])
    elif early := [field for field, moment in known.items() if moment < created]:
        raise ValueError(f"the run is created after its {early[0]}; make created_at (or days_old) earlier")
    if updated is None:
        # The last event, if there was one.
        updated = max([created, *known.values()])
    if gone is None and archived:
        gone = updated

    source = organization.templates[template] if template else organization.default_template()
    owner = owner_id or next(iter(organization.members))
    number = organization.next_number("increment")
    run = Run(
        organization.new_id(),
        number,
        source,
        name or f"{source.title} {number}",
        owner,
        owner,
        created,
        created,
        updated,
        source.steps,
        summary=summary,
        status=status or "active",
        done=_done(source, status, done),
        delayed=status == "delayed",
        completed_at=completed,
        archived_at=gone,
        prerun=_by_id(source, prerun or {}),
        prerun_completed_at=created,
        prerun_completed_by=owner,
        starred=starred,
        users=list(users),
        groups=list(groups),
    )
    if status == "issue":
        run.threads.append(organization.new_thread("Something is wrong here.", "problem", owner))
    organization.add_run(run)
    for tag_id in tags:
        organization.link_tag(run, tag_id)
    for folder_id in folders:
        organization.link_folder(run, folder_id)
    return run


def _one_of(name: str, moment: Moment | None, other: str, days: float | None, now: float) -> float | None:
    """Return the time from one of two arguments that may give it."""
    if moment is not None and days is not None:
        raise ValueError(f"give either {name} or {other}")
    if moment is not None:
        return seconds_since_epoch(name, moment, now)
    return None if days is None else now - DAY * days


def _done(template: Template, status: str | None, done: int | None) -> int:
    if status == "complete":
        return len(template.steps)
    # A live run always has an open task, otherwise it would be complete.
    return min(done or 0, max(0, len(template.steps) - 1))


def _by_id(template: Template, prerun: Mapping[str, Any]) -> dict[str, Any]:
    ids = {name: item.id for item in template.kickoff for name in (item.label, item.alias)}
    return {ids.get(key, key): value for key, value in prerun.items()}
