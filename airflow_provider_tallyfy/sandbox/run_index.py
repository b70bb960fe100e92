"""Which runs a list request means, and in what order. Remembered, so that a walk over 100,000 runs selects once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.organization import Organization

_FILTERS = (
    "archived",
    "q",
    "status",
    "owners",
    "checklist_id",
    "blueprint_id",
    "folder",
    "tag",
    "tag_ids",
    "untagged",
    "starred",
    "type",
    "groups",
    "sort",
    "sort_by",
)


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """A boolean of a query; anything but the literals is no answer."""
    return {"true": True, "1": True, "false": False, "0": False}.get(query.get(name, ""))


class RunIndex:
    """Lists of runs by filter, remembered until the organization changes."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self._version = -1
        self._remembered: dict[tuple[str | None, ...], list[Run]] = {}

    def find(self, query: Mapping[str, str]) -> list[Run]:
        """The runs that a request's filters leave, in its order."""
        organization = self.organization
        query = self._honoured(query)
        key = (*(query.get(name) for name in _FILTERS), organization.behaviour.default_order)
        key = (*key, organization.behaviour.status_archived_filter)
        if organization.behaviour.read_lag > 0:
            shown = [organization.as_read(run) for run in organization.runs.values()]
            return _select(organization, query, [run for run in shown if run is not None])
        if self._version != organization.version:
            self._version, self._remembered = organization.version, {}
        if key not in self._remembered:
            self._remembered[key] = _select(organization, query, list(organization.runs.values()))
        return self._remembered[key]

    def _honoured(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The part of a query that the switches let the server honour."""
        behaviour = self.organization.behaviour
        honoured = {name: value for name, value in query.items() if name not in behaviour.ignored_parameters}
        if honoured.get("archived") == "only" and behaviour.archived_filter == "ignored":
            honoured["archived"] = "true"
        return honoured


def _select(organization: Organization, query: Mapping[str, str], runs: list[Run]) -> list[Run]:
    keep = _conditions(organization, query)
    if keep:
        runs = [run for run in runs if all(condition(run) for condition in keep)]
    sort = query.get("sort") or query.get("sort_by") or ""
    keys: dict[str, Callable[[Run], Any]] = {
        "name": lambda run: run.name.lower(),
        "created_at": lambda run: run.created_at,
        "last_updated": lambda run: run.last_updated,
    }
    if (by := keys.get(sort.lstrip("-"))) is not None:
        return sorted(runs, key=by, reverse=sort.startswith("-"))
    return runs[::-1] if organization.behaviour.default_order == "newest_first" else runs


def _conditions(organization: Organization, query: Mapping[str, str]) -> list[Callable[[Run], bool]]:
    keep: list[Callable[[Run], bool]] = []
    archived, status = query.get("archived", ""), query.get("status", "")
    if status == "archived" and organization.behaviour.status_archived_filter == "honoured":
        archived = "only"
    if archived == "only":
        keep.append(lambda run: run.archived_at is not None)
    elif archived != "true":
        keep.append(lambda run: run.archived_at is None)

    if text := query.get("q", "").lower():
        keep.append(lambda run: text in run.name.lower())
    if status == "starred":
        keep.append(lambda run: run.starred)
    elif status == "problem":
        # A process-level issue is a problem too, by the list page.
        keep.append(lambda run: run.status in ("problem", "issue"))
    elif status and status not in ("all", "archived"):
        keep.append(lambda run: run.status == status)
    elif status == "archived":
        keep.append(lambda run: run.archived_at is not None)
    if owners := _ids(query.get("owners")):
        # "Involved", not "owner": the assignees of its tasks count.
        keep.append(lambda run: str(run.owner_id) in owners or _assigned(run, owners))
    if groups := _ids(query.get("groups")):
        keep.append(lambda run: not groups.isdisjoint(run.groups))
    if template := query.get("checklist_id") or query.get("blueprint_id"):
        keep.append(lambda run: run.template.id == template)
    if folders := _ids(query.get("folder")):
        keep.append(lambda run: not folders.isdisjoint(run.folders))
    if tags := _ids(query.get("tag")) | _ids(query.get("tag_ids")):
        keep.append(lambda run: not tags.isdisjoint(run.tags))
    if flag(query, "untagged"):
        keep.append(lambda run: not run.tags)
    if (starred := flag(query, "starred")) is not None:
        keep.append(lambda run: run.starred is starred)
    if kinds := _ids(query.get("type")):
        keep.append(lambda run: run.template.type in kinds)
    return keep


def _ids(text: str | None) -> set[str]:
    return {part.strip() for part in (text or "").split(",") if part.strip()}


def _assigned(run: Run, owners: set[str]) -> bool:
    # Tasks that nobody has looked at yet are not made, but whose they will be is known.
    assigned = (
        (run.owners_of(step)[0] for step in run.steps)
        if run.tasks is None
        else (task.users for task in run.tasks.values())
    )
    return any(str(user) in owners for users in assigned for user in users)
