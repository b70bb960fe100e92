"""The filters of the activity feed: check them and turn them into query parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_choice, check_text, check_user_id, show
from airflow_provider_tallyfy.api.timestamps import check_instant

ENTITIES = ("checklist", "run", "step", "task", "thread")
SOURCES = ("Member", "Guest", "Webhook")
SEARCH_LENGTH = (2, 100)  # characters
PAGE_SIZES = (1, 100)  # rows


def checked_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given filters as query parameters. ``None`` = not given.

    :raises ArgumentError: for a bad value, and for only one of ``entity_type`` and ``entity_id`` (or of
        ``origin_type`` and ``origin_id``), because Tallyfy ignores half of a pair and would return all activities.
    """
    params = {name: FILTERS[name](name, value) for name, value in given.items() if value is not None}
    for one, other in (("entity_type", "entity_id"), ("origin_type", "origin_id")):
        if (one in params) is not (other in params):
            present, missing = (one, other) if one in params else (other, one)
            raise ArgumentError(f"{present}={show(params[present])} also needs {missing}.")
    return params


def _text(argument: str, value: object) -> str:
    text = check_text(argument, value).strip()
    if not text:
        raise ArgumentError(f"{argument}={show(value)} is empty.")
    return text


def _search(argument: str, value: object) -> str:
    text, (least, most) = _text(argument, value), SEARCH_LENGTH
    if not least <= len(text) <= most:
        raise ArgumentError(f"{argument}={show(value)} has {len(text)} characters; Tallyfy accepts {least} to {most}.")
    return text


def _actor(argument: str, value: object) -> int | str:
    """Return the id of a member as a number, and that of a guest as text."""
    return check_user_id(argument, value) if not isinstance(value, str) or value.isdigit() else _text(argument, value)


def _day(argument: str, value: object) -> str:
    """Return a day; for a point in time, its day in UTC."""
    return date.isoformat(check_instant(argument, value).date())


def _page_size(argument: str, value: object) -> int:
    least, most = PAGE_SIZES
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ArgumentError(f"{argument}={show(value)} must be a whole number from {least} to {most}.")
    return value


#: The check of each filter.
FILTERS: Mapping[str, Callable[[str, object], Any]] = {
    "entity_type": lambda argument, value: check_choice(argument, value, ENTITIES),
    "entity_id": _text,
    "type": _text,
    "verb": _text,
    "actor_type": _text,
    "actor_id": _actor,
    "actor_email": _text,
    "source": lambda argument, value: check_choice(argument, value, SOURCES),
    "created_after": _day,
    "created_before": _day,
    "search": _search,
    "field": _text,
    "origin_type": _text,
    "origin_id": _text,
    "per_page": _page_size,
}
