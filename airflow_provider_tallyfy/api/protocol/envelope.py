"""Reading a body: ``{"data": ...}`` around everything, and what to tolerate instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Response


class Unreadable(Exception):
    """A successful answer whose body is not what the API promises. The text says what came instead."""


def parse(response: Response) -> Any:
    """Return the parsed body; ``None`` for an empty one.

    :raises Unreadable: when it is not JSON.
    """
    if not response.body.strip():
        return None
    try:
        return response.parsed
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "no content type").split(";")[0]
        what = "an HTML page" if "html" in kind else f"{len(response.body)} bytes of {kind} that are not JSON"
        raise Unreadable(f"answered with {what}") from None


def item(response: Response) -> dict[str, Any] | None:
    """Return the object inside ``{"data": {...}}``, an unwrapped object as it is, and ``None`` for no body.

    :raises Unreadable: for anything else.
    """
    body = parse(response)
    if body is None:
        return None
    data = body.get("data", body) if isinstance(body, Mapping) else body
    if isinstance(data, Mapping):
        return dict(data)
    if not data and isinstance(data, list):  # PHP writes an empty object as []
        return None
    raise Unreadable(f"answered with a JSON {type(data).__name__} where one object was expected")


def related(value: Any) -> list[Any] | None:
    """Rows of an included relation, wrapped (``{"data": [...]}``) or plain; ``None`` if it is neither."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), list):
        value = value["data"]
    return list(value) if isinstance(value, list) else None


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param rows: its objects.
    :param number: which page the server says it is; ``None`` where it says nothing.
    :param total_pages: how many pages there are; ``None`` where the server says nothing.
    :param total: how many rows there are in all; ``None`` where the server says nothing.
    :param per_page: how many rows a full page holds; ``None`` where the server says nothing.
    :param more: whether the server names a next page; only asked where ``total_pages`` is missing.
    """

    rows: list[dict[str, Any]]
    number: int | None = None
    total_pages: int | None = None
    total: int | None = None
    per_page: int | None = None
    more: bool = False


def page(response: Response) -> Page:
    """Read a list answer.

    ``links`` is an object, ``[]``, ``null`` or absent, depending on the page; its addresses are never used,
    for they name Tallyfy's public host whatever host was asked.

    :raises Unreadable: when it is no list of objects.
    """
    body = parse(response)
    rows = body.get("data") if isinstance(body, Mapping) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("answered with JSON that is not a list of objects")
    meta = body.get("meta") if isinstance(body, Mapping) else None
    pagination = meta.get("pagination") if isinstance(meta, Mapping) else None
    if not isinstance(pagination, Mapping):
        return Page(rows)
    links = pagination.get("links")
    return Page(
        rows,
        number=_count(pagination.get("current_page")),
        total_pages=_count(pagination.get("total_pages")),
        total=_count(pagination.get("total")),
        per_page=_count(pagination.get("per_page")),
        more=isinstance(links, Mapping) and bool(links.get("next")),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
