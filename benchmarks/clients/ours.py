"""This provider's hook."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from benchmarks.clients.serve import serve

hook = TallyfyHook()


def archive(run_ids: list[Any], concurrency: int) -> dict[str, Any]:
    """Archive in bulk."""
    report = hook.archive_runs(run_ids, concurrency=concurrency)
    return report.counts


def read(run_ids: list[str]) -> None:
    """Read runs one after the other."""
    for run_id in run_ids:
        assert hook.get_run(run_id)["id"] == run_id


def walk() -> int:
    """Walk all live runs."""
    return sum(1 for _ in hook.iter_runs())


serve({"archive": archive, "read": read, "walk": walk})
