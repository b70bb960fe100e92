"""The output of the demo: plain text of at most 100 columns, with colours on a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import airflow_provider_tallyfy
from airflow_provider_tallyfy.sandbox import Sandbox

WIDTH = 100
INDENT = 23  # of a value
TTY = sys.stdout.isatty()
COLOUR = TTY and "NO_COLOR" not in os.environ
LIMITS = (38, 9, 14, 18, 14)  # of the table's columns
BOLD, DIM, GREEN = "1", "2", "32"

OURS = "|".join(re.escape(path.name) for path in Path(airflow_provider_tallyfy.__file__).parent.rglob("*.py"))
#: A line by this provider in Airflow's log: from Airflow 3.1 on, and before 3.1.
MESSAGES = (
    re.compile(r"^\S+ \[(?P<level>\w+) *\] (?P<text>.*?) +\[airflow\.task\.\w+\.airflow_provider_tallyfy[\w.]*\]"),
    re.compile(rf"^\[[\d\-T:.,+ ]+\] \{{(?:{OURS}):\d+\}} (?P<level>\w+) - (?P<text>.*)$"),
)
#: The exception that a task failed with.
FAILURE = re.compile(r"^(?:airflow_provider_tallyfy\.exceptions\.)?(?P<text>Tallyfy\w+Error: .*)$")
#: The first line after that exception.
NEXT_ENTRY = re.compile(r"\d{4}-\d\d-\d\d[T ]|\[|Traceback |The above |During ")
#: Lines to hide, because a later line has the result, or because the demo shows the same itself.
ANNOUNCEMENT = re.compile(r"(Archiv|Activat|Updat)ing run |Launching a run |(changed|already|not_tried): |\*\*")


@dataclass(frozen=True)
class Row:
    """A row of the table: one run."""

    run_id: str
    name: str
    state: str
    owner: str
    tags: str
    modified: datetime | None

    @property
    def archived(self) -> bool:
        """Whether it is archived."""
        return self.state == "archived"


def rows_of(sandbox: Sandbox) -> list[Row]:
    """All runs of the sandbox, the oldest change first."""
    organization = sandbox.organization
    rows = [
        Row(
            run["id"],
            run["name"],
            "archived" if run["is_archived"] else run["status"],
            organization.members[run["owner_id"]].full_name,
            ", ".join(organization.tags[tag].title for tag in run["tags"]),
            _moment(run["last_updated"]),
        )
        for run in sandbox.runs()
    ]
    return sorted(rows, key=lambda row: row.modified or datetime.max.replace(tzinfo=timezone.utc))


def row_of_listing(run: dict[str, Any], archived: bool) -> Row:
    """The row for a run that the DAG found."""
    owner = f"user {run['owner_id']}" if run.get("owner_id") else ""
    state = "archived" if archived else str(run.get("status") or "")
    return Row(run["id"], str(run.get("name")), state, owner, "", _moment(run.get("last_updated")))


def changed(before: Iterable[Row], after: Iterable[Row]) -> set[str]:
    """The ids of the runs whose state has changed."""
    states = {row.run_id: row.state for row in before}
    return {row.run_id for row in after if states.get(row.run_id) != row.state}


def title(text: str) -> None:
    """Print the title."""
    _print(f"\n{text}\n{'=' * len(text)}", BOLD)


def heading(number: int, text: str) -> None:
    """Print a numbered heading."""
    _print(f"\n{number}. {text}", BOLD)


def note(text: str) -> None:
    """Print a remark."""
    _print(textwrap.fill(text, WIDTH, initial_indent=" " * 3, subsequent_indent=" " * 5).rstrip(), DIM)


def pair(name: str, value: str) -> None:
    """Print a name and a value."""
    print(f"   {name:<{INDENT - 4}} {value}", flush=True)


def table(rows: Sequence[Row], marked: Collection[str] = (), most: int = 60) -> None:
    """Print runs, with a star before each marked one."""
    if not rows:
        return
    cells = [("run", "state", "owner", "tags", "last modified")]
    cells += [(row.name, row.state, row.owner, row.tags, _ago(row.modified)) for row in rows]
    shown = [column for column in range(len(cells[0])) if any(line[column] for line in cells[1:])]
    widths = {column: min(max(len(line[column]) for line in cells), LIMITS[column]) for column in shown}
    for number, line in enumerate(cells[: most + 1]):
        star = bool(number) and rows[number - 1].run_id in marked
        text = "  ".join(f"{_cut(line[column], width):<{width}}" for column, width in widths.items())
        _print(f" {'*' if star else ' '} {text.rstrip()}", GREEN if star else DIM if not number else "")
    if len(rows) > most:
        note(f"... and {len(rows) - most} more")


def summary_in_brief(summary: dict[str, Any] | None) -> str:
    """The counts in the summary of a bulk task; ``-`` for a task that has failed."""
    if summary is None:
        return "-"
    names = ("total", "changed", "already", "modified", "failed", "not_tried", "requests")
    counts = {name: summary[name] for name in names}
    return wrapped(f"{json.dumps(counts)[:-1]}, ...}}")


def wrapped(text: str) -> str:
    """A long line in several lines, as a value of :func:`pair`."""
    return indented(textwrap.fill(text, WIDTH - INDENT))


def indented(text: str) -> str:
    """A text of several lines, indented as a value of :func:`pair`."""
    return textwrap.indent(text, " " * INDENT).lstrip()


class Progress:
    """Shows the lines by this provider in Airflow's log.

    :param what: shown on a terminal until the first such line.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.last = ""
        self.failing = False

    def __enter__(self) -> Progress:
        if TTY:
            print(f"   {self.what} ...", end="\r", flush=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if TTY and not self.last:
            print("\x1b[K", end="", flush=True)

    def read(self, line: str) -> None:
        """Read a line of the log, and show it if it is by this provider."""
        text = re.sub(r"\x1b\[[\d;]*m", "", line).rstrip()
        if self.failing and text and not NEXT_ENTRY.match(text):
            self._show(text)
            return
        self.failing = False
        if found := FAILURE.match(text):
            self.failing = True
            self._show(found["text"])
        for pattern in MESSAGES:
            if (found := pattern.match(text)) and found["level"].upper() != "DEBUG":
                if not ANNOUNCEMENT.match(found["text"]):
                    self._show(found["text"])
                return

    def _show(self, text: str) -> None:
        if text == self.last:  # before Airflow 3.1, each line appears twice
            return
        if TTY and not self.last:
            print("\x1b[K", end="")
        self.last = text
        print(textwrap.fill(text, WIDTH, initial_indent=" " * 3, subsequent_indent=" " * 5), flush=True)


def _print(text: str, style: str = "") -> None:
    print(f"\x1b[{style}m{text}\x1b[0m" if COLOUR and style else text, flush=True)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return ""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    seconds = (datetime.now(timezone.utc) - moment).total_seconds()
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = int(seconds // unit)
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "just now"
