"""What tests of bulk changes share: time that flies, and a report held against the truth."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs.report import RESULTS, Report
from airflow_provider_tallyfy.client import pool as _pool
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.sandbox import Sandbox

SPEED = 500.0


class _Event(threading.Event):
    """One whose waits are over sooner."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / SPEED)


def let_time_fly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the workers of a bulk change live five hundred times faster: their waits, their clock, and so their pace."""
    monkeypatch.setattr(_pool, "time", SimpleNamespace(monotonic=lambda: time.monotonic() * SPEED))
    monkeypatch.setattr(_pool, "threading", SimpleNamespace(Event=_Event, Lock=threading.Lock))


def rows_of(sandbox: Sandbox, run_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The rows in which a search would have found the runs."""
    states = (sandbox.run(run_id) for run_id in run_ids)
    return [{name: run[name] for name in ("id", "name", "last_updated")} for run in states if run is not None]


def rows_in(path: str) -> Mapping[str, Mapping[str, Any]]:
    """The rows of the report at a path."""
    return _report_files.load("from_report", path).rows


def live(sandbox: Sandbox) -> int:
    """How many runs are not archived."""
    return len(sandbox.runs(archived=False))


def times(sandbox: Sandbox, run_id: str, verb: str) -> int:
    """How often something was really done to a run."""
    return sum(event.verb == verb for event in sandbox.organization.events[run_id])


def check_sums(report: Report, run_ids: Iterable[str]) -> None:
    """Every run is in the report, once, with a result that is one; failures have a reason; the sums are right."""
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
    """What the report says of each run is so."""
    for run_id, entry in report.entries.items():
        run = sandbox.run(run_id)
        if run is None:
            assert entry.result == "failed", entry
        elif entry.result in {"changed", "already"}:
            assert run["is_archived"] is archived, entry
        elif "may or may not" not in entry.reason:
            assert run["is_archived"] is not archived, entry


def count(sandbox: Sandbox, start: str) -> int:
    """How many requests began so."""
    return sum(call.startswith(start) for call in sandbox.calls)


class Task:
    """Executes operators as a task would, and keeps what they push.

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
        """Make an operator and run it."""
        operator = operator_class(task_id="bulk", tallyfy_conn_id=self.conn_id, **arguments)
        return self.run(operator, try_number, **(identity or {}))

    def run(self, operator: Any, try_number: int = 1, **identity: Any) -> Any:
        """Run an operator.

        :param identity: of the task instance, where it matters.
        """
        self.pushed = {}
        known = {"dag_id": "sweep", "run_id": "r1", "task_id": type(operator).__name__, "map_index": -1, **identity}
        return operator.execute({"ti": SimpleNamespace(**known, try_number=try_number, xcom_push=self.push)})

    def push(self, key: str, value: Any) -> None:
        """Push an XCom."""
        self.pushed[key] = json.loads(json.dumps(value))
