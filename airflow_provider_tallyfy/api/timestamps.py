"""Timestamps as Tallyfy writes them, and points in time and durations as users write them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show

_DATE_AND_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)


def instant(value: object) -> datetime | None:
    """Read a timestamp of Tallyfy; ``None`` for anything else.

    Tallyfy writes ``2024-05-22T10:00:00Z``, ``2024-05-22T10:00:00.000Z`` and ``2024-05-22 10:00:00``; offsets are
    accepted too. Without a zone it is UTC. A date without a time is not a timestamp, and neither is a number.

    :return: an aware ``datetime``.
    """
    match = _DATE_AND_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{time}{((fraction or '.') + '000000')[:7]}{offset}")
    except ValueError:
        return None


def check_instant(argument: str, value: object) -> datetime:
    """Read a point in time from a user: a ``datetime``, a ``date``, or ISO 8601 text with or without a time.

    Without a zone it is UTC; without a time it is midnight.

    :return: an aware ``datetime``, in UTC.
    :raises ArgumentError: for anything else.
    """
    found: datetime | None = None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d)?", text, re.ASCII):
            text = f"{text}T00:00:00" if len(text) == 10 else f"{text}:00"
        found = instant(text)
    if found is not None:
        try:
            return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
        except OverflowError:
            pass
    raise ArgumentError(
        f"{argument}={show(value)} is not a point in time. Use a datetime, a date, or ISO 8601 text such as "
        "'2026-03-01' or '2026-03-01T12:00:00+01:00' (without a zone it is UTC)."
    )


def check_duration(argument: str, value: object) -> timedelta:
    """Read a duration: a ``timedelta`` or ISO 8601 text (``P30D``, ``PT12H``).

    A plain number is an error, because 30 might mean days or seconds.

    :raises ArgumentError: for anything else, and for a duration that is not positive.
    """
    if isinstance(value, (int, float)) or (
        isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?", value.strip(), re.ASCII)
    ):
        raise ArgumentError(f"{argument}={show(value)} is a number without a unit. Use timedelta(days=30) or 'P30D'.")
    length: timedelta | None = None
    if isinstance(value, timedelta):
        length = value
    elif isinstance(value, str) and re.fullmatch(r"P[\dYMWDTHS.,]+", value.strip(), re.ASCII | re.IGNORECASE):
        length = _iso_duration(value.strip().upper())
    if length is None or length <= timedelta(0):
        raise ArgumentError(
            f"{argument}={show(value)} is not a positive duration. Use timedelta(days=30), or ISO 8601 text such as "
            "'P30D' or 'PT12H'."
        )
    return length


def _iso_duration(text: str) -> timedelta | None:
    import pendulum

    try:
        parsed = pendulum.parse(text)
        return timedelta(seconds=parsed.total_seconds()) if isinstance(parsed, pendulum.Duration) else None
    except (ValueError, OverflowError):
        return None


def ago(argument: str, value: object, now: datetime) -> datetime:
    """Return the point in time that is a duration before ``now``.

    :raises ArgumentError: for an invalid duration, and for one that goes back beyond the year 1.
    """
    try:
        return now - check_duration(argument, value)
    except OverflowError:
        raise ArgumentError(f"{argument}={show(value)} goes back beyond the year 1.") from None


def readable(moment: datetime) -> str:
    """Return a point in time for log lines: ``2026-10-26 03:00 UTC``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
