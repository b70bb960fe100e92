"""The JSON of a list: one page of rows, with the pagination data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from airflow_provider_tallyfy.sandbox.refusal import invalid
from airflow_provider_tallyfy.sandbox.routing import Answer, Call

Row = TypeVar("Row")
Json = dict[str, Any]

# Tallyfy's links contain this base URL for every host. A client that follows them sends its token there.
LINK_BASE = "https://go.tallyfy.com/api"


def page(call: Call, rows: Sequence[Row], write: Callable[[Row], Json], *, default: int = 10) -> Answer:
    """Return the JSON of one page of rows.

    :param rows: all rows that match the filters.
    :param write: turns a row into JSON; called only for the rows of the page.
    :param default: rows per page if the request does not say.
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
    # PHP writes an empty array as [], so a list with a single page has no object here.
    return {name: target for name, target in links.items() if target} or []
