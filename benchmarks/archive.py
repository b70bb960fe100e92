"""Archive many runs: in bulk, in a loop with the SDK or the HTTP provider's hook, and with mapped tasks.

Milliseconds per run are seconds per 1,000 runs. The loops and the mapped tasks archive fewer runs than the bulk change.
"""

from __future__ import annotations

import tempfile
from statistics import median

from benchmarks.plan import Plan
from benchmarks.processes import Client, Server
from benchmarks.table import Row

LATENCY = 0.05
CONCURRENCIES = (8, 16, 32)
#: Minimum share of the largest possible speed-up, which is the number of requests at a time.
SHARE = 0.85

ALTERNATIVES = {
    "sdk": "Tallyfy's SDK in a loop",
    "http_hook": "HttpHook in a loop",
    "mapped": "mapped tasks, {:.0f} ms per run",
}


def measure(plan: Plan) -> list[Row]:
    """Measure the speed against all alternatives, and the number of requests."""
    loops: dict[str, list[float]] = {"sdk": [], "http_hook": []}
    bulks: dict[int, list[float]] = {concurrency: [] for concurrency in CONCURRENCIES}
    requests: list[float] = []
    needed = plan.archive * len(bulks) + plan.archive_one_by_one * len(loops)
    mapped_runs = plan.mapped + 2
    with (
        tempfile.TemporaryDirectory() as home,
        Server(plan.repetitions * needed + mapped_runs, LATENCY) as server,
        Client("ours", server, f"{home}/ours") as ours,
        Client("sdk", server, home) as sdk,
        Client("http_hook", server, f"{home}/http") as http_hook,
    ):
        for _ in range(plan.repetitions):
            for name, client in (("sdk", sdk), ("http_hook", http_hook)):
                answer = client.ask(do="archive", run_ids=server.take(plan.archive_one_by_one))
                loops[name].append(answer["seconds"] / plan.archive_one_by_one)
            for concurrency, times in bulks.items():
                server.counted()
                answer = ours.ask(do="archive", run_ids=server.take(plan.archive), concurrency=concurrency)
                assert answer["result"]["changed"] == plan.archive, answer
                requests.append(server.counted()["count"] / plan.archive)
                times.append(answer["seconds"] / plan.archive)
        with Client("mapped", server, f"{home}/mapped") as mapped:
            # Warm up: the first tasks in a process also start parts of Airflow.
            mapped.ask(do="archive", run_ids=server.take(2))
            answer = mapped.ask(do="archive", run_ids=server.take(plan.mapped))
            assert answer["result"] == plan.mapped, answer
        assert server.archived() == plan.repetitions * needed + mapped_runs
    mapped_cost = [answer["seconds"] / plan.mapped]
    rows = [_against(bulks, concurrency, "sdk", loops["sdk"], SHARE * concurrency) for concurrency in CONCURRENCIES]
    rows += [
        _against(bulks, CONCURRENCIES[0], "http_hook", loops["http_hook"]),
        _against(bulks, CONCURRENCIES[0], "mapped", mapped_cost),
    ]
    worst = max(requests)
    figures = {"requests_per_run": worst}
    rows.append(
        Row(
            "requests",
            "requests per archived live run",
            f"{worst:.2f}",
            target="1.00",
            met=worst == 1.0,
            figures=figures,
        )
    )
    return rows


def _against(
    bulks: dict[int, list[float]], concurrency: int, name: str, others: list[float], target: float | None = None
) -> Row:
    ours, theirs = median(bulks[concurrency]) * 1000, median(others) * 1000
    ratio = theirs / ours
    figures = {"concurrency": concurrency, "against": name, "ours_ms": ours, "theirs_ms": theirs}
    figures |= {"ours_fastest_ms": min(bulks[concurrency]) * 1000, "theirs_fastest_ms": min(others) * 1000}
    return Row(
        f"archive-{concurrency}-{name}",
        f"archive 1,000 runs, 50 ms latency, {concurrency} at a time",
        f"{ours:.2f} s",
        f"{theirs:.1f} s ({ALTERNATIVES[name].format(theirs)})",
        f"{ratio:.1f} x as fast",
        "" if target is None else f">= {target:.1f} x",
        None if target is None else ratio >= target,
        figures,
    )
