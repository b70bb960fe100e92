"""Reports of bulk changes, in the log and in files; and the typed reading of what templates render to text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy._compat import ObjectStoragePath
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_flag, show
from airflow_provider_tallyfy.api.runs.report import RESULTS, UNCLEAR, Report, read_report
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

_PER_LINE = 20


def number(argument: str, value: object) -> int | None:
    """Read a whole number that a template may have made text of; blank = not given."""
    if value is None or value == "" or value == "None":
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TallyfyArgumentError(f"{argument}={show(value)} is not a whole number.")


def flag(argument: str, value: object) -> bool | None:
    """Read a flag that a template may have made text of; blank = not given."""
    if value is None or value == "" or value == "None":
        return None
    try:
        return check_flag(argument, value)
    except ArgumentError as error:
        raise TallyfyArgumentError(str(error)) from None


def log(logger: Any, report: Report) -> None:
    """Write the whole report to the log: every run is named."""
    for result in RESULTS:
        entries = [entry for entry in report.entries.values() if entry.result == result]
        if not entries:
            continue
        worth_a_line = result in {"failed", "modified"}
        plain = [entry.run_id for entry in entries if not worth_a_line and entry.reason != UNCLEAR]
        for start in range(0, len(plain), _PER_LINE):
            logger.info("%s: %s", result, " ".join(plain[start : start + _PER_LINE]))
        for entry in entries:
            if worth_a_line or entry.reason == UNCLEAR:
                logger.warning("%s: %s: %s", result, " ".join(filter(None, (entry.run_id, entry.name))), entry.reason)
    (logger.info if report.complete else logger.error)("%s.", report.sentence())
    logger.debug("Requests to Tallyfy: %d.", report.requests)


def save(path: str, report: Report) -> None:
    """Write the report, one JSON object per run. A local file is replaced in one step, so it is never half there."""
    text = "\n".join(report.lines()) + "\n"
    if "://" in path:
        ObjectStoragePath(path).write_text(text, encoding="utf-8")
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def load(path: str, *, must_exist: bool = False) -> Mapping[str, dict[str, Any]]:
    """Read a report.

    :raises TallyfyArgumentError: if it is no report, and if it is not there although it must be.
    """
    place = ObjectStoragePath(path) if "://" in path else Path(path)
    try:
        return read_report(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise TallyfyArgumentError(f"There is no report at {path}.") from None
        return {}
    except ArgumentError as error:
        raise TallyfyArgumentError(f"{path}: {error}") from None
