"""Delete an archived run permanently."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.runs.read import GONE, look_up, require, state_unknown


def delete(org: str, run_id: str) -> Flow[Run]:
    """Delete an archived run and return it as it was before.

    The run is read first: a live run is an error before anything is deleted, and the caller gets the last state.

    :raises Rejected: for a run that is unknown or not archived, and if it still exists afterwards.
    """
    found = yield from require(org, run_id)
    request = run_endpoints.delete_run(org, run_id)
    if found.archived is None:
        raise state_unknown(request)
    if not found.archived:
        raise about(
            request,
            Kind.VALIDATION,
            f"The run {describe(found.run)} is not archived, and only archived runs can be deleted. If it is the right "
            "run, archive it first.",
        )
    exchange = yield request
    if exchange.ok and _confirms_deletion(exchange):
        return found.run
    if not exchange.ok and not exchange.maybe_done and exchange.status not in GONE:
        reject(exchange)
    # The answer was lost or unclear, or a repetition got 404: whether the run still exists decides.
    left = yield from look_up(org, run_id, behind=exchange)
    if left is None:
        return found.run
    if not exchange.ok:
        reject(exchange)
    raise about(
        request,
        Kind.SERVER,
        f"{request.label} answered {exchange.status}, but the run {describe(left.run)} still exists.",
        like=exchange,
    )


def _confirms_deletion(exchange: Exchange) -> bool:
    """Whether the answer is Tallyfy's own, which has no body. An answer that shows a run proves no deletion."""
    return isinstance(exchange.reply, Response) and not exchange.reply.body.strip()
