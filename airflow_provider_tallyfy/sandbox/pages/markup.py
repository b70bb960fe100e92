"""HTML from Python calls. Whatever is not markup already is escaped, so nothing can be forgotten."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# Characters that no HTML document may hold; a name that came as JSON can.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_VOID = frozenset({"input", "link", "meta"})
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


NOTHING = Html("&ndash;")

Child = str | int | None
Attribute = str | int | bool | None


def escape(value: str | int) -> Html:
    """A value as text of a page, or of an attribute."""
    return value if isinstance(value, Html) else Html(html.escape(_FORBIDDEN.sub("\ufffd", str(value))))


def join(children: Iterable[Child], between: str = "") -> Html:
    """Children side by side; ``None`` is nothing."""
    return Html(escape(between).join(escape(child) for child in children if child is not None))


def el(tag: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element.

    :param tag: name of the element.
    :param children: text or markup; ``None`` is nothing.
    :param attributes: ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``; ``True`` is an attribute
        without a value, ``None`` and ``False`` none.
    """
    written = []
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = key.rstrip("_").replace("_", "-")
            written.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    opening = f"<{tag}{''.join(written)}>"
    return Html(opening if tag in _VOID else f"{opening}{join(children)}</{tag}>")


def name(value: str | int, **attributes: Attribute) -> Html:
    """What somebody called something, kept from turning the text around it: names may be written right to left."""
    return el("bdi", value, **attributes)


def dot(color: str) -> Html:
    """A spot in a tag's colour. An attribute of SVG, so that no style need be allowed that a tag could write."""
    circle = el("circle", cx=5, cy=5, r=5, fill=color if _COLOR.fullmatch(color) else "#888888")
    return el("svg", circle, class_="dot", viewBox="0 0 10 10", width=10, height=10, aria_hidden="true")


def row(heads: Iterable[str], values: Iterable[Child], **attributes: Attribute) -> Html:
    """A row, whose first cell names it. Each cell knows its column's head, for when the row is a card.

    :param heads: of the columns.
    :param values: of the cells.
    :param attributes: of the row.
    """
    pairs = list(zip(heads, values, strict=True))
    first = el("th", pairs[0][1], scope="row", role="rowheader")
    rest = (
        el("td", el("div", value), data_head=head, role="cell", class_="none" if value == NOTHING else None)
        for head, value in pairs[1:]
    )
    return el("tr", first, *rest, role="row", **attributes)


def table(caption: str, heads: Iterable[str], rows: Iterable[Html]) -> Html:
    """A table that becomes a list of cards where there is no room for columns.

    Roles are written out, for browsers forget that a table is one when it is laid out differently.

    :param caption: what it is, for those who can't see it.
    :param heads: of the columns.
    :param rows: made with :func:`row`.
    """
    head = el("tr", *(el("th", text, scope="col", role="columnheader") for text in heads), role="row")
    return el(
        "table",
        el("caption", caption, class_="unseen"),
        el("thead", head, role="rowgroup"),
        el("tbody", *rows, role="rowgroup"),
        role="table",
    )
