"""Reads the times that a test passes: a datetime, how long ago, or text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

Moment = datetime | timedelta | str

_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.ASCII,
)


def seconds_since_epoch(name: str, value: Moment, now: float) -> float:
    """Convert a time to seconds since the epoch.

    :param name: name of the argument, for the error.
    :param value: a :class:`~datetime.datetime` (UTC if it has no time zone); a :class:`~datetime.timedelta`, meaning
        "this long ago"; ISO 8601 text of either: ``"2026-03-01T09:00:00Z"`` or ``"P30D"``.
    :param now: the current time in seconds since the epoch.
    :raises TypeError: for anything else. A plain number could mean days, seconds or a timestamp.
    :raises ValueError: for other text, and for a negative duration.
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError(f"{name} is how long ago: {value!r} is negative")
        return now - value.total_seconds()
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if not isinstance(value, str):
        raise TypeError(
            f"{name} takes a datetime, a timedelta (how long ago) or ISO 8601 text, not {type(value).__name__}"
        )
    if match := _DURATION.fullmatch(value):
        span = timedelta(**{unit: int(number) for unit, number in match.groupdict().items() if number})
        return now - span.total_seconds()
    try:
        # Python 3.10 cannot read "Z" or a fraction with three digits.
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"{name} is {value!r}; it takes text like 2026-03-01T09:00:00Z or P30D") from None
    return seconds_since_epoch(name, parsed, now)
