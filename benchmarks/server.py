"""A sandbox with many runs, in a separate process, so that it does not use the interpreter that is measured.

Run ``python -m benchmarks.server RUNS LATENCY [REQUESTS SECONDS]``. It prints one line of JSON. It ends when its
standard input is closed, so also when its parent process ends.
"""

from __future__ import annotations

import json
import sys

from airflow_provider_tallyfy.sandbox import Sandbox


def main(runs: str, latency: str, *limit: str) -> None:
    """Serve until standard input is closed."""
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
