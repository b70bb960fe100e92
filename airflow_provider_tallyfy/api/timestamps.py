"""Timestamps as Tallyfy writes them, and the points in time and lengths of time that users give."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show

_DATE_AND_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)


def instant(value: object) -> datetime | None:
    """Read a timestamp of Tallyfy; ``None`` for anything else.

    Tallyfy writes ``2024-05-22T10:00:00Z``, ``2024-05-22T10:00:00.000Z`` and ``2024-05-22 10:00:00``; an offset is read
    as well. What names no zone is UTC. A date without a time is no instant, and neither is a number.

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
    """Read a point in time that a user gives: a ``datetime``, a ``date``, or ISO 8601 text with or without a time.

    What names no zone is UTC; a date without a time is its midnight.

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
        "'2026-03-01' or '2026-03-01T12:00:00+01:00' (UTC where it names no zone)."
    )


def check_duration(argument: str, value: object) -> timedelta:
    """Read a length of time: a ``timedelta`` or ISO 8601 text (``P30D``, ``PT12H``).

    A bare number is refused: 30 might mean days or seconds.

    :raises ArgumentError: for anything else, and for a length that is not above 0.
    """
    if isinstance(value, (int, float)) or (
        isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?", value.strip(), re.ASCII)
    ):
        raise ArgumentError(
            f"{argument}={show(value)} is a bare number, which names no unit. Use timedelta(days=30) or 'P30D'."
        )
    length: timedelta | None = None
    if isinstance(value, timedelta):
        length = value
    elif isinstance(value, str) and re.fullmatch(r"P[\dYMWDTHS.,]+", value.strip(), re.ASCII | re.IGNORECASE):
        length = _iso_duration(value.strip().upper())
    if length is None or length <= timedelta(0):
        raise ArgumentError(
            f"{argument}={show(value)} is not a length of time above 0. Use timedelta(days=30), or an ISO 8601 "
            "duration such as 'P30D' or 'PT12H'."
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
    """The point in time that is a length of time before ``now``.

    :raises ArgumentError: where :func:`check_duration` does, and for one before the calendar begins.
    """
    try:
        return now - check_duration(argument, value)
    except OverflowError:
        raise ArgumentError(f"{argument}={show(value)} reaches back before the calendar begins.") from None


def readable(moment: datetime) -> str:
    """A point in time for log lines: ``2026-10-26 03:00 UTC``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
