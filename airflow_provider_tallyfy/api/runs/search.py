"""Finding runs: the filters that Tallyfy has, checked again on what comes back, and those that it lacks.

Tallyfy ignores parameters that it doesn't know. A filter that was silently ignored would have a clean-up archive the
wrong runs, so every filter is held against the rows that come back, as far as a row shows what the filter is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_choice, check_user_id, show
from airflow_provider_tallyfy.api.protocol.messages import Request
from airflow_provider_tallyfy.api.runs.model import Run, folder_ids, is_archived, tag_ids

#: Timestamps of a run that can say how long it has been left alone.
TIMESTAMPS = ("last_updated", "completed_at", "created_at", "started_at")
#: What a row keeps unless asked otherwise: enough to recognise a run, and to see later whether it was modified.
FIELDS = ("id", "name", "status", "last_updated")
#: Orders that Tallyfy knows; the others are sorted here, after the walk.
SERVER_ORDERS = ("created_at", "-created_at", "name", "-name")
ORDERS = (*SERVER_ORDERS, *(sign + name for name in TIMESTAMPS if name != "created_at" for sign in ("", "-")))


def moment(value: Any) -> datetime | None:
    """Read a timestamp of Tallyfy (ISO 8601, UTC, with or without fraction); ``None`` if it is none."""
    if not isinstance(value, str):
        return None
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?", value.strip())
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{time}{((fraction or '.') + '000000')[:7]}{offset}")
    except ValueError:
        return None


def duration(argument: str, value: object) -> timedelta:
    """Read a length of time: a ``timedelta``, seconds (a number or its digits), or ISO 8601 (``P30D``, ``PT12H``).

    :raises ArgumentError: for anything else, and for a length that is not above 0.
    """
    length: timedelta | None = None
    if isinstance(value, timedelta):
        length = value
    elif (isinstance(value, (int, float)) and not isinstance(value, bool)) or (
        isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip(), re.ASCII)
    ):
        length = _seconds(float(value))
    elif isinstance(value, str) and re.fullmatch(r"\s*P[\dYMWDTHS.,]+\s*", value, re.ASCII | re.IGNORECASE):
        length = _iso_duration(value.strip().upper())
    if length is None or length <= timedelta(0):
        raise ArgumentError(
            f"{argument}={show(value)} is no length of time above 0. Use a timedelta, a number of seconds, or an "
            "ISO 8601 duration such as 'P30D' or 'PT12H'."
        )
    return length


def _seconds(number: float) -> timedelta | None:
    try:
        return timedelta(seconds=number)
    except (OverflowError, ValueError):
        return None


def _iso_duration(text: str) -> timedelta | None:
    import pendulum

    try:
        parsed = pendulum.parse(text)
    except ValueError:
        return None
    return timedelta(seconds=parsed.total_seconds()) if isinstance(parsed, pendulum.Duration) else None


@dataclass(frozen=True)
class Criteria:
    """What Tallyfy can't filter by itself.

    :param stale_before: keep runs whose ``stale_by`` timestamp is before this moment.
    :param stale_by: which timestamp counts.
    :param name_pattern: shell pattern for the whole name (``*``, ``?``, ``[...]``), letters in any case.
    :param owner_id: the run's owner, exactly (Tallyfy's ``owners`` also matches assignees of tasks).
    """

    stale_before: datetime | None = None
    stale_by: str = "last_updated"
    name_pattern: str | None = None
    owner_id: int | None = None

    @classmethod
    def of(
        cls,
        now: datetime,
        *,
        stale_after: object = None,
        stale_by: object = "last_updated",
        name_pattern: object = None,
        owner_id: object = None,
    ) -> Criteria:
        """Check the arguments and fix the moment before which a run is stale.

        :raises ArgumentError: for a bad value.
        """
        if name_pattern is not None and (not isinstance(name_pattern, str) or not name_pattern.strip()):
            raise ArgumentError(f"name_pattern={show(name_pattern)} is not a pattern such as 'Onboarding*'.")
        try:
            before = None if stale_after is None else now - duration("stale_after", stale_after)
        except OverflowError:
            raise ArgumentError(f"stale_after={show(stale_after)} reaches back before the calendar begins.") from None
        return cls(
            stale_before=before,
            stale_by=check_choice("stale_by", stale_by, TIMESTAMPS),
            name_pattern=name_pattern,
            owner_id=None if owner_id is None else check_user_id("owner_id", owner_id),
        )

    def keeps(self, run: Mapping[str, Any]) -> bool:
        """Whether a run meets them all. A run without the timestamp is not stale: there is no telling."""
        if self.owner_id is not None and str(run.get("owner_id")) != str(self.owner_id):
            return False
        if self.name_pattern is not None and not fnmatchcase(
            str(run.get("name") or "").casefold(), self.name_pattern.casefold()
        ):
            return False
        if self.stale_before is None:
            return True
        modified = moment(run.get(self.stale_by))
        return modified is not None and modified < self.stale_before


def contradicts(run: Mapping[str, Any], request: Request) -> bool:
    """Whether a run is one that the list request had asked Tallyfy to leave out."""
    asked = dict(request.params)
    status, archived = asked.get("status"), asked.get("archived")
    if archived != "true" and "archived_at" in run and is_archived(run) is not (archived == "only"):
        return True
    if status in _STATUS and not is_archived(run) and str(run.get("status", "")).lower() not in _STATUS[str(status)]:
        return True
    words = str(asked.get("q", "")).casefold().split()
    if not all(word in str(run.get("name") or "").casefold() for word in words):
        return True
    for name in ("checklist_id", "type"):
        if name in asked and run.get(name) not in (None, "") and str(run[name]) != str(asked[name]):
            return True
    starred = True if status == "starred" else asked.get("starred")
    if starred is not None and isinstance(run.get("starred"), bool) and run["starred"] is not starred:
        return True
    tags, folders = tag_ids(run), folder_ids(run)
    if "tag_ids" in asked and tags is not None and not set(tags) & set(str(asked["tag_ids"]).split(",")):
        return True
    if asked.get("untagged") is True and tags:
        return True
    return "folder" in asked and folders is not None and str(asked["folder"]) not in folders


#: Statuses of a row that fit a status filter. "problem" returns runs with an issue too; "delayed" and "improvement"
#: need not show in a row's status at all.
_STATUS = {
    "active": {"active", "in-progress", "problem", "issue", "delayed"},
    "complete": {"complete", "completed"},
    "problem": {"problem", "issue"},
    "issue": {"issue"},
}


@dataclass
class FoundRuns:
    """What a search looked at and what became of it.

    :param looked_at: runs that Tallyfy returned.
    :param kept: runs that met every criterion.
    :param non_matching: runs that contradict a filter which Tallyfy should have applied; they are left out.
    :param undated: runs without the timestamp that decides; they are left out.
    """

    looked_at: int = 0
    kept: int = 0
    non_matching: int = 0
    undated: int = 0
    rows: list[Run] = field(default_factory=list)

    def sift(self, runs: Iterable[Run], request: Request, criteria: Criteria) -> Iterator[Run]:
        """Yield the runs that are wanted, counting all of them."""
        for run in runs:
            self.looked_at += 1
            if contradicts(run, request):
                self.non_matching += 1
            elif criteria.keeps(run):
                self.kept += 1
                yield run
            elif criteria.stale_before is not None and moment(run.get(criteria.stale_by)) is None:
                self.undated += 1


def row_of(run: Run, fields: Iterable[str]) -> Run:
    """The chosen fields of a run; a field that it lacks is ``None``."""
    return {name: run.get(name) for name in fields}


def _rank(row: Run, order: str) -> Any:
    """Where a row stands in an order; ``None`` if it does not say."""
    if order.lstrip("-") == "name":
        return str(row.get("name") or "").casefold()
    return moment(row.get(order.lstrip("-")))


def in_order(rows: Iterable[Run], order: str) -> bool:
    """Whether rows come in the order that was asked for, as far as they tell."""
    ranks = [rank for row in rows if (rank := _rank(row, order)) is not None]
    if order.startswith("-"):
        ranks.reverse()
    return all(first <= second for first, second in pairwise(ranks))


def arranged(rows: list[Run], order: str) -> list[Run]:
    """Sort rows; those without the timestamp come last."""
    ranked = [(rank, row) for row in rows if (rank := _rank(row, order)) is not None]
    ranked.sort(key=lambda pair: pair[0], reverse=order.startswith("-"))
    return [row for _, row in ranked] + [row for row in rows if _rank(row, order) is None]


def include_for(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Relations that a row must show so that the filters can be checked on it."""
    tags = asked.get("tag_ids") is not None or asked.get("untagged") is not None
    return tuple(name for name, needed in (("tags", tags), ("folders", asked.get("folder") is not None)) if needed)


def sort_for(order: str) -> str:
    """The order to ask Tallyfy for: its own where it knows it, else one that keeps pages stable."""
    check_choice("order", order, ORDERS)
    return order if order in SERVER_ORDERS else "created_at"


def utc_now_from(seconds: float) -> datetime:
    """A moment from seconds since the epoch (the rules have no clock of their own)."""
    return datetime.fromtimestamp(seconds, timezone.utc)
