"""Helpers for tests of bulk changes: a fast clock, and checks of a report against the true state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from airflow_provider_tallyfy.api.runs.report import RESULTS, Report
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._clock import FastClock

SPEED = 500.0


def let_time_fly(clock: FastClock) -> None:
    """Run the clock of bulk changes five hundred times faster, waits and request rate included."""
    clock.speed = SPEED


def rows_of(sandbox: Sandbox, run_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows that a search would have returned for the runs."""
    states = (sandbox.run(run_id) for run_id in run_ids)
    return [{name: run[name] for name in ("id", "name", "last_updated")} for run in states if run is not None]


def rows_in(path: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the rows of a report file."""
    return _report_files.load("from_report", path).rows


def live(sandbox: Sandbox) -> int:
    """Return the number of runs that are not archived."""
    return len(sandbox.runs(archived=False))


def times(sandbox: Sandbox, run_id: str, verb: str) -> int:
    """Return how often an operation was carried out on a run."""
    return sum(event.verb == verb for event in sandbox.organization.events[run_id])


def check_sums(report: Report, run_ids: Iterable[str]) -> None:
    """Check that each run is in the report once with a valid result, that failures have a reason, and the sums."""
    assert sorted(report.entries) == sorted(set(run_ids))
    counts = report.counts
    assert Counter(entry.result for entry in report.entries.values()) == Counter(
        {result: count for result, count in counts.items() if count}
    )
    assert tuple(counts) == RESULTS
    assert sum(counts.values()) == len(report.entries) == report.summary()["total"]
    for entry in report.entries.values():
        assert entry.reason or entry.result not in {"failed", "modified"}, entry
    assert report.complete is (counts["failed"] + counts["not_tried"] == 0)
    assert bool(report.stopped) is bool(counts["not_tried"]), report.stopped


def check_truth(sandbox: Sandbox, report: Report, archived: bool) -> None:
    """Check that the result of each run is true."""
    for run_id, entry in report.entries.items():
        run = sandbox.run(run_id)
        if run is None:
            assert entry.result == "failed", entry
        elif entry.result in {"changed", "already"}:
            assert run["is_archived"] is archived, entry
        elif "may or may not" not in entry.reason:
            assert run["is_archived"] is not archived, entry


def count(sandbox: Sandbox, start: str) -> int:
    """Return the number of requests that begin with a text."""
    return sum(call.startswith(start) for call in sandbox.calls)


class Task:
    """Executes operators as a task would, and keeps the XComs that they push.

    :param conn_id: the connection.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.pushed: dict[str, Any] = {}

    def execute(
        self,
        operator_class: Callable[..., Any],
        try_number: Any = 1,
        identity: Any = None,
        **arguments: Any,
    ) -> Any:
        """Create an operator and run it."""
        operator = operator_class(task_id="bulk", tallyfy_conn_id=self.conn_id, **arguments)
        return self.run(operator, try_number, **(identity or {}))

    def run(self, operator: Any, try_number: int = 1, **identity: Any) -> Any:
        """Run an operator.

        :param identity: attributes of the task instance that differ from the defaults.
        """
        self.pushed = {}
        known = {"dag_id": "sweep", "run_id": "r1", "task_id": type(operator).__name__, "map_index": -1, **identity}
        return operator.execute({"ti": SimpleNamespace(**known, try_number=try_number, xcom_push=self.push)})

    def push(self, key: str, value: Any) -> None:
        """Push an XCom."""
        self.pushed[key] = json.loads(json.dumps(value))
