"""The options of a bulk change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

from airflow_provider_tallyfy.api.runs.report import Entry, Report

Doing = Literal["archive", "activate", "update", "restore"]


@dataclass
class BulkOptions:
    """The options of a bulk change.

    :param concurrency: most requests under way at a time.
    :param skip_modified: skip runs that were modified after they were found; ``None`` = if the rows show when.
    :param look_first: read the state of the runs first, and write only to those that are not in the wanted state.
    :param dry_run: write nothing; report what would happen.
    :param max_failures: stop after this many failed runs; ``None`` = try all.
    :param progress_every: seconds between two progress lines.
    :param on_progress: called with the report every ``progress_every`` seconds.
    :param on_note: called before anything is sent for a run, with the entries that got a result since the last call,
        and with the ids of the runs that are about to be written to; never by two threads at a time.
    """

    concurrency: int = 8
    skip_modified: bool | None = None
    look_first: bool = False
    dry_run: bool = False
    max_failures: int | None = None
    progress_every: float = 5.0
    on_progress: Callable[[Report], None] | None = None
    on_note: Callable[[list[Entry], list[str]], None] | None = None


class BulkOptionsByName(TypedDict, total=False):
    """The fields of :class:`BulkOptions` as keyword arguments, for editors; a test compares the two."""

    concurrency: int
    skip_modified: bool | None
    look_first: bool
    dry_run: bool
    max_failures: int | None
    progress_every: float
    on_progress: Callable[[Report], None] | None
    on_note: Callable[[list[Entry], list[str]], None] | None


class BulkArguments(BulkOptionsByName, total=False):
    """The keyword arguments that the methods for many runs pass to ``bulk_change``."""

    max_runs: int | None
    options: BulkOptions | None
