"""Builds HTML with Python calls. Everything that is not yet markup is escaped automatically."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# Characters that HTML does not allow, but that a name in JSON may contain.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_VOID = frozenset({"input", "link", "meta"})
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Html(str):
    """Text that is already markup."""

    __slots__ = ()


NOTHING = Html("&ndash;")

Child = str | int | None
Attribute = str | int | bool | None


def escape(value: str | int) -> Html:
    """Escape a value for the text of a page or for an attribute."""
    return value if isinstance(value, Html) else Html(html.escape(_FORBIDDEN.sub("\ufffd", str(value))))


def join(children: Iterable[Child], between: str = "") -> Html:
    """Concatenate children, without those that are ``None``."""
    return Html(escape(between).join(escape(child) for child in children if child is not None))


def el(tag: str, /, *children: Child, **attributes: Attribute) -> Html:
    """Build an element.

    :param tag: name of the element.
    :param children: text or markup; ``None`` is left out.
    :param attributes: ``class_`` means ``class``, ``aria_label`` means ``aria-label``. ``True`` makes an attribute
        without a value; ``None`` and ``False`` leave it out.
    """
    written = []
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = key.rstrip("_").replace("_", "-")
            written.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    opening = f"<{tag}{''.join(written)}>"
    return Html(opening if tag in _VOID else f"{opening}{join(children)}</{tag}>")


def name(value: str | int, **attributes: Attribute) -> Html:
    """A name, isolated so that a right-to-left name does not reorder the text around it."""
    return el("bdi", value, **attributes)


def dot(color: str) -> Html:
    """A dot in the colour of a tag. Drawn as SVG, so that the page does not have to allow inline styles."""
    circle = el("circle", cx=5, cy=5, r=5, fill=color if _COLOR.fullmatch(color) else "#888888")
    return el("svg", circle, class_="dot", viewBox="0 0 10 10", width=10, height=10, aria_hidden="true")


def row(heads: Iterable[str], values: Iterable[Child], **attributes: Attribute) -> Html:
    """Build a table row, whose first cell is its header. Cells carry the column's heading, for the card layout.

    :param heads: headings of the columns.
    :param values: contents of the cells.
    :param attributes: attributes of the row.
    """
    pairs = list(zip(heads, values, strict=True))
    first = el("th", pairs[0][1], scope="row", role="rowheader")
    rest = (
        el("td", el("div", value), data_head=head, role="cell", class_="none" if value == NOTHING else None)
        for head, value in pairs[1:]
    )
    return el("tr", first, *rest, role="row", **attributes)


def table(caption: str, heads: Iterable[str], rows: Iterable[Html]) -> Html:
    """Build a table that becomes a list of cards on narrow screens.

    The roles are explicit, because browsers drop the table semantics if CSS changes the layout.

    :param caption: description for screen readers.
    :param heads: headings of the columns.
    :param rows: rows built with :func:`row`.
    """
    head = el("tr", *(el("th", text, scope="col", role="columnheader") for text in heads), role="row")
    return el(
        "table",
        el("caption", caption, class_="unseen"),
        el("thead", head, role="rowgroup"),
        el("tbody", *rows, role="rowgroup"),
        role="table",
    )
