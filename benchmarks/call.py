"""One call on a hook that has made calls before."""

from __future__ import annotations

import tempfile
from statistics import median

from benchmarks.plan import Plan
from benchmarks.processes import Client, Server
from benchmarks.table import Row

TARGET = 0.8
NAMES = {"ours": "TallyfyHook", "http_hook": "HttpHook.run", "sdk": "Tallyfy's SDK"}


def measure(plan: Plan) -> list[Row]:
    """Measure the read of a run by its id, without latency. Each client reads one block of runs after the other."""
    blocks: dict[str, list[float]] = {name: [] for name in NAMES}
    with (
        tempfile.TemporaryDirectory() as home,
        Server(plan.reads) as server,
        Client("ours", server, f"{home}/ours") as ours,
        Client("sdk", server, home) as sdk,
        Client("http_hook", server, f"{home}/http") as http_hook,
    ):
        run_ids = server.take(plan.reads)
        for number in range(plan.blocks + 1):
            for name, client in (("ours", ours), ("sdk", sdk), ("http_hook", http_hook)):
                answer = client.ask(do="read", run_ids=run_ids)
                if number:  # the first block warms up
                    blocks[name].append(answer["seconds"] / plan.reads * 1000)
    cost = {name: median(times) for name, times in blocks.items()}
    better = min(("sdk", "http_hook"), key=cost.__getitem__)
    other = max(("sdk", "http_hook"), key=cost.__getitem__)
    ratio = cost["ours"] / cost[better]
    theirs = f"{cost[better]:.2f} ms ({NAMES[better]}), {cost[other]:.2f} ms ({NAMES[other]})"
    question = "one call on a warm hook (GET of a run)"
    figures = {f"{name}_ms": value for name, value in cost.items()}
    figures |= {f"{name}_fastest_ms": min(times) for name, times in blocks.items()}
    return [
        Row(
            "call", question, f"{cost['ours']:.2f} ms", theirs, f"{ratio:.2f}", f"<= {TARGET}", ratio <= TARGET, figures
        )
    ]
