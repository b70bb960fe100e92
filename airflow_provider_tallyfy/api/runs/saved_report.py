"""The report of a bulk change as a file, and the runs that a later task may take from it.

The first line is the header, which names the task. Then comes one line per run, from the last time the whole file was
written. While the task runs, it appends lines: the runs that it is about to change, and the results. If there are
several lines about a run, the last one counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id
from airflow_provider_tallyfy.api.runs.report import ALREADY, DONE, RESULTS, Report, Target, runs

FORMAT = 1
_MARK = "tallyfy_bulk_report"
_SENDING = "sending"

#: The operations whose reports an operation accepts. To undo an undo is to redo the change.
TAKES: dict[str, tuple[str, ...]] = {
    "archive": ("activate",),
    "activate": ("archive",),
    "update": ("update", "activate"),  # archived runs can't be updated
    "restore": ("update", "restore"),
}


@dataclass(frozen=True)
class Header:
    """The header of a report: which task wrote it, and what the task did.

    :param doing: ``archive``, ``activate``, ``update`` or ``restore``.
    :param organization_id: the organization of the runs.
    :param dry_run: whether nothing was written.
    :param dag_id: identifies the task, with the three that follow.
    :param map_index: -1 = not mapped.
    :param try_number: the last try that wrote to the report.
    :param began: start of the first try (ISO 8601, UTC, by the worker's clock).
    :param written: the last time that the whole file was written.
    :param source: the header of the report that the runs were taken from.
    :param open: the task has not ended: ``noted`` = each run was recorded before anything was sent for it; ``any`` =
        runs marked as not tried may have been changed since ``written``.
    """

    doing: str
    organization_id: str
    dry_run: bool = False
    dag_id: str | None = None
    dag_run_id: str | None = None
    task_id: str | None = None
    map_index: int = -1
    try_number: int = 1
    began: str = ""
    written: str = ""
    source: Mapping[str, Any] | None = None
    open: str = ""

    @property
    def task(self) -> tuple[Any, ...]:
        """Identifies the task, whichever its try."""
        return self.dag_id, self.dag_run_id, self.task_id, self.map_index

    def __str__(self) -> str:
        task = f"task {self.task_id} of {self.dag_id}, run {self.dag_run_id}" if self.dag_id else "an unnamed task"
        mapped = f", map index {self.map_index}" if self.map_index >= 0 else ""
        dry = ", a dry run" if self.dry_run else ""
        return f"{self.doing} by {task}{mapped}{dry}, begun {self.began or '?'}"

    def line(self) -> str:
        """Return the header as the first line of the file."""
        return as_line({_MARK: FORMAT, **{name: value for name, value in asdict(self).items() if value is not None}})

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Header:
        """Read a header from the parsed first line.

        :raises ArgumentError: if it is not a header of this format.
        """
        kinds = {
            "dry_run": bool, "map_index": int, "try_number": int, "source": Mapping,
        }  # fmt: skip
        if _MARK not in line:
            raise ArgumentError("it does not begin with the header of a bulk report")
        if line[_MARK] != FORMAT:
            raise ArgumentError(f"this version of the provider reads format {FORMAT} only")
        known = {field.name: line[field.name] for field in fields(cls) if field.name in line}
        if not {"doing", "organization_id"} <= known.keys():
            raise ArgumentError("its header names no operation or no organization")
        if not all(isinstance(value, kinds.get(name, str)) for name, value in known.items()):
            raise ArgumentError("its header has a value of the wrong type")
        return cls(**known)


@dataclass(frozen=True)
class SavedReport:
    """A report that was read: its header, and its rows by run id. The row of an unclear run has ``unclear``."""

    header: Header
    rows: Mapping[str, Mapping[str, Any]]


def as_line(value: Mapping[str, Any]) -> str:
    """Return a value as a line of the file."""
    # A name that was cut in the middle of a character can't be encoded as UTF-8. A JSON escape can hold it.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n"


def sending(run_ids: Iterable[str]) -> str:
    """Return the line that says that these runs are about to be changed."""
    return as_line({_SENDING: list(run_ids)})


def whole_report(header: Header, report: Report) -> str:
    """Return the text of the whole file."""
    more = {"dry_run": True} if report.dry_run else {}
    return "".join([header.line(), *(as_line({**entry.as_row(), **more}) for entry in report.entries.values())])


def read_report(text: str) -> SavedReport:
    """Read a report. A truncated last line is ignored. Errors name the line, but do not quote it.

    :raises ArgumentError: if the text is not a report.
    """
    header, rows = None, dict[str, dict[str, Any]]()
    lines = [line for line in text.split("\n") if line.strip()]  # not splitlines(): names may contain other line ends
    for number, line in enumerate(lines, 1):
        try:
            parsed = json.loads(line)
            if not isinstance(parsed, dict):
                raise ArgumentError("it is not an object")
            if header is None:
                header = Header.read(parsed)
            elif _SENDING in parsed:
                for run_id in parsed[_SENDING]:
                    rows[check_id("run_id", run_id)]["unclear"] = True
            elif parsed["result"] in RESULTS:
                rows[check_id("run_id", parsed["run_id"])] = parsed
            else:
                raise ArgumentError("it has no result")
        except ArgumentError as error:
            raise ArgumentError(f"line {number} is not a line of a bulk report: {_short(error)}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            if number == len(lines) and number > 1:
                break
            raise ArgumentError(f"line {number} is not a line of a bulk report") from None
    if header is None:
        raise ArgumentError("it is empty")
    if header.open == "any":
        for row in rows.values():
            if row["result"] == "not_tried":
                row["unclear"] = True
    return SavedReport(header, rows)


def _short(error: ArgumentError) -> str:
    text = str(error)
    return text if "=" not in text else "it has no run id"


def take(
    saved: SavedReport, doing: str, organization_id: str, *, include_unclear: bool = False
) -> tuple[list[Target], list[str], str]:
    """Return the runs that an operation takes from a report.

    :param doing: ``archive``, ``activate``, ``update`` or ``restore``.
    :param include_unclear: also take the runs that the task may have changed without knowing it, if they were archived
        after it began.
    :return: the runs; the ids of unclear runs that are skipped; and the reason if there is nothing to take.
    :raises ArgumentError: for the report of another operation, of another organization, or of a dry run.
    """
    header = saved.header
    if header.doing not in TAKES[doing]:
        raise ArgumentError(
            f"it is the report of another operation ({header}). {doing} accepts the report of "
            f"{' or '.join(TAKES[doing])}. Nothing was changed"
        )
    if header.dry_run:
        raise ArgumentError(f"it is the report of a dry run, which changed nothing ({header}). Nothing was changed")
    if header.organization_id != organization_id:
        raise ArgumentError(
            f"it is about organization {header.organization_id}, but this task is about {organization_id}. Nothing was "
            "changed"
        )
    taken, unclear = [], []
    for run_id, row in saved.rows.items():
        target = Target.of_row(run_id, row)
        if row["result"] == "changed":
            taken.append(target)
        elif row.get("unclear"):
            if include_unclear:
                taken.append(replace(target, seen=None, archived_since=header.began))
            else:
                unclear.append(run_id)
    return taken, unclear, "" if taken else _why_nothing(saved, doing, unclear)


def _why_nothing(saved: SavedReport, doing: str, unclear: list[str]) -> str:
    counts = Counter(row["result"] for row in saved.rows.values())
    already = ALREADY.get(saved.header.doing, "already restored")
    words = {"already": already, "modified": "skipped", "failed": "failed", "not_tried": "not tried"}
    rest = [f"{counts[result]:,} {word}" for result, word in words.items() if counts[result]]
    rest += [f"{len(unclear):,} of them unclear"] if unclear else []
    done = DONE[saved.header.doing]
    return f"The report shows no {done} run ({runs(len(saved.rows))}{': ' if rest else ''}{', '.join(rest)})"
