"""Archive and activate a run: one request where one will do, and every doubt settled by reading.

Tallyfy's pages leave open what a second DELETE answers, whether an archived run can be read by its id, whether
the answer has a body, and what status that body names. So a success is only what an answer or a later read
shows: ``archived_at`` set, or gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.protocol import envelope
from airflow_provider_tallyfy.api.protocol.messages import Answer, Call, Exchange, Flow
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.runs.model import Run, describe, is_archived, says_whether_archived

#: Pages of archived runs that are searched for one run whose id can't be read directly.
SEARCH_PAGES = 100

#: Answers that can also mean "there is nothing to do": settled by reading.
_MAYBE_ALREADY = frozenset({400, 404, 409, 410, 422})


@dataclass(frozen=True)
class Outcome:
    """How a change ended, when it ended well.

    :param run: the run as Tallyfy returned it.
    :param how: ``changed`` = Tallyfy said so; ``already`` = the wanted state held before, nothing was changed;
        ``checked`` = the answer was lost or unclear, and reading the run showed the wanted state;
        ``touched`` = left alone, for somebody changed it after the caller saw it.
    :param note: one sentence for the log; empty where there is nothing to add.
    """

    run: Run
    how: Literal["changed", "already", "checked", "touched"]
    note: str = ""


def archive(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Archive a run.

    :param look_first: read the run before, so that "already archived" is known for certain (a second DELETE may
        well answer 200); without it, archiving a live run costs one request.
    """
    return (yield from _bring_about(calls.archive_run(org, run_id), org, run_id, True, look_first))


def activate(org: str, run_id: str, *, look_first: bool = False) -> Flow[Outcome]:
    """Bring an archived run back. Parameters as in :func:`archive`."""
    return (yield from _bring_about(calls.activate_run(org, run_id), org, run_id, False, look_first))


def _bring_about(call: Call, org: str, run_id: str, wanted: bool, look_first: bool) -> Flow[Outcome]:
    if look_first:
        before = yield from find(org, run_id)
        if before is not None and before.archived is wanted:
            return Outcome(before.run, "already", f"it was {_STATES[wanted]} before")
    result = yield from attempt(call, wanted)
    if isinstance(result, Outcome):
        return result
    return judge(result, (yield from find(org, run_id, behind=result)), wanted)


_STATES = {True: "archived", False: "active"}


def attempt(call: Call, wanted: bool) -> Flow[Outcome | Exchange]:
    """Ask for the change once.

    :param wanted: ``True`` = archived, ``False`` = active.
    :return: the outcome where the answer shows it; else the exchange, whose doubt is to be settled by reading.
    :raises Rejected: where Tallyfy clearly refused, or was clearly not reached.
    """
    exchange = yield call
    said = _run_in(exchange)
    if exchange.ok and said is not None and says_whether_archived(said) and is_archived(said) is wanted:
        if exchange.doubt:
            note = f"an earlier answer was lost; asked again, Tallyfy shows it {_STATES[wanted]}"
            return Outcome(said, "checked", note)
        return Outcome(said, "changed")
    if not exchange.ok and not exchange.maybe_done and exchange.status not in _MAYBE_ALREADY:
        reject(exchange)
    return exchange


def judge(exchange: Exchange, found: Found | None, wanted: bool) -> Outcome:
    """Say what a doubtful exchange came to, given the run as it was read afterwards.

    :param found: the run; ``None`` = it is neither live nor archived.
    :raises Rejected: if the wanted state does not hold.
    """
    state = _STATES[wanted]
    if found is None:
        if exchange.status in _MAYBE_ALREADY:
            reject(exchange)
        raise about(
            exchange.call,
            Kind.NOT_FOUND,
            f"{exchange.call.label}: there is no such run, neither live nor archived (looked after {_seen(exchange)}).",
            like=exchange,
        )
    run = found.run
    if found.archived is not wanted:
        if not exchange.ok:
            reject(exchange)
        raise about(
            exchange.call,
            Kind.SERVER,
            f"{exchange.call.label} answered {exchange.status}, yet the run {describe(run)} is not {state}.",
            like=exchange,
        )
    if exchange.maybe_done:
        return Outcome(run, "checked", f"{_seen(exchange)}; checked by reading the run: it is {state}")
    if exchange.ok:
        return Outcome(run, "changed", f"Tallyfy's answer did not show the run; read afterwards, it is {state}")
    return Outcome(run, "already", f"Tallyfy answered {exchange.status}; the run was {state} before")


@dataclass(frozen=True)
class Found:
    """A run that was read, and whether it is archived (the list of archived runs says so even if the row does not)."""

    run: Run
    archived: bool


def find(org: str, run_id: str, *, behind: Exchange | None = None, include: tuple[str, ...] = ()) -> Flow[Found | None]:
    """Read a run, live or archived; ``None`` if there is none.

    By id first. Where that answers 404, the run may still be archived (hidden from direct reading), so the list
    of archived runs is searched, ``SEARCH_PAGES`` pages at most.

    :param behind: the write whose outcome is being settled, so that an error can say what is in doubt.
    :raises Rejected: when reading fails, or the search ends at its bound without an answer.
    """
    exchange = yield calls.get_run(org, run_id, include)
    if exchange.ok:
        run = _run_in(exchange)
        if run is None:
            raise _undecided(exchange, behind, "reading the run gave no run")
        if behind is not None and not says_whether_archived(run):
            raise _undecided(exchange, behind, "reading the run does not tell whether it is archived")
        return Found(run, is_archived(run))
    if exchange.status not in {404, 410}:
        if behind is not None and _acted(behind):
            raise _undecided(exchange, behind, f"reading it failed too ({_seen(exchange)})")
        reject(exchange)
    return (yield from _search_archived(org, run_id, behind))


def found_in(exchange: Exchange) -> Found | None:
    """The run that reading it by its id showed; ``None`` for a 404.

    :raises Rejected: for any other failure, and where the answer does not tell the run's state.
    """
    if exchange.ok:
        run = _run_in(exchange)
        if run is None or not says_whether_archived(run):
            raise _undecided(exchange, None, "reading the run does not tell whether it is archived")
        return Found(run, is_archived(run))
    if exchange.status in {404, 410}:
        return None
    reject(exchange)


def unknown_run(org: str, run_id: str) -> Exception:
    """The run was looked for everywhere and is not there."""
    call = calls.get_run(org, run_id)
    return about(
        call, Kind.NOT_FOUND, f"There is no run {run_id}, neither live nor archived. Check the id and the organization."
    )


def _search_archived(org: str, run_id: str, behind: Exchange | None) -> Flow[Found | None]:
    walk = Walk(calls.list_runs(org, archived="only", sort="-created_at"))
    for _ in range(SEARCH_PAGES):
        call = walk.next_call
        if call is None:
            return None
        exchange = yield call
        try:
            rows = walk.take(exchange)
        except Rejected as failure:
            if behind is None or not _acted(behind):
                raise
            why = str(failure).splitlines()[0]
            raise _undecided(exchange, behind, f"searching the archived runs failed too ({why})") from None
        for row in rows:
            if str(row.get("id")) == run_id and row.get("archived_at", True):
                return Found(row, True)
    if walk.next_call is None:
        return None
    raise _undecided(
        exchange,
        behind,
        f"the run can't be read by its id, and it is not among the first {walk.looked_at} of "
        f"{walk.total or 'many'} archived runs (the search ends after {SEARCH_PAGES} pages)",
    )


def _acted(behind: Exchange) -> bool:
    """Whether Tallyfy may have done, or says that it did, what this exchange asked for."""
    return behind.ok or behind.maybe_done


def _undecided(reading: Exchange, behind: Exchange | None, why: str) -> Exception:
    if behind is None:
        return about(reading.call, Kind.INDETERMINATE, f"{reading.call.label}: {why}.", like=reading)
    doubt = "may or may not have been done" if _acted(behind) else "did not say what state the run is in"
    return about(
        behind.call,
        Kind.INDETERMINATE,
        f"{behind.call.label} {doubt} ({_seen(behind)}): {why}. "
        "Doing it again is harmless: let the task retry, or run it again.",
        like=behind if isinstance(behind.reply, Answer) else reading,
    )


def _run_in(exchange: Exchange) -> Run | None:
    """The run that a successful answer holds; ``None`` where it holds none or can't be read."""
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        return None
    try:
        run = envelope.item(exchange.reply)
    except envelope.Unreadable:
        return None
    return run or None


def _seen(exchange: Exchange) -> str:
    """What came back, in a few words."""
    if isinstance(exchange.reply, Answer):
        return f"the answer was {exchange.status}" + (", after an answer that was lost" if exchange.doubt else "")
    return "the answer was lost"
