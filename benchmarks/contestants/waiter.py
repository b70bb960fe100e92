"""One single-run task of many under one rate limit, with this provider's patience or with the one it had before."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.exceptions import TallyfyRateLimitedError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from benchmarks.contestants.talk import compete

#: Three repetitions, all at the moment that Tallyfy names.
IMPATIENT = RetryPolicy(max_rate_limited=3, first_spread=0.0, longest_backoff=60.0, longest_rate_limited=180.0)


def archive(run_ids: list[str], patient: bool) -> dict[str, Any]:
    """Archive runs one after the other, each as a task of its own would."""
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


compete({"archive": archive})
