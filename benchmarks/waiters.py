"""Many single-run tasks under one rate limit, each in its own process: how many fail, and how long they take."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.plan import Plan
from benchmarks.processes import Client, Server
from benchmarks.table import Row

LATENCY = 0.05
#: Requests and seconds of the limit. `Retry-After` has whole seconds, so a shorter window would measure the rounding.
LIMIT = (2, 5.0)


def measure(plan: Plan) -> list[Row]:
    """Measure how many tasks fail, and how long all of them take."""
    count = plan.waiters
    with (
        tempfile.TemporaryDirectory() as home,
        Server(2 * count, LATENCY, LIMIT) as server,
        ThreadPoolExecutor(count) as threads,
        ExitStack() as stack,
    ):
        started = [threads.submit(Client, "waiter", server, home) for _ in range(count)]
        tasks = [stack.enter_context(future.result()) for future in started]

        def archive(patient: bool) -> tuple[int, float]:
            time.sleep(LIMIT[1])  # until the whole window is free
            begun = time.monotonic()
            asked = [
                threads.submit(task.ask, do="archive", run_ids=[run_id], patient=patient)
                for task, run_id in zip(tasks, server.take(count), strict=True)
            ]
            failed = sum(future.result()["result"]["failed"] for future in asked)
            return failed, time.monotonic() - begun

        failed_before, seconds_before = archive(patient=False)
        failed, seconds = archive(patient=True)
        assert server.archived() == 2 * count - failed - failed_before
    ideal = count * LIMIT[1] / LIMIT[0]
    most = 1.15 * ideal + LIMIT[1]
    what = f"{count} tasks of one request, at most {LIMIT[0]} requests per {LIMIT[1]:.0f} s"
    figures = {"tasks": count, "failed": failed, "failed_before": failed_before}
    return [
        Row("waiters", f"{what}: failed", f"{failed}", f"{failed_before} (3 tries)", "", "0", failed == 0, figures),
        Row(
            "waiters-time",
            "the same: seconds until all are done",
            f"{seconds:.1f} s",
            f"{ideal:.1f} s (ideal)",
            f"{seconds / ideal:.2f}",
            f"<= {most:.1f} s",
            seconds <= most,
            {"seconds": seconds, "seconds_before": seconds_before},
        ),
    ]
