"""The rows of the activity feed in the order in which they happened, found by when they did."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from airflow_provider_tallyfy.sandbox.models import Event


def _moment(event: Event) -> float:
    return event.created_at


def _place(event: Event) -> tuple[float, int]:
    return event.created_at, event.id


class Feed:
    """Every row of an organization, oldest first. It is sorted once after rows of the past were added, not per read."""

    def __init__(self) -> None:
        self._rows: list[Event] = []
        self._in_order = True

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, event: Event) -> None:
        """Add a row. One of the past, of a run that a test says is old, goes to where it belongs."""
        if self._rows and event.created_at < self._rows[-1].created_at:
            self._in_order = False
        self._rows.append(event)

    def between(self, since: float | None = None, until: float | None = None) -> list[Event]:
        """The rows of a span, both ends included, oldest first.

        :param since: seconds since the epoch; from the beginning when ``None``.
        :param until: likewise; to the end when ``None``.
        """
        if not self._in_order:
            self._rows.sort(key=_place)
            self._in_order = True
        first = 0 if since is None else bisect_left(self._rows, since, key=_moment)
        last = len(self._rows) if until is None else bisect_right(self._rows, until, key=_moment)
        return self._rows[first:last]
