"""What tests of bulk changes share: time that flies, and a report held against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from airflow_provider_tallyfy.api.runs.report import RESULTS, Report
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._clock import FastClock

SPEED = 500.0


def let_time_fly(clock: FastClock) -> None:
    """Have the workers of a bulk change live five hundred times faster: their waits, their clock, and so their pace."""
    clock.speed = SPEED


def rows_of(sandbox: Sandbox, run_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The rows in which a search would have found the runs."""
    states = (sandbox.run(run_id) for run_id in run_ids)
    return [{name: run[name] for name in ("id", "name", "last_updated")} for run in states if run is not None]


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
