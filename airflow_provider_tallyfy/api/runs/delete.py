"""Destroy an archived run for ever."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.runs.read import look_up, unknown_run


def delete(org: str, run_id: str) -> Flow[Run]:
    """Destroy an archived run and return it as it was before.

    It is read first, so that a live run is refused here and not by chance there, and so that its last state is known.

    :raises Rejected: for a run that is unknown or not archived, and if it is still there afterwards.
    """
    found = yield from look_up(org, run_id)
    if found is None:
        raise unknown_run(org, run_id)
    request = run_endpoints.delete_run(org, run_id)
    if not found.archived:
        raise about(
            request,
            Kind.VALIDATION,
            f"The run {describe(found.run)} is not archived, and only archived runs can be deleted. Archive it first "
            "if it is really this one.",
        )
    exchange = yield request
    if exchange.ok:
        return found.run
    if not exchange.maybe_done and exchange.status not in {404, 410}:
        reject(exchange)
    # A lost answer, or the 404 that a repetition gets: gone is gone.
    if (yield from look_up(org, run_id)) is not None:
        reject(exchange)
    return found.run
