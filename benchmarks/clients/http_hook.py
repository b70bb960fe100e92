"""The HTTP provider's hook, as people use it without a Tallyfy provider."""

from __future__ import annotations

import json
import sys

from airflow.providers.http.hooks.http import HttpHook

from benchmarks.clients.serve import serve

about = json.loads(sys.argv[1])
reader = HttpHook("GET", http_conn_id="http_default")
archiver = HttpHook("DELETE", http_conn_id="http_default")
runs = f"organizations/{about['organization_id']}/runs"


def archive(run_ids: list[str]) -> None:
    """Archive in a loop."""
    for run_id in run_ids:
        assert archiver.run(f"{runs}/{run_id}").json()["data"]["archived_at"]


def read(run_ids: list[str]) -> None:
    """Read runs one after the other."""
    for run_id in run_ids:
        assert reader.run(f"{runs}/{run_id}").json()["data"]["id"] == run_id


serve({"archive": archive, "read": read})
