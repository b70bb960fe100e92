"""Submit and reopen a run's kick-off form. Both notify people, so both read the run first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.once import write_once
from airflow_provider_tallyfy.api.protocol.messages import Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, about
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.model import describe
from airflow_provider_tallyfy.api.runs.read import require


def submit(org: str, run_id: str) -> Flow[Outcome]:
    """Submit the kick-off form with its present answers, unless it is already submitted."""
    return (yield from _set(org, run_id, run_endpoints.submit_kickoff(org, run_id), True))


def reopen(org: str, run_id: str) -> Flow[Outcome]:
    """Reopen the kick-off form, unless it is already open."""
    return (yield from _set(org, run_id, run_endpoints.reopen_kickoff(org, run_id), False))


def is_submitted(run: Mapping[str, Any]) -> bool | None:
    """Return whether the kick-off form is submitted; ``None`` if the run does not show that."""
    status = run.get("prerun_status")
    if isinstance(status, str) and status:
        return status.lower() in {"complete", "completed"}
    return bool(run["prerun_completed_at"]) if "prerun_completed_at" in run else None


def _set(org: str, run_id: str, write: Request, wanted: bool) -> Flow[Outcome]:
    state_name = "submitted" if wanted else "open"
    state = yield from require(org, run_id)
    if state.archived:
        text = f"The run {describe(state.run)} is archived, so its kick-off form can't change. Activate it first."
        raise about(write, Kind.ARCHIVED, text)
    if is_submitted(state.run) is wanted:
        return Outcome(state.run, "already", f"the kick-off form was already {state_name}")
    read = run_endpoints.get_run(org, run_id)
    goal = f"the kick-off form is {state_name}"
    done = yield from write_once(write, read, lambda run: is_submitted(run) is wanted, goal)
    return Outcome(done.value, done.how, done.note)
