"""Timestamps as Tallyfy writes them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


def instant(value: Any) -> datetime | None:
    """Read a timestamp: ISO 8601, UTC unless it says otherwise, with or without a fraction; ``None`` if it is none."""
    match = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{time}{((fraction or '.') + '000000')[:7]}{offset}")
    except ValueError:
        return None


def parsed_date(value: Any) -> datetime | None:
    """Read a day or a moment in any form of ISO 8601 that Python knows, for comparison; ``None`` if it is none."""
    if not isinstance(value, str) or len(value) < 8 or not value[:4].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
