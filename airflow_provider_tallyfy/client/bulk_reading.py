"""Reads the states of many runs from Tallyfy's lists, while the workers write."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.runs import read
from airflow_provider_tallyfy.api.runs.read import RunState
from airflow_provider_tallyfy.client.pool import Pool

T = TypeVar("T")
Reading = Generator["Future[Any]", None, T]
"""Reads pages and returns a ``T``. Yields the future of each page, so that the caller can work while it waits."""

#: Up to this many runs are read one by one instead of from a list.
ONE_BY_ONE = 20


def read_states(pool: Pool, org: str, ids: set[str]) -> Reading[dict[str, RunState]]:
    """Read the states of runs, most of which are probably archived: from lists, and a few missing ones one by one."""
    found = yield from states_in_list(pool, org, ids, "only")
    rest = ids - set(found)
    if len(rest) > ONE_BY_ONE:
        found |= yield from states_in_list(pool, org, rest, None)
        rest = set()
    for run_id in rest:
        alone = yield from awaited(pool.read(_read_state(org, run_id)))
        if alone is not None:
            found[run_id] = alone
    return found


def states_in_list(pool: Pool, org: str, ids: set[str], archived: str | None) -> Reading[dict[str, RunState]]:
    """Read the list of archived (``"only"``) or live runs (``None``) until it has shown all the wanted runs."""
    found: dict[str, RunState] = {}
    walk = Walk(run_endpoints.list_runs(org, archived=archived, sort="-created_at"))
    while walk.next_page is not None and len(found) < len(ids):
        for row in (yield from awaited(pool.read(read_page(walk)))):
            # If Tallyfy ignores the filter, the list has other runs as well, so the row itself decides.
            state = read.state_of(row)
            if str(row["id"]) in ids and state.archived is bool(archived):
                found[str(row["id"])] = state
    return found


def awaited(future: Future[T]) -> Reading[T]:
    """Wait for one page."""
    while not future.done():
        yield future
    return future.result()


def read_now(reading: Reading[T], tick: Callable[[], None]) -> T:
    """Read to the end, without other work.

    :param tick: called about once a second.
    """
    try:
        while True:
            wait([next(reading)], timeout=1.0)
            tick()
    except StopIteration as end:
        value: T = end.value
        return value


def _read_state(org: str, run_id: str) -> Flow[RunState | None]:
    return read.state_in((yield run_endpoints.get_run(org, run_id)))
