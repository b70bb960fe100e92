"""The report of a bulk change, written to the log and to a file."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

from airflow_provider_tallyfy._compat import ObjectStoragePath
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.runs.report import RESULTS, Entry, Report, plain
from airflow_provider_tallyfy.api.runs.saved_report import (
    Header,
    SavedReport,
    as_line,
    read_report,
    sending,
    whole_report,
)
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyError, TallyfyReportError

_PER_LINE = 20
#: Errors of a path that a retry cannot fix.
_LASTING = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)

#: The packages that Airflow needs for each kind of object storage.
_PACKAGES = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google and gcsfs",
    "abfs": "apache-airflow-providers-microsoft-azure and adlfs",
}


def log(logger: Any, report: Report) -> None:
    """Log the whole report: all ids, and a line of its own for each run that failed, was skipped or is unclear."""
    for result in RESULTS:
        entries = [entry for entry in report.entries.values() if entry.result == result]
        worth_a_line = result in {"failed", "modified"}
        ids = [entry.run_id for entry in entries if not (worth_a_line or entry.unclear)]
        for start in range(0, len(ids), _PER_LINE):
            logger.info("%s: %s", result, " ".join(ids[start : start + _PER_LINE]))
        for entry in entries:
            if worth_a_line or entry.unclear:
                name = f" {plain(entry.name)}" if entry.name else ""
                logger.warning("%s: %s%s: %s", result, entry.run_id, name, plain(entry.reason))
    (logger.info if report.complete else logger.error)("%s.", report.sentence())
    logger.debug("Requests to Tallyfy: %d.", report.requests)


class ReportFile:
    """The file in which a bulk task records its work.

    In a local file, each run gets a line before anything is sent for it, and another with the result. If the process is
    killed, both are kept, because the operating system has them; only a crash of the machine can lose them. Object
    storage cannot append to a file. There the whole report is rewritten every few seconds, and it says that runs which
    were not tried by then may have been changed.

    :param path: local path, or object-storage path.
    :param header: which task the report belongs to.
    """

    def __init__(self, path: str, header: Header) -> None:
        self.path = path
        self.earlier: Mapping[str, Mapping[str, Any]] = {}
        self._header = replace(header, open="any" if "://" in path else "noted")
        self._descriptor: int | None = None
        self._size = 0
        self._written = False
        self._moved = ""

    @property
    def adds_lines(self) -> bool:
        """Whether lines can be appended to the file."""
        return self._header.open == "noted"

    def look(self, source: Header | None = None) -> SavedReport | None:
        """Read the file that is already at the path, to make sure that writing there loses nothing.

        The report of the same task in another DAG run may be overwritten, and so may the report of a dry run.

        :param source: the header of the report that the runs are taken from.
        :return: the report of an earlier try of this task.
        :raises TallyfyArgumentError: if the file is not a report, if it is the report of another task or the one that
            the runs are taken from, and if this is a dry run but the report is about real changes.
        """
        saved = self._there()
        if saved is None:
            return None
        there, own = saved.header, self._header
        why = ""
        if there.dry_run:
            pass  # the report of a dry run may be overwritten
        elif source is not None and there == source:
            why = "it is the report that from_report names"
        elif (there.dag_id, there.task_id, there.map_index) != (own.dag_id, own.task_id, own.map_index):
            why = "it belongs to another task"
        elif own.dry_run:
            why = "this is a dry run, and the report is about real changes"
        elif there.dag_run_id != own.dag_run_id or own.try_number <= 1:
            return None
        elif (there.doing, there.organization_id) != (own.doing, own.organization_id):
            why = "an earlier try of this task did another operation"
        if why:
            raise TallyfyArgumentError(
                f"report_path={self.path!r} contains a report that would be lost: {why} ({there}). Each task, and each "
                "mapped instance, needs its own path: put {{ ti.task_id }} and {{ ti.map_index }} into it. Nothing was "
                "changed."
            )
        if there.dry_run:
            return None
        self.earlier = saved.rows
        self._header = replace(own, began=there.began)
        return saved

    def _there(self) -> SavedReport | None:
        try:
            return _read(self.path)
        except FileNotFoundError:
            return None

    def write(self, report: Report, *, ended: bool = False, again: int = 3) -> None:
        """Write the whole file. A local file is replaced in one step, so it is never incomplete.

        :param ended: nothing more will be sent.
        :param again: how often the final report is written again if another try overwrites it at the same moment.
        :raises TallyfyReportError: if the file cannot be written; a retry may help.
        :raises TallyfyArgumentError: if the file cannot be written and a retry would not help; and at the end, if
            another task has overwritten the file. This report is then written to a path next to it.
        """
        # look() has read the file that was there before. Since then another task may have written to the path.
        if self._written and (ended or not self.adds_lines) and not self._moved:
            self._moved = self._make_room(report)
        self._written = True
        report.merge_earlier(self.earlier)
        header = replace(self._header, written=now(), open="" if ended else self._header.open)
        text = whole_report(header, report)
        with _told(self.path, "written"):
            if "://" in self.path:
                ObjectStoragePath(self.path).write_text(text, encoding="utf-8")
            else:
                self._replace(text, ended)
        if ended and "://" in self.path and again and self._overwritten(header):
            # Another task wrote between our read and our write.
            self.write(report, ended=True, again=again - 1)
        if ended and self._moved:
            raise TallyfyArgumentError(self._moved)

    def _replace(self, text: str, ended: bool) -> None:
        target = Path(self.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        self.close()
        if not ended:
            self._descriptor = os.open(part, os.O_WRONLY | os.O_APPEND)
            self._size = os.fstat(self._descriptor).st_size
        part.replace(target)

    def _make_room(self, report: Report) -> str:
        """Check whether another task has written to the path, and if so, change to another path.

        Another try of this task is merged instead: Airflow may have given up a try whose process is still running.

        :return: the error message, if the path was changed.
        """
        try:
            saved = self._there()
        except TallyfyError:
            return ""  # unreadable, so nothing can be lost
        if saved is None or saved.header.dry_run:
            return ""
        there, own = saved.header, self._header
        if there.task == own.task:
            if there.try_number != own.try_number:
                report.merge_earlier(saved.rows)
            return ""
        path, self.path = self.path, f"{self.path}.{own.task_id}.{max(own.map_index, 0)}"
        return (
            f"report_path={path!r} was overwritten by another task in the meantime ({there}). The report of this task "
            f"is at {self.path!r}. Each task needs its own path."
        )

    def _overwritten(self, header: Header) -> bool:
        """Whether the file at the path is no longer the one that this task wrote."""
        try:
            saved = self._there()
        except TallyfyError:
            return True
        return saved is None or saved.header != header

    def add(self, done: list[Entry], begun: list[str]) -> None:
        """Append lines: the results since the last call, and the runs that are about to be changed.

        :raises TallyfyReportError: if the file cannot be written.
        """
        if self._descriptor is None:
            return
        lines = [as_line(entry.as_row()) for entry in done]
        if begun:
            lines.append(sending(begun))
        data = "".join(lines).encode()
        with _told(self.path, "written"):
            try:
                size = self._size + len(data)
                while data:
                    data = data[os.write(self._descriptor, data) :]
                self._size = size
            except BaseException:
                os.ftruncate(self._descriptor, self._size)  # a partial line would spoil the next one
                raise

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def load(argument: str, path: str) -> SavedReport:
    """Read a report that must exist.

    :raises TallyfyArgumentError: if there is no file, or it is not a report.
    :raises TallyfyReportError: if the file cannot be read; a retry may help.
    """
    try:
        saved = _read(path)
    except FileNotFoundError:
        raise TallyfyArgumentError(f"There is no report at {argument}={path!r}. Nothing was changed.") from None
    if saved is None:
        refuse(argument, path, "it is empty")
    return saved


def refuse(argument: str, path: str, why: str) -> NoReturn:
    """Raise the error for a file that cannot be used.

    :raises TallyfyArgumentError: always.
    """
    raise TallyfyArgumentError(f"{argument}={path!r}: {why}.") from None


def _read(path: str) -> SavedReport | None:
    """Read a report; ``None`` for an empty file."""
    text, missing = "", False
    with _told(path, "read"):
        place = ObjectStoragePath(path) if "://" in path else Path(path)
        try:
            text = place.read_text(encoding="utf-8")
        except FileNotFoundError:
            missing = True
        except UnicodeDecodeError:
            text = "?"
    if missing:
        raise FileNotFoundError
    if not text.strip():
        return None
    try:
        return read_report(text)
    except ArgumentError as error:
        refuse("report", path, f"{error}. It must be a file that a bulk task wrote. Nothing was changed")


@contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """Turn errors of a file into exceptions of this provider that name the path."""
    try:
        yield
    except TallyfyError:
        raise
    except (ImportError, ValueError) as fault:
        scheme, separator, _ = path.partition("://")
        package = _PACKAGES.get(scheme.lower(), "the Airflow provider of that storage")
        advice = f". Paths like {scheme}:// need {package}" if separator else ""
        raise TallyfyArgumentError(
            f"The report {path!r} can't be {what}: {type(fault).__name__}: {fault}{advice}. Nothing was changed."
        ) from None
    except Exception as fault:
        lasting = isinstance(fault, _LASTING)
        kind = TallyfyArgumentError if lasting else TallyfyReportError
        raise kind(f"The report {path!r} can't be {what}: {type(fault).__name__}: {fault}") from None


def same_place(one: str, other: str) -> bool:
    """Whether two paths name the same file.

    They may be spelled differently: relative, through a link, as a ``file://`` URL, with another connection id.
    """
    try:
        first, second = _place(one), _place(other)
        return first == second or (first[0] == second[0] == "file" and os.path.samefile(first[1], second[1]))
    except (OSError, ValueError):
        return one == other


def _place(path: str) -> tuple[str, str]:
    scheme, separator, rest = path.partition("://")
    if not separator:
        return "file", os.path.realpath(path)
    if scheme.lower() in {"file", "local"}:
        return "file", os.path.realpath(rest.removeprefix("localhost") if rest.startswith("localhost/") else rest)
    bucket, _, key = rest.partition("/")
    scheme = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}.get(scheme.lower(), scheme.lower())
    return scheme, f"{bucket.rpartition('@')[2]}/{posixpath.normpath(key.lstrip('/'))}"


def now() -> str:
    """Return the current time in UTC, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
