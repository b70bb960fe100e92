"""Tallyfy's own Python SDK, in a separate environment without Airflow."""

from __future__ import annotations

import json
import sys

from tallyfy import TallyfySDK  # type: ignore[import-not-found,unused-ignore]

from benchmarks.clients.serve import serve

about = json.loads(sys.argv[1])
organization = about["organization_id"]
sdk = TallyfySDK(api_key=about["token"], base_url=about["url"])


def archive(run_ids: list[str]) -> None:
    """Archive in a loop."""
    for run_id in run_ids:
        assert sdk.archive_process(organization, run_id)


def read(run_ids: list[str]) -> None:
    """Read runs one after the other."""
    for run_id in run_ids:
        assert sdk.get_process(organization, run_id).id == run_id


serve({"archive": archive, "read": read})
