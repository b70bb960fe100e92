"""Destroy an archived run for ever."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.runs.read import GONE, look_up, require, stateless


def delete(org: str, run_id: str) -> Flow[Run]:
    """Destroy an archived run and return it as it was before.

    It is read first, so that a live run is refused here and not by chance there, and so that its last state is known.

    :raises Rejected: for a run that is unknown or not archived, and if it is still there afterwards.
    """
    found = yield from require(org, run_id)
    request = run_endpoints.delete_run(org, run_id)
    if found.archived is None:
        raise stateless(request)
    if not found.archived:
        raise about(
            request,
            Kind.VALIDATION,
            f"The run {describe(found.run)} is not archived, and only archived runs can be deleted. Archive it first "
            "if it is really this one.",
        )
    exchange = yield request
    if exchange.ok and _says_deleted(exchange):
        return found.run
    if not exchange.ok and not exchange.maybe_done and exchange.status not in GONE:
        reject(exchange)
    # A lost or an unclear answer, or the 404 that a repetition gets: gone is gone.
    left = yield from look_up(org, run_id, behind=exchange)
    if left is None:
        return found.run
    if not exchange.ok:
        reject(exchange)
    raise about(
        request,
        Kind.SERVER,
        f"{request.label} answered {exchange.status}, yet the run {describe(left.run)} is still there.",
        like=exchange,
    )


def _says_deleted(exchange: Exchange) -> bool:
    """Whether the answer is Tallyfy's own: it has no body. What a run looks like proves nothing about its end."""
    return isinstance(exchange.reply, Response) and not exchange.reply.body.strip()
