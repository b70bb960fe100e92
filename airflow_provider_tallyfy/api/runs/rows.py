"""The rows of a list of runs: which fields they can have, relations made flat, and orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_choice, check_texts, did_you_mean, show
from airflow_provider_tallyfy.api.protocol.messages import related
from airflow_provider_tallyfy.api.runs.filters import TIMESTAMPS
from airflow_provider_tallyfy.api.runs.model import Run, folder_ids, id_of, tag_ids
from airflow_provider_tallyfy.api.timestamps import instant

#: What a row keeps unless asked otherwise: enough to recognise a run, and to see later whether it was modified.
FIELDS = ("id", "name", "status", "last_updated")
#: What Tallyfy returns with every run, by its pages on listing and reading processes.
PLAIN_FIELDS = (
    *("id", "increment_id", "name", "summary", "status", "type", "checklist_id", "checklist_title", "parent_id"),
    *("progress", "whole_progress", "started_by", "owner_id", "users", "groups", "collaborators"),
    *("prerun", "prerun_status", "prerun_completed_at", "prerun_completed_by", "prerun_length"),
    *("starred", "is_public", "assign_someone_else", "can_add_oot", "has_open_issue", "late_tasks"),
    *("created_at", "started_at", "last_updated", "archived_at", "completed_at"),
    *("due_date", "due_date_passed", "due_soon", "max_task_deadline"),
)
#: Relations that Tallyfy returns when it is asked for them; they are kept as they come.
RELATIONS = (
    *("tasks", "checklist", "stages", "assets", "permissions", "tasks_meta"),
    *("ko_form_fields", "form_fields", "next_task"),
)
#: What people filter by: the titles, and beside them the ids.
LABELS = {"tags": "tag_ids", "folders": "folder_ids"}
KNOWN_FIELDS = (*PLAIN_FIELDS, *LABELS, *LABELS.values(), *RELATIONS)

_KINDS = {"tags": titles.TAG, "folders": titles.FOLDER}
_IDS = {"tags": (tag_ids, ("tag_id", "id")), "folders": (folder_ids, ("folder_id", "id"))}

#: Orders that Tallyfy knows; the others are sorted here, after the walk.
SERVER_ORDERS = ("created_at", "-created_at", "name", "-name")
ORDERS = (*SERVER_ORDERS, *(sign + name for name in TIMESTAMPS if name != "created_at" for sign in ("", "-")))


# -- fields ------------------------------------------------------------------------------------------------------------


def check_fields(argument: str, value: object) -> list[str]:
    """Return the fields that rows are to have, ``id`` first; ``tags`` brings ``tag_ids`` along, ``folders`` likewise.

    :raises ArgumentError: for a field that no row can have, naming the nearest and those that there are.
    """
    fields = ["id"]
    for name in check_texts(argument, value):
        if name not in KNOWN_FIELDS:
            raise ArgumentError(
                f"{argument}: a run has no field {show(name)}{did_you_mean(name, KNOWN_FIELDS)}. "
                f"There are {', '.join(KNOWN_FIELDS)}."
            )
        fields += [name, LABELS[name]] if name in LABELS else [name]
    return list(dict.fromkeys(fields))


def relations_for(fields: Iterable[str]) -> list[str]:
    """What must be asked for with the rows, so that they show these fields."""
    wanted = set(fields)
    labels = [name for name, ids in LABELS.items() if name in wanted or ids in wanted]
    return [*labels, *(name for name in RELATIONS if name in wanted)]


def is_shown(run: Mapping[str, Any], relation: str) -> bool:
    """Whether a row shows a relation that was asked for."""
    if relation in _IDS:
        return _IDS[relation][0](run) is not None
    return relation in run


def untitled(run: Mapping[str, Any], label: str) -> list[str]:
    """The tags or folders of a run that it shows without their titles."""
    return [identity for identity, title in _titled(run, label) if title is None]


def _titled(run: Mapping[str, Any], label: str) -> list[tuple[str, str | None]]:
    """Id and, where it is shown, title of a run's tags or folders."""
    found = []
    for row in related(run.get(label)) or ():
        title = row.get(_KINDS[label].title) if isinstance(row, Mapping) else None
        found.append((str(id_of(row, *_IDS[label][1])), title if isinstance(title, str) and title else None))
    return found


def row_of(run: Run, fields: Iterable[str], known: Mapping[str, Mapping[str, str]] | None = None) -> Run:
    """The chosen fields of a run. A field that it lacks is ``None``; relations come without their envelope.

    :param known: for ``tags`` and ``folders``: id to title of those that the run shows without.
    """
    row: Run = {}
    for name in fields:
        if name in LABELS:
            named = (known or {}).get(name, {})
            row[name] = [title or named.get(identity, identity) for identity, title in _titled(run, name)]
        elif name in LABELS.values():
            label = next(label for label, ids in LABELS.items() if ids == name)
            row[name] = [identity for identity, _ in _titled(run, label)]
        else:
            value = run.get(name)
            if name in RELATIONS and isinstance(value, Mapping) and set(value) == {"data"}:
                value = value["data"]
            row[name] = value
    return row


# -- orders ------------------------------------------------------------------------------------------------------------


def check_order(argument: str, value: object) -> str:
    """Return the order, if it is one."""
    return check_choice(argument, value, ORDERS)


def sort_for(order: str) -> str:
    """The order to ask Tallyfy for: its own where it knows it, else one that keeps pages stable."""
    return order if order in SERVER_ORDERS else "created_at"


def _rank(row: Run, order: str) -> Any:
    """Where a row stands in an order; ``None`` if it does not say."""
    if order.lstrip("-") == "name":
        return str(row.get("name") or "").casefold()
    return instant(row.get(order.lstrip("-")))


def in_order(rows: Iterable[Run], order: str) -> bool:
    """Whether rows come in the order that was asked for, as far as they tell."""
    ranks = [rank for row in rows if (rank := _rank(row, order)) is not None]
    if order.startswith("-"):
        ranks.reverse()
    return all(first <= second for first, second in pairwise(ranks))


def arranged(rows: list[Run], order: str) -> list[Run]:
    """Sort rows; those without the timestamp come last."""
    ranked = [(rank, row) for row in rows if (rank := _rank(row, order)) is not None]
    ranked.sort(key=lambda pair: pair[0], reverse=order.startswith("-"))
    return [row for _, row in ranked] + [row for row in rows if _rank(row, order) is None]
