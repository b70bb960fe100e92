"""The filters of a list of runs: how each one is checked, sent, and compared with a row.

Tallyfy ignores parameters that it does not know. If it ignored a filter, a clean-up would archive the wrong runs, so
every filter is applied again to the rows. A row without the field that a filter needs does not match. ``owners``,
``groups`` and ``task_status`` are exceptions: rows do not show the values that Tallyfy compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase, translate
from functools import cached_property
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints.paths import csv
from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_choice,
    check_flag,
    check_text,
    did_you_mean,
    show,
)
from airflow_provider_tallyfy.api.protocol.messages import Param
from airflow_provider_tallyfy.api.runs.model import (
    Run,
    folder_ids,
    is_archived,
    member_ids,
    tag_ids,
)
from airflow_provider_tallyfy.api.timestamps import ago, check_duration, check_instant, instant, readable
from airflow_provider_tallyfy.api.titles import Kind

STATUSES = ("active", "complete", "problem", "issue", "improvement", "archived", "delayed", "starred")
TYPES = ("procedure", "form", "document")
TASK_STATUSES = ("all", "in-progress", "completed")
#: Timestamps that ``stale_by`` can name, and the words for a log line.
TIMESTAMPS = {
    "last_updated": "not updated since",
    "completed_at": "completed before",
    "created_at": "created before",
    "started_at": "started before",
}

#: Statuses of a row that match a status filter. "problem" also returns runs with an issue; "delayed" and "improvement"
#: may not show in a row's status.
_STATUS = {
    "active": {"active", "in-progress", "problem", "issue", "delayed"},
    "complete": {"complete", "completed"},
    "problem": {"problem", "issue"},
    "issue": {"issue"},
}


def _check_archived(argument: str, value: object) -> bool | str:
    if value == "only":
        return "only"
    try:
        return check_flag(argument, value)
    except ArgumentError:
        raise ArgumentError(
            f"{argument}={show(value)}: use False (live runs), True (live and archived runs) or 'only' (archived runs)."
        ) from None


def _check_pattern(argument: str, value: object) -> str:
    if isinstance(value, str) and value.strip():
        try:
            re.compile(translate(value.casefold()))
        except re.error:  # such as "[z-a]"
            pass
        else:
            return value
    raise ArgumentError(f"{argument}={show(value)} is not a pattern such as 'Onboarding*'.")


def _choice(choices: Mapping[str, Any] | tuple[str, ...]) -> Callable[[str, object], str]:
    return lambda argument, value: check_choice(argument, value, choices)


def _title(kind: Kind) -> Callable[[str, object], str]:
    return lambda argument, value: titles.check_title(argument, value, kind)


def _titles(kind: Kind) -> Callable[[str, object], list[str]]:
    def check(argument: str, value: object) -> list[str]:
        names = titles.check_titles(argument, value, kind)
        if not names:
            raise ArgumentError(f"{argument}={show(value)} is empty. Omit it to find runs with any {kind.what}.")
        return names

    return check


def _owners(argument: str, value: object) -> list[int | str]:
    members = titles.check_members(argument, value)
    if not members:
        raise ArgumentError(f"{argument}={show(value)} is empty. Omit it to find everybody's runs.")
    return members


def _fits_status(run: Run, status: str) -> bool:
    if status == "starred":
        return run.get("starred") is True
    # Tallyfy may set the status of an archived run to "archived".
    return status not in _STATUS or is_archived(run) or str(run.get("status", "")).lower() in _STATUS[status]


def _fits_archived(run: Run, archived: bool | str) -> bool:
    if archived == "only":
        return is_archived(run)
    return archived is True or not is_archived(run)


def _fits_words(run: Run, words: str) -> bool:
    name = str(run.get("name") or "").casefold()
    return all(word in name for word in words.casefold().split())


def _fits_pattern(run: Run, pattern: str) -> bool:
    return fnmatchcase(str(run.get("name") or "").casefold(), pattern.casefold())


def _before(run: Run, name: str, moment: datetime) -> bool:
    shown = instant(run.get(name))
    return shown is not None and shown < moment


def _archived_after(run: Run, moment: datetime) -> bool:
    shown = instant(run.get("archived_at"))
    return shown is not None and shown >= moment


def _one(name: str) -> Callable[[Run], list[str]]:
    """Return a function that reads the id in one field of a row."""
    return lambda run: [] if run.get(name) in (None, "") else [str(run[name])]


def _groups_of(run: Run) -> list[str]:
    return [str(identity) for identity in member_ids(run, "groups") or []]


@dataclass(frozen=True)
class Filter:
    """A filter of a list of runs.

    :param name: name of the argument.
    :param check: returns the value in its normal form, or raises ``ArgumentError``.
    :param description: its text in a log line, with ``{}`` for the value.
    :param sent: name of the query parameter; ``None`` = Tallyfy has no such filter, only the rows are checked.
    :param fits: whether a row matches a value; ``None`` = rows do not show it.
    :param relation: the relation that ``fits`` needs on the row.
    :param kind: what its values are titles or ids of.
    :param shows: returns the ids in a row. An id that a row shows exists, and need not be looked up.
    :param alias_of: the filter that this is another name for.
    """

    name: str
    check: Callable[[str, object], Any]
    description: str = ""
    sent: str | None = None
    fits: Callable[[Run, Any], bool] | None = None
    relation: str | None = None
    kind: Kind | None = None
    shows: Callable[[Run], list[str] | None] | None = None
    alias_of: str | None = None


_FILTERS = (
    Filter("q", check_text, "name with {}", "q", _fits_words),
    Filter("status", _choice(STATUSES), "status {}", "status", _fits_status),
    Filter("archived", _check_archived, "archived={}", "archived", _fits_archived),
    Filter("owners", _owners, "owner or assignee {}", "owners", kind=titles.MEMBER, shows=_one("owner_id")),
    Filter(
        "owner_id",
        titles.check_member,
        "owner {}",
        fits=lambda run, owner: str(run.get("owner_id")) == str(owner),
        kind=titles.MEMBER,
        shows=_one("owner_id"),
    ),
    Filter(
        "template",
        _title(titles.TEMPLATE),
        "template {}",
        "checklist_id",
        lambda run, template: str(run.get("checklist_id")) == template,
        kind=titles.TEMPLATE,
        shows=_one("checklist_id"),
    ),
    Filter("checklist_id", _title(titles.TEMPLATE), alias_of="template"),
    Filter(
        "folder",
        _title(titles.FOLDER),
        "folder {}",
        "folder",
        lambda run, folder: folder in (folder_ids(run) or ()),
        "folders",
        titles.FOLDER,
        folder_ids,
    ),
    Filter(
        "tags",
        _titles(titles.TAG),
        "any of the tags {}",
        "tag_ids",
        lambda run, tags: not set(tags).isdisjoint(tag_ids(run) or ()),
        "tags",
        titles.TAG,
        tag_ids,
    ),
    Filter("tag", lambda argument, value: [titles.check_title(argument, value)], alias_of="tags"),
    Filter("tag_ids", _titles(titles.TAG), alias_of="tags"),
    Filter(
        "exclude_tags",
        titles.check_titles,
        "none of the tags {}",
        fits=lambda run, tags: set(tags).isdisjoint(tag_ids(run) or ()),
        relation="tags",
        kind=titles.TAG,
    ),
    Filter(
        "untagged", check_flag, "untagged={}", "untagged", lambda run, wanted: wanted is not bool(tag_ids(run)), "tags"
    ),
    Filter("starred", check_flag, "starred={}", "starred", lambda run, starred: run.get("starred") is starred),
    Filter("groups", _titles(titles.GROUP), "groups {}", "groups", kind=titles.GROUP, shows=_groups_of),
    Filter("type", _choice(TYPES), "type {}", "type", lambda run, wanted: run.get("type") == wanted),
    Filter("task_status", _choice(TASK_STATUSES), "task status {}", "task_status"),
    Filter("name_pattern", _check_pattern, "name like {}", fits=_fits_pattern),
    Filter("stale_after", check_duration),
    Filter("stale_by", _choice(TIMESTAMPS)),
    Filter("archived_after", check_instant, "archived at or after {}", fits=_archived_after),
    Filter(
        "archived_before",
        check_instant,
        "archived before {}",
        fits=lambda run, moment: _before(run, "archived_at", moment),
    ),
)
#: By name, in the order of the signatures.
FILTERS: dict[str, Filter] = {row.name: row for row in _FILTERS}


@dataclass
class Asked:
    """The checked filters of one search.

    :param values: values in normal form, by the name of the filter (never an alias). A look-up turns titles into ids.
    :param called: the name that the caller used for each filter, for errors.
    :param stale_before: runs with a ``stale_by`` before this time are stale.
    """

    values: dict[str, Any]
    called: dict[str, str]
    stale_before: datetime | None = None
    stale_by: str = "last_updated"

    @classmethod
    def of(cls, given: Mapping[str, Any], now: datetime) -> Asked:
        """Check filters; ``None`` = not given.

        :param now: ``stale_after`` is counted back from this time.
        :raises ArgumentError: for an unknown filter, an invalid value, and contradictory filters.
        """
        values: dict[str, Any] = {}
        called: dict[str, str] = {}
        for name, value in given.items():
            if (row := FILTERS.get(name)) is None:
                raise ArgumentError(unknown_filter(name))
            if value is None:
                continue
            own = row.alias_of or name
            if own in called:
                raise ArgumentError(f"{called[own]} and {name} are both given: they are the same filter.")
            values[own], called[own] = row.check(name, value), name
        if not values.get("exclude_tags", True):
            del values["exclude_tags"]
        stale_by = values.pop("stale_by", "last_updated")
        length = values.pop("stale_after", None)
        stale_before = None if length is None else ago("stale_after", length, now)
        _derive_archived(values)
        return cls(values, called, stale_before, stale_by)

    @property
    def relations(self) -> list[str]:
        """The relations that the rows must include, so that they can be checked."""
        return list(dict.fromkeys(relation for name in self.values if (relation := FILTERS[name].relation)))

    @property
    def query(self) -> dict[str, Param]:
        """The query parameters."""
        return {
            row.sent: sent
            for name, value in self.values.items()
            if (row := FILTERS[name]).sent and (sent := _written(name, value)) is not None
        }

    @cached_property
    def _checks(self) -> list[tuple[str, Callable[[Run, Any], bool], Any]]:
        """The checks of a row; the filters that were sent to Tallyfy come first."""
        rows = [(name, fits, value) for name, value in self.values.items() if (fits := FILTERS[name].fits) is not None]
        return sorted(rows, key=lambda row: not self.was_sent(row[0]))

    def misfit(self, run: Run) -> str | None:
        """Return the first filter that a row does not match; ``None`` = it matches all."""
        for name, fits, value in self._checks:
            if not fits(run, value):
                return name
        if self.stale_before is not None and not _before(run, self.stale_by, self.stale_before):
            return "stale_after"
        return None

    def was_sent(self, name: str) -> bool:
        """Whether a filter was sent to Tallyfy, or is its default: without ``archived`` it lists live runs only."""
        return name == "archived" or (name in self.values and FILTERS[name].sent in self.query)

    def undated(self, run: Run, name: str) -> bool:
        """Whether a row does not match because a timestamp is missing or can't be read."""
        if name == "stale_after":
            return instant(run.get(self.stale_by)) is None
        return (
            name in ("archived_after", "archived_before") and is_archived(run) and not instant(run.get("archived_at"))
        )

    def with_ids(self, ids: Mapping[str, Any]) -> Asked:
        """Return a copy with ids in place of titles."""
        return Asked({**self.values, **ids}, self.called, self.stale_before, self.stale_by)

    def __str__(self) -> str:
        parts = [
            FILTERS[name].description.format(_shown(value))
            for name, value in self.values.items()
            if not (name == "archived" and value is False)
        ]
        if self.stale_before is not None:
            parts.append(f"{TIMESTAMPS[self.stale_by]} {readable(self.stale_before)}")
        return ", ".join(parts) or "all live runs"


def _derive_archived(values: dict[str, Any]) -> None:
    """Derive ``archived`` from the other filters on archived runs."""
    if values.get("status") == "archived":  # status=archived is not reliable, archived=only is
        del values["status"]
        values["archived"] = "only"
    dated = [name for name in ("archived_after", "archived_before") if name in values]
    if dated and values.setdefault("archived", "only") is False:
        raise ArgumentError(f"{dated[0]} and archived=False contradict each other: live runs have no archived_at.")
    if len(dated) == 2 and values["archived_after"] >= values["archived_before"]:
        raise ArgumentError("archived_after is not before archived_before: no run could match both.")
    values.setdefault("archived", False)


def _written(name: str, value: Any) -> Param | None:
    """Return a value as a query parameter; ``None`` = not sent."""
    if name == "archived":
        return {"only": "only", True: "true", False: None}[value]
    if name == "untagged" and value is False:
        return None  # Tallyfy's pages do not say what "false" does
    if isinstance(value, list):
        return csv(value)
    written: Param = value
    return written


def _shown(value: object) -> str:
    """Return a value for a log line: shortened, with readable dates."""
    if isinstance(value, datetime):
        return readable(value)
    if isinstance(value, list):
        more = f", ... ({len(value)} in all)" if len(value) > 5 else ""
        return ", ".join(show(entry) for entry in value[:5]) + more
    return show(value) if isinstance(value, str) else str(value)


def unknown_filter(name: str) -> str:
    """Return the error message for an unknown filter, with the nearest names."""
    return f"no such filter: {show(name)}{did_you_mean(name, FILTERS)}. The filters are {', '.join(FILTERS)}."
