"""Moments as a test says them: a date, how long ago, or text."""

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
    """A moment in seconds since the epoch.

    :param name: of the argument, for the error.
    :param value: a :class:`~datetime.datetime` (UTC unless it says otherwise); a :class:`~datetime.timedelta`, which is
        so long ago; ISO 8601 text of either: ``"2026-03-01T09:00:00Z"`` or ``"P30D"``.
    :param now: in seconds since the epoch.
    :raises TypeError: for anything else; a bare number could be days, seconds or a time stamp.
    :raises ValueError: for text that is neither, and for a negative span.
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
        # Python 3.10 reads neither "Z" nor three digits of a fraction without help.
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"{name} is {value!r}; it takes text like 2026-03-01T09:00:00Z or P30D") from None
    return seconds_since_epoch(name, parsed, now)
