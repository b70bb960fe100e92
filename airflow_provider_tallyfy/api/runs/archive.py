"""Archive and activate a run: with one request if that is enough; if its answer is unclear, a read decides.

Tallyfy's pages do not say what a second DELETE answers, whether an archived run can be read by its id, whether the
answer has a body, and which status that body has. So only ``archived_at``, in the answer or in a later read, is proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, archived_state, describe
from airflow_provider_tallyfy.api.runs.read import (
    RunState,
    describe_repeat,
    describe_reply,
    look_up,
    repeat_if_not_done,
    state_unknown,
)

#: Statuses that can also mean "there is nothing to do": a read decides.
_MAYBE_ALREADY = frozenset({400, 404, 409, 410, 422})


@dataclass(frozen=True)
class Outcome:
    """How a successful change ended.

    :param run: the run as Tallyfy returned it.
    :param how: ``changed`` = Tallyfy's answer shows the change; ``already`` = there was nothing to do;
        ``checked`` = the answer was lost or unclear, and a read showed the wanted state;
        ``modified`` = not changed, because somebody modified the run after the caller had read it.
    :param note: details for the log; may be empty.
    :param before: after an update: the old values of the changed fields, as an update would send them.
    """

    run: Run
    how: Literal["changed", "already", "checked", "modified"]
    note: str = ""
    before: Mapping[str, Any] | None = None


def archive(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Archive a run.

    :param look_first: read the run first, to know for certain whether it is already archived (a second DELETE may
        answer 200). Without it, archiving a live run costs one request.
    """
    return (yield from _change(run_endpoints.archive_run(org, run_id), org, run_id, True, look_first))


def activate(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Make an archived run active again. Parameters as in :func:`archive`."""
    return (yield from _change(run_endpoints.activate_run(org, run_id), org, run_id, False, look_first))


def _change(request: Request, org: str, run_id: str, wanted: bool, look_first: bool) -> Flow[Outcome]:
    if look_first:
        before = yield from look_up(org, run_id)
        if before is not None and before.archived is None:
            raise state_unknown(request)
        if before is not None and before.archived is wanted:
            return Outcome(before.run, "already", f"it was already {_STATES[wanted]}")

    def check(exchange: Exchange) -> Flow[Outcome | None]:
        found = yield from look_up(org, run_id, behind=exchange)
        if found is not None and found.archived is not wanted:
            return None
        return judge(exchange, found, wanted)

    result = yield from repeat_if_not_done(request, check)
    if isinstance(result, Exchange):
        result = _outcome_or_unclear(result, wanted)
    if isinstance(result, Exchange):
        return judge(result, (yield from look_up(org, run_id, behind=result)), wanted)
    return result


_STATES = {True: "archived", False: "active"}


def attempt(request: Request, wanted: bool) -> Flow[Outcome | Exchange]:
    """Send the request for the change, and read nothing.

    :param wanted: ``True`` = archived, ``False`` = active.
    :return: the outcome, if the answer shows it; otherwise the exchange, so that the caller can read the run.
    :raises Rejected: if Tallyfy refused the request or did not get it.
    """
    return _outcome_or_unclear((yield request), wanted)


def _outcome_or_unclear(exchange: Exchange, wanted: bool) -> Outcome | Exchange:
    run: Run | None = exchange.value if exchange.ok else None
    if run is not None and archived_state(run) is wanted:
        if exchange.doubt is None:
            return Outcome(run, "changed")
        return Outcome(run, "checked", f"{describe_repeat(exchange)}; the answer shows that it is {_STATES[wanted]}")
    if not exchange.ok and not exchange.maybe_done and exchange.status not in _MAYBE_ALREADY:
        reject(exchange)
    return exchange


def judge(exchange: Exchange, found: RunState | None, wanted: bool) -> Outcome:
    """Return the outcome of an unclear exchange, given the run as it was read afterwards.

    :param found: the run; ``None`` = there is no such run, neither live nor archived.
    :raises Rejected: if the run is not in the wanted state.
    """
    state = _STATES[wanted]
    if found is None:
        if exchange.status in _MAYBE_ALREADY:
            reject(exchange)
        raise about(
            exchange.request,
            Kind.NOT_FOUND,
            f"{exchange.request.label}: there is no such run, neither live nor archived (read because "
            f"{describe_reply(exchange)}).",
            like=exchange,
        )
    run = found.run
    if found.archived is not wanted:
        if not exchange.ok:
            reject(exchange)
        raise about(
            exchange.request,
            Kind.SERVER,
            f"{exchange.request.label} answered {exchange.status}, but the run {describe(run)} is not {state}.",
            like=exchange,
        )
    if exchange.maybe_done:
        return Outcome(run, "checked", f"{describe_reply(exchange)}; a read shows that it is {state}")
    if exchange.ok:
        return Outcome(run, "changed", f"Tallyfy's answer did not show the run; a read shows that it is {state}")
    return Outcome(run, "already", f"Tallyfy answered {exchange.status}; the run was already {state}")
