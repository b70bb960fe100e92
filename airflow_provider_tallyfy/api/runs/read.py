"""Read a run, live or archived, and settle by it what became of a write."""

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

#: Pages of archived runs that are searched for one run whose id can't be read directly.
SEARCH_PAGES = 100
#: Statuses that say "no such thing".
GONE = frozenset({404, 410})

T = TypeVar("T")


@dataclass(frozen=True)
class RunState:
    """A run that was read.

    :param run: the run.
    :param archived: whether it is archived; ``None`` = Tallyfy does not say.
    """

    run: Run
    archived: bool | None


def look_up(
    org: str, run_id: str, *, behind: Exchange | None = None, include: tuple[str, ...] = ()
) -> Flow[RunState | None]:
    """Read a run, live or archived; ``None`` if there is none.

    By id first. Where that answers 404, the run may still be archived (hidden from direct reading), so the list
    of archived runs is searched, ``SEARCH_PAGES`` pages at most.

    :param behind: the write whose outcome is being settled, so that an error can say what is in doubt.
    :raises Rejected: when reading fails, or the search ends at its bound without an answer; with ``behind``, also when
        the run does not say whether it is archived.
    """
    exchange = yield run_endpoints.get_run(org, run_id, include)
    if exchange.ok:
        state = state_of(exchange.value)
        if behind is not None and state.archived is None:
            raise _undecided(exchange, behind, "reading the run does not tell whether it is archived")
        return state
    if exchange.status not in GONE:
        if behind is not None and acted(behind):
            why = exchange.unreadable or seen(exchange)
            raise _undecided(exchange, behind, f"reading it failed too ({why})")
        reject(exchange)
    return (yield from _search_archived(org, run_id, behind, include))


def require(
    org: str, run_id: str, *, include: tuple[str, ...] = (), form_fields_values: bool = False
) -> Flow[RunState]:
    """Read a run, live or archived.

    :param form_fields_values: ask for the answers in the forms too.
    :raises Rejected: if there is none, in Tallyfy's own words, and for all that :func:`look_up` raises.
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
    """The run with its state, as far as it says so itself."""
    return RunState(run, archived_state(run))


def state_in(exchange: Exchange) -> RunState | None:
    """The run that reading it by its id showed; ``None`` for a 404.

    :raises Rejected: for any other failure, and where the answer does not tell the run's state.
    """
    if exchange.status in GONE:
        return None
    if not exchange.ok:
        reject(exchange)
    state = state_of(exchange.value)
    if state.archived is None:
        raise stateless(exchange.request, exchange)
    return state


def repeat_until_seen(
    request: Request,
    settle: Callable[[Exchange], Flow[T | None]],
) -> Flow[T | Exchange]:
    """Send a write; where its answer is no answer to it, look; and where it was not carried out, send it again.

    :param settle: reads, and returns what the exchange came to; ``None`` = it was not carried out.
    :return: what ``settle`` returned, or the exchange, whose answer is one, or which the policy does not repeat.
    """
    exchange = yield request
    while exchange.unreadable:
        outcome = yield from settle(exchange)
        if outcome is not None:
            return outcome
        again = yield replace(request, after=exchange)
        if again is exchange:
            break
        exchange = again
    return exchange


def stateless(request: Request, like: Exchange | None = None) -> Rejected:
    """The error for a run of which nothing says whether it is archived."""
    return about(
        request,
        Kind.SERVER,
        f"{request.label}: the run that Tallyfy returned says neither archived_at nor the status 'archived', so "
        "there is no telling whether it is archived.",
        like=like,
    )


def unknown_run(org: str, run_id: str, answer: Exchange | None = None) -> Rejected:
    """The run was looked for everywhere and is not there.

    :param answer: what Tallyfy said when it was read by its id.
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
            if behind is None or not acted(behind):
                raise
            why = str(failure).splitlines()[0]
            raise _undecided(exchange, behind, f"searching the archived runs failed too ({why})") from None
        for row in rows:
            # A list that ignores "archived=only" shows live runs as well: the row itself has to say what it is.
            if str(row.get("id")) == run_id and archived_state(row) is not False:
                state = state_of(row)
                if state.archived is None:
                    if behind is None:
                        raise stateless(exchange.request, exchange)
                    raise _undecided(exchange, behind, "its row in the list does not tell whether it is archived")
                return state
    if walk.next_request is None:
        return None
    raise _undecided(
        exchange,
        behind,
        f"the run can't be read by its id, and it is not among the first {walk.looked_at} of "
        f"{walk.total or 'many'} archived runs (the search ends after {SEARCH_PAGES} pages)",
    )


def acted(behind: Exchange) -> bool:
    """Whether Tallyfy may have done, or says that it did, what this exchange asked for."""
    return behind.ok or behind.maybe_done


def _undecided(reading: Exchange, behind: Exchange | None, why: str) -> Rejected:
    if behind is None:  # a read leaves nothing in doubt
        return about(reading.request, Kind.SERVER, f"{reading.request.label}: {why}.", like=reading)
    doubt = "may or may not have been done" if acted(behind) else "did not say what state the run is in"
    return about(
        behind.request,
        Kind.INDETERMINATE,
        f"{behind.request.label} {doubt} ({seen(behind)}): {why}. "
        "Doing it again is harmless: let the task retry, or run it again.",
        like=behind if isinstance(behind.reply, Response) else reading,
    )


def seen(exchange: Exchange) -> str:
    """What came back, in a few words."""
    if isinstance(exchange.reply, Lost):
        return "the answer was lost"
    what = f"Tallyfy {exchange.unreadable}" if exchange.unreadable else f"the answer was {exchange.reply.status}"
    return what if exchange.doubt is None else f"{what}, after {_earlier(exchange.request, exchange.doubt)}"


def asked_again(exchange: Exchange) -> str:
    """Why a request was repeated although it may have been carried out, as the beginning of a sentence."""
    assert exchange.doubt is not None
    return f"Tallyfy was asked again after {_earlier(exchange.request, exchange.doubt)}"


def _earlier(request: Request, reply: Reply) -> str:
    if isinstance(reply, Lost):
        return "an answer that was lost"
    return "an answer about something else" if why_unreadable(request, reply) else f"a {reply.status}"
