"""What a run says about itself. A run is the object that Tallyfy returns, kept as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import related

Run = dict[str, Any]


def archived_state(run: Mapping[str, Any]) -> bool | None:
    """Whether the run is archived; ``None`` if it does not say.

    ``archived_at`` decides. ``status`` keeps its old value on some answers, so it proves nothing unless it is
    "archived", and is asked only where ``archived_at`` is missing.
    """
    if "archived_at" in run:
        return bool(run["archived_at"])
    return True if str(run.get("status", "")).lower() == "archived" else None


def is_archived(run: Mapping[str, Any]) -> bool:
    """Whether the run says that it is archived."""
    return archived_state(run) is True


def is_complete(run: Mapping[str, Any]) -> bool:
    """Whether the run is finished.

    A run archived by Tallyfy's own clean-up may no longer say so in its status; ``completed_at`` alone is not enough
    for a live run, for a reopened task need not clear it.
    """
    status = str(run.get("status", "")).lower()
    return status in {"complete", "completed"} or (is_archived(run) and bool(run.get("completed_at")))


def describe(run: Mapping[str, Any]) -> str:
    """The run as a person would call it: name and id."""
    name = run.get("name")
    identity = str(run.get("id", "?"))
    return f"{name!r} ({identity})" if isinstance(name, str) and name else identity


def id_of(value: Any, *names: str) -> Any:
    """The id of something that is given as an id or as an object that holds it under one of ``names``."""
    if isinstance(value, Mapping):
        return next((value[name] for name in names if value.get(name) not in (None, "")), None)
    return value


def member_ids(run: Mapping[str, Any], field: str) -> list[Any] | None:
    """Ids of the run's ``users`` or ``groups``, which may be ids or objects, wrapped or not; ``None`` = can't tell."""
    rows = related(run.get(field))
    if rows is None:
        return None
    ids = [id_of(row, "id") for row in rows]
    return ids if all(isinstance(i, (int, str)) and not isinstance(i, bool) for i in ids) else None


def tag_ids(run: Mapping[str, Any]) -> list[str] | None:
    """Ids of the run's tags, given as ids or as associations; ``None`` = the object does not tell."""
    return _strings(run, "tags", "tag_id", "id")


def folder_ids(run: Mapping[str, Any]) -> list[str] | None:
    """Ids of the run's folders; ``None`` = the object does not tell."""
    return _strings(run, "folders", "folder_id", "id")


def _strings(run: Mapping[str, Any], field: str, *names: str) -> list[str] | None:
    rows = related(run.get(field))
    if rows is None:
        return None
    ids = [id_of(row, *names) for row in rows]
    return [str(i) for i in ids] if all(i is not None for i in ids) else None
