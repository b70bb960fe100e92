"""Runs all benchmarks, prints a table, writes ``results.json`` and the chart in the README: ``make bench``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from benchmarks import archive, call, chart, limit, loading, waiters, walk
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.processes import ROOT
from benchmarks.table import Row, as_json, as_table

RESULTS = ROOT / "benchmarks" / "results.json"
CHART = ROOT / "docs" / "images" / "bench.svg"

QUESTIONS: dict[str, Callable[[Plan], list[Row]]] = {
    "archive": archive.measure,
    "limit": limit.measure,
    "waiters": waiters.measure,
    "walk": walk.measure,
    "call": call.measure,
    "loading": loading.measure,
}


def main() -> int:
    """Run the benchmarks.

    :return: exit code: 1 if a target is missed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less, and write no files")
    parser.add_argument(
        "--only", choices=QUESTIONS, action="append", help="run only this benchmark, and write no files"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    rows: list[Row] = []
    started = time.monotonic()
    for name in options.only or QUESTIONS:
        before = time.monotonic()
        rows += QUESTIONS[name](plan)
        print(f"{name}: {time.monotonic() - before:.0f} s", file=sys.stderr)
    seconds = time.monotonic() - started
    print(as_table(rows))
    print(
        f"\nMedians of several tries. The loops archived {plan.archive_one_by_one} runs, and the mapped tasks "
        f"{plan.mapped}; scaled to 1,000. The mapped tasks ran in dag.test(), without a scheduler."
    )
    if not options.quick and not options.only:
        found = as_json(rows, quick=options.quick, seconds=seconds)
        RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        CHART.parent.mkdir(parents=True, exist_ok=True)
        CHART.write_text(chart.draw(rows))
    missed = [row.question for row in rows if row.met is False]
    total = sum(row.met is not None for row in rows)
    print(f"\n{len(missed)} of {total} targets missed." if missed else f"\nAll {total} targets met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
