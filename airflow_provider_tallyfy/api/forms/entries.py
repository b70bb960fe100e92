"""Answers that have several values: read the values, and check each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import NOT_RENDERED_AS_LIST, ArgumentError, listed, show

T = TypeVar("T")


def entries(where: str, value: object) -> list[Any]:
    """Return the values of a list. A single value counts as a list of one, a blank one as an empty list.

    :raises ArgumentError: for a list that was rendered to text, and for an iterable that raises an error.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, str) and value.lstrip()[0] in "[{":
        raise ArgumentError(f"{where}={show(value)} is not a list. {NOT_RENDERED_AS_LIST}.")
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return listed(where, value)
    return [value]


def each(where: str, values: Iterable[Any], check: Callable[[str, Any], T]) -> list[T]:
    """Return the results of ``check`` for all values.

    :raises ArgumentError: if it raises errors; one line for each.
    """
    everything = list(values)
    done, wrong = [], []
    for place, value in enumerate(everything):
        try:
            done.append(check(f"{where}[{place}]" if len(everything) > 1 else where, value))
        except ArgumentError as error:
            wrong.append(str(error))
    if wrong:
        raise ArgumentError("\n".join(wrong))
    return done
