"""Find the field, step, option or task that a name means: by id, alias or title."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, did_you_mean, show

SHOWN = 20  # names that an error lists at most

T = TypeVar("T")


def folded(text: str) -> str:
    """Return a text without differences that do not count: letter case, extra spaces, the encoding of accents."""
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def match(name: str, items: Iterable[T], names: Iterable[Callable[[T], str]]) -> list[T]:
    """Return the items that match a name best; several if they match it equally well.

    :param names: functions that return the names of an item, the most important first. An exact match of any name
        counts before a match that ignores letter case.
    """
    candidates, ranks = list(items), list(names)
    for fold in (str, folded):
        wanted = fold(name)
        for rank in ranks:
            if wanted and (found := [item for item in candidates if fold(rank(item)) == wanted]):
                return found
    return []


def choose(
    argument: str,
    name: str,
    items: Sequence[T],
    names: Sequence[Callable[[T], str]],
    *,
    what: str,
    of: str = "",
    called: str = "title",
    identify: Callable[[T], str] | None = None,
) -> T:
    """Return the item that a name means.

    :param argument: the argument with the name, for errors.
    :param names: functions that return the id, the alias and the title of an item. They count in this order, exact
        matches first.
    :param what: the kind of the items, for errors: ``task``.
    :param of: what the items belong to, for errors: `` of the run 0a1b...``.
    :param called: what the last of ``names`` is, for errors.
    :param identify: returns how an error lists an item if several have the same name; ``None`` = its id.
    :raises ArgumentError: if no item has the name (with the nearest names), or several have it (with their ids).
    """
    found = match(name, items, names)
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(map(identify or names[0], found[:SHOWN]))
        raise ArgumentError(f"{argument}: {len(found)} {what}s{of} are called {show(name)}: {ids}. Use the id.")
    # If names differ only in letter case, did_you_mean suggests the last one: the title, not the alias.
    near = did_you_mean(name, [text for item in items for rank in names[1:] if (text := rank(item))])
    titles = listing(next(filter(None, (rank(item) for rank in reversed(names))), "") for item in items)
    there_are = f"There are {titles}." if items else f"There are no {what}s."
    raise ArgumentError(f"{argument}: no {what}{of} has the id, alias or {called} {show(name)}{near}. {there_are}")


def listing(names: Iterable[str]) -> str:
    """Return names for an error, such as ``'S', 'M', 'L'``; at most ``SHOWN`` of them."""
    everything = list(names)
    more = f" and {len(everything) - SHOWN} more" if len(everything) > SHOWN else ""
    return ", ".join(show(name) for name in everything[:SHOWN]) + more
