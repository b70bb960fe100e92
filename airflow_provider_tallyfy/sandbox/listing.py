"""The list envelope: one page of rows, and how to get to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from airflow_provider_tallyfy.sandbox.refusal import invalid
from airflow_provider_tallyfy.sandbox.routing import Answer, Call

Row = TypeVar("Row")
Json = dict[str, Any]

# Tallyfy's links name this base whatever host was asked: following them would take the token elsewhere.
LINK_BASE = "https://go.tallyfy.com/api"


def page(call: Call, rows: Sequence[Row], write: Callable[[Row], Json], *, default: int = 10) -> Answer:
    """One page of rows in the list envelope.

    :param rows: every row that the filters leave.
    :param write: turns a row into JSON; only the page's rows are written.
    :param default: rows per page when the request names no number.
    """
    if call.flag("without_pagination") and call.behaviour.without_pagination == "plain":
        return Answer({"data": [write(row) for row in rows]})
    size = call.number("per_page", default)
    if size > 100 and call.behaviour.per_page_over_100 != "allow":
        if call.behaviour.per_page_over_100 == "422":
            raise invalid("per_page", "The per page may not be greater than 100.")
        size = 100
    number = call.number("page", 1)
    total = len(rows)
    pages = max(1, -(-total // size))
    part = rows[(number - 1) * size : number * size]
    pagination: Json = {
        "total": total,
        "count": len(part),
        "per_page": size,
        "current_page": number,
        "total_pages": pages,
    }
    style = call.behaviour.pagination_links
    if style != "absent":
        pagination["links"] = _links(call, number, pages, style)
    return Answer({"data": [write(row) for row in part], "meta": {"pagination": pagination}})


def _links(call: Call, number: int, pages: int, style: str) -> Any:
    if style == "null":
        return None
    rest = "".join(f"{quote(name)}={quote(value)}&" for name, value in call.query.items() if name != "page")

    def link(to: int) -> str | None:
        return f"{LINK_BASE}{call.path}?{rest}page={to}" if 1 <= to <= pages else None

    links = {"previous": link(number - 1), "next": link(number + 1)}
    if style == "nulls":
        return links
    # PHP writes an array without keys as [], so a list's only page has no object here.
    return {name: target for name, target in links.items() if target} or []
