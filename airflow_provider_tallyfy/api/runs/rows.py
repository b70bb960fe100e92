"""The rows of a list of runs: their fields, flattened relations, and their order."""

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

#: The default fields of a row: enough to recognise a run, and to detect later whether it was modified.
FIELDS = ("id", "name", "status", "last_updated")
#: The fields that Tallyfy returns with every run, according to its pages on listing and reading processes.
PLAIN_FIELDS = (
    *("id", "increment_id", "name", "summary", "status", "type", "checklist_id", "checklist_title", "parent_id"),
    *("progress", "whole_progress", "started_by", "owner_id", "users", "groups", "collaborators"),
    *("prerun", "prerun_status", "prerun_completed_at", "prerun_completed_by", "prerun_length"),
    *("starred", "is_public", "assign_someone_else", "can_add_oot", "has_open_issue", "late_tasks"),
    *("created_at", "started_at", "last_updated", "archived_at", "completed_at"),
    *("due_date", "due_date_passed", "due_soon", "max_task_deadline"),
)
#: Relations that Tallyfy returns on request. Rows contain them unchanged.
RELATIONS = (
    *("tasks", "checklist", "stages", "assets", "permissions", "tasks_meta"),
    *("ko_form_fields", "form_fields", "next_task"),
)
#: The fields with the titles of tags and folders, and the fields with their ids.
LABELS = {"tags": "tag_ids", "folders": "folder_ids"}
KNOWN_FIELDS = (*PLAIN_FIELDS, *LABELS, *LABELS.values(), *RELATIONS)

_KINDS = {"tags": titles.TAG, "folders": titles.FOLDER}
_IDS = {"tags": (tag_ids, ("tag_id", "id")), "folders": (folder_ids, ("folder_id", "id"))}

#: Orders that Tallyfy supports. Rows in any other order are sorted here, after the whole list was read.
SERVER_ORDERS = ("created_at", "-created_at", "name", "-name")
ORDERS = (*SERVER_ORDERS, *(sign + name for name in TIMESTAMPS if name != "created_at" for sign in ("", "-")))


# -- fields ------------------------------------------------------------------------------------------------------------


def check_fields(argument: str, value: object) -> list[str]:
    """Return the fields of rows, ``id`` first. ``tags`` includes ``tag_ids``, and ``folders`` includes ``folder_ids``.

    :raises ArgumentError: for an unknown field; the error names the nearest fields, and all that there are.
    """
    fields = ["id"]
    for name in check_texts(argument, value):
        if name not in KNOWN_FIELDS:
            raise ArgumentError(
                f"{argument}: a run has no field {show(name)}{did_you_mean(name, KNOWN_FIELDS)}. "
                f"The fields are {', '.join(KNOWN_FIELDS)}."
            )
        fields += [name, LABELS[name]] if name in LABELS else [name]
    return list(dict.fromkeys(fields))


def relations_for(fields: Iterable[str]) -> list[str]:
    """Return the relations that the list must include, so that rows show these fields."""
    wanted = set(fields)
    labels = [name for name, ids in LABELS.items() if name in wanted or ids in wanted]
    return [*labels, *(name for name in RELATIONS if name in wanted)]


def is_shown(run: Mapping[str, Any], relation: str) -> bool:
    """Whether a row shows a relation."""
    if relation in _IDS:
        return _IDS[relation][0](run) is not None
    return relation in run


def untitled(run: Mapping[str, Any], label: str) -> list[str]:
    """Return the ids of the run's tags or folders that are shown without a title."""
    return [identity for identity, title in _titled(run, label) if title is None]


def _titled(run: Mapping[str, Any], label: str) -> list[tuple[str, str | None]]:
    """Return id and title of a run's tags or folders; the title is ``None`` if it is not shown."""
    found = []
    for row in related(run.get(label)) or ():
        title = row.get(_KINDS[label].title) if isinstance(row, Mapping) else None
        found.append((str(id_of(row, *_IDS[label][1])), title if isinstance(title, str) and title else None))
    return found


def row_of(run: Run, fields: Iterable[str], known: Mapping[str, Mapping[str, str]] | None = None) -> Run:
    """Return the chosen fields of a run. A missing field is ``None``; relations lose their envelope.

    :param known: for ``tags`` and ``folders``: the titles, by id, of those that the run shows without a title.
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
    """Return ``value`` if it is the name of an order."""
    return check_choice(argument, value, ORDERS)


def sort_for(order: str) -> str:
    """Return the order to request from Tallyfy: ``order`` if Tallyfy supports it, else one that keeps pages stable."""
    return order if order in SERVER_ORDERS else "created_at"


def _rank(row: Run, order: str) -> Any:
    """Return the sort key of a row; ``None`` if the row does not show it."""
    if order.lstrip("-") == "name":
        return str(row.get("name") or "").casefold()
    return instant(row.get(order.lstrip("-")))


def in_order(rows: Iterable[Run], order: str) -> bool:
    """Whether rows are in an order, as far as they show it."""
    ranks = [rank for row in rows if (rank := _rank(row, order)) is not None]
    if order.startswith("-"):
        ranks.reverse()
    return all(first <= second for first, second in pairwise(ranks))


def arranged(rows: list[Run], order: str) -> list[Run]:
    """Sort rows. Rows without the timestamp come last."""
    ranked = [(rank, row) for row in rows if (rank := _rank(row, order)) is not None]
    ranked.sort(key=lambda pair: pair[0], reverse=order.startswith("-"))
    return [row for _, row in ranked] + [row for row in rows if _rank(row, order) is None]
