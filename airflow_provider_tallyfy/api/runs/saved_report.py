"""The report of a bulk change as a file, and what a later task may take from it.

The first line is the header: whose report it is. Then comes a line for each run, as it was when the file was last
written as a whole. While the task runs, lines are added: which runs are about to be written to, and what became of
them. Of several lines about one run the last one counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id
from airflow_provider_tallyfy.api.runs.report import DONE, RESULTS, Report, Target, runs

FORMAT = 1
_MARK = "tallyfy_bulk_report"
_SENDING = "sending"

#: Which reports an operation takes, by what was done. An undo of an undo is a redo.
TAKES: dict[str, tuple[str, ...]] = {
    "archive": ("activate",),
    "activate": ("archive",),
    "update": ("update", "activate"),  # archived runs can't be updated
    "restore": ("update", "restore"),
}


@dataclass(frozen=True)
class Header:
    """Whose report it is.

    :param doing: ``archive``, ``activate``, ``update`` or ``restore``.
    :param organization_id: where.
    :param dry_run: nothing was written.
    :param dag_id: with the four that follow: the task that wrote it.
    :param map_index: -1 = not mapped.
    :param try_number: the last try that wrote to it.
    :param began: when the first try began (ISO 8601, UTC, by the worker's clock).
    :param written: when the file was last written as a whole.
    :param source: the header of the report that the runs were taken from.
    :param open: the task has not ended: ``noted`` = each run was noted before anything was sent for it; ``any`` = runs
        that were not tried may have been written to since ``written``.
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
        """What makes two headers those of one task, whichever its try."""
        return self.dag_id, self.dag_run_id, self.task_id, self.map_index

    def __str__(self) -> str:
        task = f"task {self.task_id} of {self.dag_id}, run {self.dag_run_id}" if self.dag_id else "an unnamed task"
        mapped = f", map index {self.map_index}" if self.map_index >= 0 else ""
        dry = ", a dry run" if self.dry_run else ""
        return f"{self.doing} by {task}{mapped}{dry}, begun {self.began or '?'}"

    def line(self) -> str:
        """The header as the first line of the file."""
        return as_line({_MARK: FORMAT, **{name: value for name, value in asdict(self).items() if value is not None}})

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Header:
        """Read it again.

        :raises ArgumentError: if it is none.
        """
        kinds = {
            "dry_run": bool, "map_index": int, "try_number": int, "source": Mapping,
        }  # fmt: skip
        if _MARK not in line:
            raise ArgumentError("it does not begin with the header of a bulk report")
        if line[_MARK] != FORMAT:
            raise ArgumentError(f"its format is not {FORMAT}, the one that this version reads")
        known = {field.name: line[field.name] for field in fields(cls) if field.name in line}
        if not {"doing", "organization_id"} <= known.keys():
            raise ArgumentError("its header names no operation or no organization")
        if not all(isinstance(value, kinds.get(name, str)) for name, value in known.items()):
            raise ArgumentError("its header has a value of the wrong type")
        return cls(**known)


@dataclass(frozen=True)
class SavedReport:
    """A report that was read: its header, and by run id its rows. An unclear run has ``unclear`` in its row."""

    header: Header
    rows: Mapping[str, Mapping[str, Any]]


def as_line(value: Mapping[str, Any]) -> str:
    """A line of the file."""
    # Half of a surrogate pair, which a name cut by somebody may end in, is no UTF-8; as an escape it is JSON.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n"


def sending(run_ids: Iterable[str]) -> str:
    """The line that says: these runs are about to be written to."""
    return as_line({_SENDING: list(run_ids)})


def whole_report(header: Header, report: Report) -> str:
    """The text of the file as a whole."""
    more = {"dry_run": True} if report.dry_run else {}
    return "".join([header.line(), *(as_line({**entry.as_row(), **more}) for entry in report.entries.values())])


def read_report(text: str) -> SavedReport:
    """Read a report. A last line that was cut off is left out. Errors name the line, and quote nothing of it.

    :raises ArgumentError: if it is no report.
    """
    header, rows = None, dict[str, dict[str, Any]]()
    lines = [line for line in text.split("\n") if line.strip()]  # names may hold other characters that end lines
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
            raise ArgumentError(f"line {number} is no line of a bulk report: {_short(error)}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            if number == len(lines) and number > 1:
                break
            raise ArgumentError(f"line {number} is no line of a bulk report") from None
    if header is None:
        raise ArgumentError("it is empty")
    if header.open == "any":
        for row in rows.values():
            if row["result"] == "not_tried":
                row["unclear"] = True
    return SavedReport(header, rows)


def _short(error: ArgumentError) -> str:
    text = str(error)
    return text if "=" not in text else "it holds no run id"


def take(
    saved: SavedReport, doing: str, organization_id: str, *, include_unclear: bool = False
) -> tuple[list[Target], list[str], str]:
    """The runs that an operation takes from a report.

    :param doing: ``archive``, ``activate``, ``update`` or ``restore``.
    :param include_unclear: take also the runs that the task may have changed without knowing, if they were archived
        since it began.
    :return: the runs; the ids of unclear runs that are left alone; and what to say if there is nothing to take.
    :raises ArgumentError: for the report of another operation or organization, and for that of a dry run.
    """
    header = saved.header
    if header.doing not in TAKES[doing]:
        raise ArgumentError(
            f"it is the report of another operation ({header}). {doing} takes the report of "
            f"{' or '.join(TAKES[doing])}. Nothing was changed"
        )
    if header.dry_run:
        raise ArgumentError(f"it is the report of a dry run, which changed nothing ({header}). Nothing was changed")
    if header.organization_id != organization_id:
        raise ArgumentError(
            f"it is about organization {header.organization_id}, this task about {organization_id}. Nothing was changed"
        )
    taken, unclear = [], []
    for run_id, row in saved.rows.items():
        seen, name, before = row.get("last_updated"), row.get("name"), row.get("before")
        target = Target(
            run_id,
            seen if isinstance(seen, str) and seen else None,
            name if isinstance(name, str) else None,
            before=before if isinstance(before, Mapping) else None,
        )
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
    words = {"already": "already so", "modified": "left alone", "failed": "failed", "not_tried": "not tried"}
    rest = [f"{counts[result]:,} {word}" for result, word in words.items() if counts[result]]
    rest += [f"{len(unclear):,} of them unclear"] if unclear else []
    done = DONE[saved.header.doing]
    return f"The report shows no {done} run ({runs(len(saved.rows))}{': ' if rest else ''}{', '.join(rest)})"
