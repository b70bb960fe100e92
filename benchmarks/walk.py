"""Read the list of all runs of a large organization."""

from __future__ import annotations

import tempfile

from benchmarks.plan import Plan
from benchmarks.processes import Client, Server
from benchmarks.table import Row

PAGE = 100
MOST_GROWTH = 30.0  # MB


def measure(plan: Plan) -> list[Row]:
    """Measure requests and memory. Each walk has a new process; the operating system counts its peak memory."""
    peaks: list[float] = []
    for length in plan.walk:
        with (
            tempfile.TemporaryDirectory() as home,
            Server(length) as server,
            Client("ours", server, home) as ours,
        ):
            answer = ours.ask(do="walk")
            assert answer["result"] == length, answer
            requests = server.counted()["count"]
            peaks.append(answer["peak"] / 1e6)
    growth = peaks[1] - peaks[0]
    pages = -(-length // PAGE)
    figures = {"runs": length, "requests": requests, "seconds": answer["seconds"], "peaks_mb": peaks}
    return [
        Row(
            "walk",
            f"walk {length:,} runs: requests",
            f"{requests:,}",
            f"{pages:,} (pages)",
            f"{requests / pages:.2f}",
            "1.00",
            requests == pages,
            figures,
        ),
        Row(
            "memory",
            f"the same: peak memory beyond that of {plan.walk[0]:,}",
            f"{growth:.1f} MB",
            target=f"< {MOST_GROWTH:.0f} MB",
            met=growth < MOST_GROWTH,
        ),
    ]
