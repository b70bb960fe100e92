"""Reports of bulk changes, in the log and in files."""

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
#: Faults of a path that stay, so that a retry would only meet them again.
_LASTING = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)

#: What makes Airflow know a kind of object storage.
_PACKAGES = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google and gcsfs",
    "abfs": "apache-airflow-providers-microsoft-azure and adlfs",
}


def log(logger: Any, report: Report) -> None:
    """Write the whole report to the log: every run is named, one line for each that needs a word."""
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
    """The file that a bulk task keeps of its own work.

    A local file gets a line before anything is sent for a run, and one with the result. A killed process loses neither
    (the operating system has them; only a crash of the machine itself would). Object storage can't add to a file, so
    there the whole report is written every few seconds, and says that what was not tried by then may have been.

    :param path: local path, or an object-storage path.
    :param header: whose report it is.
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
        """Whether lines can be added to the file."""
        return self._header.open == "noted"

    def look(self, source: Header | None = None) -> SavedReport | None:
        """Read what is at the path already, so that nothing is lost by writing there.

        :param source: the header of the report that the runs are taken from.
        :return: the report of an earlier try of this task.
        :raises TallyfyArgumentError: for a file that is no report, and for one whose loss would be one: that of another
            task, that of real work before a dry run, and the very report that the runs are taken from. What the same
            task left there in another DAG run is overwritten.
        """
        saved = self._there()
        if saved is None:
            return None
        there, own = saved.header, self._header
        why = ""
        if there.dry_run:
            pass  # nothing is lost
        elif source is not None and there == source:
            why = "it is the report that from_report names"
        elif (there.dag_id, there.task_id, there.map_index) != (own.dag_id, own.task_id, own.map_index):
            why = "it belongs to another task"
        elif own.dry_run:
            why = "this is a dry run, and it tells of real changes"
        elif there.dag_run_id != own.dag_run_id or own.try_number <= 1:
            return None
        elif (there.doing, there.organization_id) != (own.doing, own.organization_id):
            why = "an earlier try of this task did something else"
        if why:
            raise TallyfyArgumentError(
                f"report_path={self.path!r} holds a report that would be lost: {why} ({there}). Give each task a path "
                "of its own, and each mapped one too: put {{ ti.task_id }} and {{ ti.map_index }} into it. Nothing was "
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

    def write(self, report: Report, *, ended: bool = False) -> None:
        """Write the whole file. A local one is replaced in one step, so it is never half there.

        :param ended: nothing more will be sent.
        :raises TallyfyReportError: if it can't be written; a retry may help.
        :raises TallyfyArgumentError: if it can't be written, and never will be; and at the end, if another task has
            overwritten it meanwhile. Then this one's is written beside it.
        """
        # What stood there in the beginning has been looked at; what another has written since must not get lost.
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
        """See who has written to the path while this task ran.

        Another try of the same task, one that Airflow had given up and that went on all the same, is merged.
        """
        try:
            saved = self._there()
        except TallyfyError:
            return ""  # unreadable, so nobody loses it
        if saved is None or saved.header.dry_run:
            return ""
        there, own = saved.header, self._header
        if there.task == own.task:
            if there.try_number != own.try_number:
                report.merge_earlier(saved.rows)
            return ""
        path, self.path = self.path, f"{self.path}.{own.task_id}.{max(own.map_index, 0)}"
        return (
            f"report_path={path!r} was overwritten by another task meanwhile ({there}). The report of this one is at "
            f"{self.path!r}. Give each task a path of its own."
        )

    def add(self, done: list[Entry], begun: list[str]) -> None:
        """Add lines: the results since the last time, and the runs that are about to be written to.

        :raises TallyfyReportError: if it can't be written.
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
                os.ftruncate(self._descriptor, self._size)  # half a line would spoil those that follow
                raise

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def load(argument: str, path: str) -> SavedReport:
    """Read a report that must be there.

    :raises TallyfyArgumentError: if it is not, or is no report.
    :raises TallyfyReportError: if it can't be read for now.
    """
    try:
        saved = _read(path)
    except FileNotFoundError:
        raise TallyfyArgumentError(f"There is no report at {argument}={path!r}. Nothing was changed.") from None
    if saved is None:
        refuse(argument, path, "it is empty")
    return saved


def refuse(argument: str, path: str, why: str) -> NoReturn:
    """Say that a file is not what was expected."""
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
        refuse("report", path, f"{error}. It must be a file that report_path of a bulk task wrote. Nothing was changed")


@contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """Turn what goes wrong with a file into an exception of this provider that names the path."""
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
    """Whether two paths name one file.

    However they are spelt: relative, by a link, as ``file://``, with another connection id.
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
    """The time, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
