"""Read a run, live or archived, and settle by it what became of a write."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol import envelope
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Response
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, is_archived, says_whether_archived

#: Pages of archived runs that are searched for one run whose id can't be read directly.
SEARCH_PAGES = 100


@dataclass(frozen=True)
class RunState:
    """A run that was read, and whether it is archived (the list of archived runs says so even if the row does not)."""

    run: Run
    archived: bool


def look_up(
    org: str, run_id: str, *, behind: Exchange | None = None, include: tuple[str, ...] = ()
) -> Flow[RunState | None]:
    """Read a run, live or archived; ``None`` if there is none.

    By id first. Where that answers 404, the run may still be archived (hidden from direct reading), so the list
    of archived runs is searched, ``SEARCH_PAGES`` pages at most.

    :param behind: the write whose outcome is being settled, so that an error can say what is in doubt.
    :raises Rejected: when reading fails, or the search ends at its bound without an answer.
    """
    exchange = yield run_endpoints.get_run(org, run_id, include)
    if exchange.ok:
        run = run_in(exchange)
        if run is None:
            raise _undecided(exchange, behind, "reading the run gave no run")
        if behind is not None and not says_whether_archived(run):
            raise _undecided(exchange, behind, "reading the run does not tell whether it is archived")
        return RunState(run, is_archived(run))
    if exchange.status not in {404, 410}:
        if behind is not None and acted(behind):
            raise _undecided(exchange, behind, f"reading it failed too ({seen(exchange)})")
        reject(exchange)
    return (yield from _search_archived(org, run_id, behind))


def state_in(exchange: Exchange) -> RunState | None:
    """The run that reading it by its id showed; ``None`` for a 404.

    :raises Rejected: for any other failure, and where the answer does not tell the run's state.
    """
    if exchange.ok:
        run = run_in(exchange)
        if run is None or not says_whether_archived(run):
            raise _undecided(exchange, None, "reading the run does not tell whether it is archived")
        return RunState(run, is_archived(run))
    if exchange.status in {404, 410}:
        return None
    reject(exchange)


def unknown_run(org: str, run_id: str) -> Exception:
    """The run was looked for everywhere and is not there."""
    request = run_endpoints.get_run(org, run_id)
    return about(
        request,
        Kind.NOT_FOUND,
        f"There is no run {run_id}, neither live nor archived. Check the id and the organization.",
    )


def _search_archived(org: str, run_id: str, behind: Exchange | None) -> Flow[RunState | None]:
    walk = Walk(run_endpoints.list_runs(org, archived="only", sort="-created_at"))
    for _ in range(SEARCH_PAGES):
        request = walk.next_request
        if request is None:
            return None
        exchange = yield request
        try:
            rows = walk.take(exchange)
        except Rejected as failure:
            if behind is None or not acted(behind):
                raise
            why = str(failure).splitlines()[0]
            raise _undecided(exchange, behind, f"searching the archived runs failed too ({why})") from None
        for row in rows:
            if str(row.get("id")) == run_id and row.get("archived_at", True):
                return RunState(row, True)
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


def _undecided(reading: Exchange, behind: Exchange | None, why: str) -> Exception:
    if behind is None:
        return about(reading.request, Kind.INDETERMINATE, f"{reading.request.label}: {why}.", like=reading)
    doubt = "may or may not have been done" if acted(behind) else "did not say what state the run is in"
    return about(
        behind.request,
        Kind.INDETERMINATE,
        f"{behind.request.label} {doubt} ({seen(behind)}): {why}. "
        "Doing it again is harmless: let the task retry, or run it again.",
        like=behind if isinstance(behind.reply, Response) else reading,
    )


def run_in(exchange: Exchange) -> Run | None:
    """The run that a successful answer holds; ``None`` where it holds none or can't be read."""
    if not (exchange.ok and isinstance(exchange.reply, Response)):
        return None
    try:
        run = envelope.item(exchange.reply)
    except envelope.Unreadable:
        return None
    return run or None


def seen(exchange: Exchange) -> str:
    """What came back, in a few words."""
    if isinstance(exchange.reply, Response):
        return f"the answer was {exchange.status}" + (", after an answer that was lost" if exchange.doubt else "")
    return "the answer was lost"
