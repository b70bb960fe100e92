"""Answers that hold several values: the values one by one, and all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, listed, show

T = TypeVar("T")


def entries(where: str, value: object) -> list[Any]:
    """Return the values of a list; one that stands alone is a list of one, and a blank one is none.

    :raises ArgumentError: for a list that became text, and for one that fails while it is read.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, str) and value.lstrip()[0] in "[{":
        raise ArgumentError(
            f"{where}={show(value)} is not a list. A list that went through a Jinja string becomes text: pass it as "
            "task.output, or set render_template_as_native_obj=True on the DAG."
        )
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return listed(where, value)
    return [value]


def each(where: str, values: Iterable[Any], check: Callable[[str, Any], T]) -> list[T]:
    """Return what a check makes of every value.

    :raises ArgumentError: with the mistakes of all of them.
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
