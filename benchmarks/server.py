"""The sandbox as a process of its own, so that it shares no interpreter with what is measured: furnished with runs.

Run as ``python -m benchmarks.server RUNS LATENCY [REQUESTS SECONDS]``; it prints one line of JSON and ends with its
standard input, that is, with whoever started it.
"""

from __future__ import annotations

import json
import sys

from airflow_provider_tallyfy.sandbox import Sandbox


def main(runs: str, latency: str, *limit: str) -> None:
    """Serve until standard input ends."""
    rate = (int(limit[0]), float(limit[1])) if limit else None
    with Sandbox(latency=float(latency), rate_limit=rate) as sandbox:
        ready = {
            "url": sandbox.url,
            "organization_id": sandbox.organization_id,
            "token": sandbox.token,
            "connection": sandbox.connection_json(),
            "run_ids": sandbox.add_runs(int(runs), "Benchmark"),
        }
        print(json.dumps(ready), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
