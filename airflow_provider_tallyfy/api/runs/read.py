"""Read a run, live or archived, and find out by reading whether a write was carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import (
    Exchange,
    Flow,
    Lost,
    Reply,
    Request,
    Response,
    why_unreadable,
)
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject, server_words
from airflow_provider_tallyfy.api.runs.model import Run, archived_state

#: At most this many pages of archived runs are searched for a run that can't be read by its id.
SEARCH_PAGES = 100
#: Statuses that mean "no such object".
GONE = frozenset({404, 410})

T = TypeVar("T")


@dataclass(frozen=True)
class RunState:
    """A run, and whether it is archived.

    :param run: the run as Tallyfy returned it.
    :param archived: whether it is archived; ``None`` = Tallyfy does not say.
    """

    run: Run
    archived: bool | None


def look_up(
    org: str, run_id: str, *, behind: Exchange | None = None, include: tuple[str, ...] = ()
) -> Flow[RunState | None]:
    """Read a run, live or archived; ``None`` if there is none.

    If reading by id answers 404, the run may still be archived (Tallyfy may hide archived runs there), so up to
    ``SEARCH_PAGES`` pages of the list of archived runs are searched.

    :param behind: the write whose outcome is unclear; errors then say so.
    :raises Rejected: if reading fails, or the search ends at its limit without finding the run; with ``behind``, also
        if the run does not show whether it is archived.
    """
    exchange = yield run_endpoints.get_run(org, run_id, include)
    if exchange.ok:
        state = state_of(exchange.value)
        if behind is not None and state.archived is None:
            raise _undecided(exchange, behind, "reading the run does not show whether it is archived")
        return state
    if exchange.status not in GONE:
        if behind is not None and _may_be_done(behind):
            why = exchange.unreadable or describe_reply(exchange)
            raise _undecided(exchange, behind, f"reading it failed too ({why})")
        reject(exchange)
    return (yield from _search_archived(org, run_id, behind, include))


def require(
    org: str, run_id: str, *, include: tuple[str, ...] = (), form_fields_values: bool = False
) -> Flow[RunState]:
    """Read a run, live or archived.

    :param form_fields_values: ask for the answers in the forms too.
    :raises Rejected: if there is none (the error quotes Tallyfy), and whenever :func:`look_up` raises it.
    """
    exchange = yield run_endpoints.get_run(org, run_id, include, form_fields_values=form_fields_values)
    if exchange.ok:
        return state_of(exchange.value)
    if exchange.status not in GONE:
        reject(exchange)
    found = yield from _search_archived(org, run_id, None, include, form_fields_values)
    if found is None:
        raise unknown_run(org, run_id, exchange)
    return found


def state_of(run: Run) -> RunState:
    """Return a run with its state, if it shows one."""
    return RunState(run, archived_state(run))


def state_in(exchange: Exchange) -> RunState | None:
    """Return the run in the answer to :func:`~airflow_provider_tallyfy.api.endpoints.runs.get_run`; ``None`` for a 404.

    :raises Rejected: for any other failure, and if the run does not show whether it is archived.
    """
    if exchange.status in GONE:
        return None
    if not exchange.ok:
        reject(exchange)
    state = state_of(exchange.value)
    if state.archived is None:
        raise state_unknown(exchange.request, exchange)
    return state


def repeat_if_not_done(request: Request, check: Callable[[Exchange], Flow[T | None]]) -> Flow[T | Exchange]:
    """Send a write. If a 2xx is no answer to it, read whether it was carried out; if it was not, send it again.

    :param check: reads, and returns the outcome of the exchange; ``None`` = it was not carried out.
    :return: the outcome from ``check``; or the exchange, if its reply is an answer or the policy allows no repetition.
    """
    exchange = yield request
    while exchange.unreadable:
        outcome = yield from check(exchange)
        if outcome is not None:
            return outcome
        again = yield replace(request, after=exchange)
        if again is exchange:
            break
        exchange = again
    return exchange


def state_unknown(request: Request, like: Exchange | None = None) -> Rejected:
    """Return the error for a run that does not show whether it is archived."""
    return about(
        request,
        Kind.SERVER,
        f"{request.label}: the run that Tallyfy returned has neither archived_at nor the status 'archived', so it is "
        "unknown whether it is archived.",
        like=like,
    )


def unknown_run(org: str, run_id: str, answer: Exchange | None = None) -> Rejected:
    """Return the error for a run that is neither live nor archived.

    :param answer: the exchange that read it by its id, to quote Tallyfy.
    """
    words = ""
    if answer is not None and isinstance(answer.reply, Response):
        words = f" [{answer.request.label} failed with {answer.reply.status}: {server_words(answer.reply)}]"
    return about(
        run_endpoints.get_run(org, run_id),
        Kind.NOT_FOUND,
        f"There is no run {run_id}, neither live nor archived. Check the id and the organization.{words}",
        like=answer,
    )


def _search_archived(
    org: str, run_id: str, behind: Exchange | None, include: tuple[str, ...] = (), form_fields_values: bool = False
) -> Flow[RunState | None]:
    values = True if form_fields_values else None
    request = run_endpoints.list_runs(
        org, include=include, form_fields_values=values, archived="only", sort="-created_at"
    )
    walk = Walk(request)
    for _ in range(SEARCH_PAGES):
        page = walk.next_request
        if page is None:
            return None
        exchange = yield page
        try:
            rows = walk.take(exchange)
        except Rejected as failure:
            if behind is None or not _may_be_done(behind):
                raise
            why = str(failure).splitlines()[0]
            raise _undecided(exchange, behind, f"searching the archived runs failed too ({why})") from None
        for row in rows:
            # If Tallyfy ignores "archived=only", the list has live runs as well, so the row itself decides.
            if str(row.get("id")) == run_id and archived_state(row) is not False:
                state = state_of(row)
                if state.archived is None:
                    if behind is None:
                        raise state_unknown(exchange.request, exchange)
                    raise _undecided(exchange, behind, "its row in the list does not show whether it is archived")
                return state
    if walk.next_request is None:
        return None
    raise _undecided(
        exchange,
        behind,
        f"the run can't be read by its id, and it is not among the first {walk.looked_at} of "
        f"{walk.total or 'many'} archived runs (the search ends after {SEARCH_PAGES} pages)",
    )


def _may_be_done(behind: Exchange) -> bool:
    """Whether the request was or may have been carried out."""
    return behind.ok or behind.maybe_done


def _undecided(reading: Exchange, behind: Exchange | None, why: str) -> Rejected:
    if behind is None:  # no write is in doubt
        return about(reading.request, Kind.SERVER, f"{reading.request.label}: {why}.", like=reading)
    doubt = "may or may not have been done" if _may_be_done(behind) else "did not show the state of the run"
    return about(
        behind.request,
        Kind.INDETERMINATE,
        f"{behind.request.label} {doubt} ({describe_reply(behind)}): {why}. "
        "Repeating it is harmless: let the task retry, or run it again.",
        like=behind if isinstance(behind.reply, Response) else reading,
    )


def describe_reply(exchange: Exchange) -> str:
    """Describe the last reply in a few words, for errors."""
    if isinstance(exchange.reply, Lost):
        return "the answer was lost"
    what = f"Tallyfy {exchange.unreadable}" if exchange.unreadable else f"the answer was {exchange.reply.status}"
    return what if exchange.doubt is None else f"{what}, after {_earlier(exchange.request, exchange.doubt)}"


def describe_repeat(exchange: Exchange) -> str:
    """Say why a request was repeated although it may have been carried out."""
    assert exchange.doubt is not None
    return f"the request was repeated after {_earlier(exchange.request, exchange.doubt)}"


def _earlier(request: Request, reply: Reply) -> str:
    if isinstance(reply, Lost):
        return "a lost answer"
    return "an answer that did not match it" if why_unreadable(request, reply) else f"a {reply.status}"
