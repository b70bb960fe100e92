"""Reads the state and the relations of a run. A run is the unchanged object that Tallyfy returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import related

Run = dict[str, Any]


def archived_state(run: Mapping[str, Any]) -> bool | None:
    """Whether the run is archived; ``None`` if it does not show it.

    ``archived_at`` decides. ``status`` counts only if ``archived_at`` is missing, and only if it is "archived", because
    some answers show an old status.
    """
    if "archived_at" in run:
        return bool(run["archived_at"])
    return True if str(run.get("status", "")).lower() == "archived" else None


def is_archived(run: Mapping[str, Any]) -> bool:
    """Whether the run shows that it is archived."""
    return archived_state(run) is True


def is_complete(run: Mapping[str, Any]) -> bool:
    """Whether the run is finished.

    The status of a run that Tallyfy's own clean-up archived may no longer show it, so ``completed_at`` counts there. It
    does not count for a live run, because reopening a task may not clear it.
    """
    status = str(run.get("status", "")).lower()
    return status in {"complete", "completed"} or (is_archived(run) and bool(run.get("completed_at")))


def describe(run: Mapping[str, Any]) -> str:
    """Return the run's name and id, for messages."""
    name = run.get("name")
    identity = str(run.get("id", "?"))
    return f"{name!r} ({identity})" if isinstance(name, str) and name else identity


def id_of(value: Any, *names: str) -> Any:
    """Return the id of something that is either an id, or an object with the id under one of ``names``."""
    if isinstance(value, Mapping):
        return next((value[name] for name in names if value.get(name) not in (None, "")), None)
    return value


def member_ids(run: Mapping[str, Any], field: str) -> list[Any] | None:
    """Return the ids of the run's ``users`` or ``groups``, given as ids or objects; ``None`` = they are not shown."""
    rows = related(run.get(field))
    if rows is None:
        return None
    ids = [id_of(row, "id") for row in rows]
    return ids if all(isinstance(i, (int, str)) and not isinstance(i, bool) for i in ids) else None


def tag_ids(run: Mapping[str, Any]) -> list[str] | None:
    """Return the ids of the run's tags, given as ids or as associations; ``None`` = they are not shown."""
    return _strings(run, "tags", "tag_id", "id")


def folder_ids(run: Mapping[str, Any]) -> list[str] | None:
    """Return the ids of the run's folders; ``None`` = they are not shown."""
    return _strings(run, "folders", "folder_id", "id")


def _strings(run: Mapping[str, Any], field: str, *names: str) -> list[str] | None:
    rows = related(run.get(field))
    if rows is None:
        return None
    ids = [id_of(row, *names) for row in rows]
    return [str(i) for i in ids] if all(i is not None for i in ids) else None
