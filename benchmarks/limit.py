"""Archive runs under a rate limit that the client does not know."""

from __future__ import annotations

import tempfile

from benchmarks.plan import Plan
from benchmarks.processes import Client, Server
from benchmarks.table import Row

LATENCY = 0.05
LIMIT = (140, 10.0)


def measure(plan: Plan) -> list[Row]:
    """Measure the used share of the limit, and how often it was exceeded, in one long try."""
    with (
        tempfile.TemporaryDirectory() as home,
        Server(plan.limited, LATENCY, LIMIT) as server,
        Client("ours", server, home) as ours,
    ):
        answer = ours.ask(do="archive", run_ids=server.take(plan.limited), concurrency=8)
        assert answer["result"]["changed"] == plan.limited, answer
        statuses = server.counted()["by_status"]
    allowed = LIMIT[0] / LIMIT[1]
    speed = plan.limited / answer["seconds"]
    share = speed / allowed
    rate_limited = statuses.get("429", 0) / sum(statuses.values())
    figures = {"runs": plan.limited, "seconds": answer["seconds"], "share": share, "rate-limited": rate_limited}
    what = f"archive {plan.limited:,} runs, at most {LIMIT[0]} requests per {LIMIT[1]:.0f} s"
    return [
        Row(
            "limit",
            what,
            f"{speed:.2f} per s",
            f"{allowed:.2f} per s",
            f"{share:.3f}",
            ">= 0.95",
            share >= 0.95,
            figures,
        ),
        Row(
            "rate-limited",
            "the same: answers that were 429",
            f"{rate_limited:.1%}",
            target="< 2 %",
            met=rate_limited < 0.02,
        ),
    ]
