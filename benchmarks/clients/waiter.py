"""One of many single-run tasks under a rate limit, with this provider's retry policy or with an impatient one."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.exceptions import TallyfyRateLimitedError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from benchmarks.clients.serve import serve

#: Three repetitions, each exactly when Tallyfy allows it.
IMPATIENT = RetryPolicy(max_rate_limited=3, first_spread=0.0, longest_backoff=60.0, longest_rate_limited=180.0)


def archive(run_ids: list[str], patient: bool) -> dict[str, Any]:
    """Archive runs one after the other, with a new hook for each, like separate tasks."""
    failed = 0
    for run_id in run_ids:
        hook = TallyfyHook()
        if not patient:
            hook._engine.policy = IMPATIENT
        try:
            hook.archive_run(run_id)
        except TallyfyRateLimitedError:
            failed += 1
    return {"failed": failed}


serve({"archive": archive})
