"""Archive and activate a run: one request where one will do, and every doubt settled by reading.

Tallyfy's pages leave open what a second DELETE answers, whether an archived run can be read by its id, whether
the answer has a body, and what status that body names. So a success is only what an answer or a later read
shows: ``archived_at`` set, or gone.
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
    asked_again,
    look_up,
    repeat_until_seen,
    seen,
    stateless,
)

#: Answers that can also mean "there is nothing to do": settled by reading.
_MAYBE_ALREADY = frozenset({400, 404, 409, 410, 422})


@dataclass(frozen=True)
class Outcome:
    """How a change ended, when it ended well.

    :param run: the run as Tallyfy returned it.
    :param how: ``changed`` = Tallyfy said so; ``already`` = there was nothing to do, nothing was changed;
        ``checked`` = the answer was lost or unclear, and reading the run showed the wanted state;
        ``modified`` = left alone, because somebody changed it after the caller saw it.
    :param note: one sentence for the log; empty where there is nothing to add.
    :param before: for an update: what the changed fields were before, as an update would send them.
    """

    run: Run
    how: Literal["changed", "already", "checked", "modified"]
    note: str = ""
    before: Mapping[str, Any] | None = None


def archive(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Archive a run.

    :param look_first: read the run before, so that "already archived" is known for certain (a second DELETE may
        well answer 200); without it, archiving a live run costs one request.
    """
    return (yield from _bring_about(run_endpoints.archive_run(org, run_id), org, run_id, True, look_first))


def activate(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Bring an archived run back. Parameters as in :func:`archive`."""
    return (yield from _bring_about(run_endpoints.activate_run(org, run_id), org, run_id, False, look_first))


def _bring_about(request: Request, org: str, run_id: str, wanted: bool, look_first: bool) -> Flow[Outcome]:
    if look_first:
        before = yield from look_up(org, run_id)
        if before is not None and before.archived is None:
            raise stateless(request)
        if before is not None and before.archived is wanted:
            return Outcome(before.run, "already", f"it was {_STATES[wanted]} before")

    def settle(exchange: Exchange) -> Flow[Outcome | None]:
        found = yield from look_up(org, run_id, behind=exchange)
        if found is not None and found.archived is not wanted:
            return None
        return judge(exchange, found, wanted)

    result = yield from repeat_until_seen(request, settle)
    if isinstance(result, Outcome):
        return result
    outcome = _shown(result, wanted)
    if outcome is not None:
        return outcome
    _reject_refusal(result)
    return judge(result, (yield from look_up(org, run_id, behind=result)), wanted)


_STATES = {True: "archived", False: "active"}


def attempt(request: Request, wanted: bool) -> Flow[Outcome | Exchange]:
    """Ask for the change once.

    :param wanted: ``True`` = archived, ``False`` = active.
    :return: the outcome where the answer shows it; else the exchange, whose doubt is to be settled by reading.
    :raises Rejected: where Tallyfy clearly refused, or was clearly not reached.
    """
    exchange = yield request
    outcome = _shown(exchange, wanted)
    if outcome is not None:
        return outcome
    _reject_refusal(exchange)
    return exchange


def _shown(exchange: Exchange, wanted: bool) -> Outcome | None:
    """What the answer shows; ``None`` where it does not show the wanted state."""
    run: Run | None = exchange.value if exchange.ok else None
    if run is None or archived_state(run) is not wanted:
        return None
    if exchange.doubt is not None:
        return Outcome(run, "checked", f"{asked_again(exchange)}, and shows it {_STATES[wanted]}")
    return Outcome(run, "changed")


def _reject_refusal(exchange: Exchange) -> None:
    if not exchange.ok and not exchange.maybe_done and exchange.status not in _MAYBE_ALREADY:
        reject(exchange)


def judge(exchange: Exchange, found: RunState | None, wanted: bool) -> Outcome:
    """Say what a doubtful exchange came to, given the run as it was read afterwards.

    :param found: the run; ``None`` = it is neither live nor archived.
    :raises Rejected: if the wanted state does not hold.
    """
    state = _STATES[wanted]
    if found is None:
        if exchange.status in _MAYBE_ALREADY:
            reject(exchange)
        raise about(
            exchange.request,
            Kind.NOT_FOUND,
            f"{exchange.request.label}: there is no such run, neither live nor archived (looked after "
            f"{seen(exchange)}).",
            like=exchange,
        )
    run = found.run
    if found.archived is not wanted:
        if not exchange.ok:
            reject(exchange)
        raise about(
            exchange.request,
            Kind.SERVER,
            f"{exchange.request.label} answered {exchange.status}, yet the run {describe(run)} is not {state}.",
            like=exchange,
        )
    if exchange.maybe_done:
        return Outcome(run, "checked", f"{seen(exchange)}; checked by reading the run: it is {state}")
    if exchange.ok:
        return Outcome(run, "changed", f"Tallyfy's answer did not show the run; read afterwards, it is {state}")
    return Outcome(run, "already", f"Tallyfy answered {exchange.status}; the run was {state} before")
