"""Reading the states of many runs from Tallyfy's lists, beside the workers that write."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.runs import read
from airflow_provider_tallyfy.api.runs.read import RunState
from airflow_provider_tallyfy.client.pool import Pool

T = TypeVar("T")
Reading = Generator["Future[Any]", None, T]
"""Reads pages one after the other: yields what it waits for, so that others can go on meanwhile, ends in a ``T``."""

#: Up to so many runs are read one by one rather than by walking a list.
ONE_BY_ONE = 20


def states(pool: Pool, org: str, ids: set[str]) -> Reading[dict[str, RunState]]:
    """Read the states of runs, most of which should be archived: in one walk, and the few that it lacks one by one."""
    found = yield from find(pool, org, ids, "only")
    rest = ids - set(found)
    if len(rest) > ONE_BY_ONE:
        found |= yield from find(pool, org, rest, None)
        rest = set()
    for run_id in rest:
        alone = yield from awaited(pool.read(_look(org, run_id)))
        if alone is not None:
            found[run_id] = alone
    return found


def find(pool: Pool, org: str, ids: set[str], archived: str | None) -> Reading[dict[str, RunState]]:
    """Walk the archived (``"only"``) or the live runs (``None``) until all the wanted ones are found."""
    found: dict[str, RunState] = {}
    walk = Walk(run_endpoints.list_runs(org, archived=archived, sort="-created_at"))
    while walk.next_page is not None and len(found) < len(ids):
        for row in (yield from awaited(pool.read(read_page(walk)))):
            # A list that ignores its filter shows other runs as well: the row itself has to say what it is.
            state = read.state_of(row)
            if str(row["id"]) in ids and state.archived is bool(archived):
                found[str(row["id"])] = state
    return found


def awaited(future: Future[T]) -> Reading[T]:
    """Wait for one page."""
    while not future.done():
        yield future
    return future.result()


def _look(org: str, run_id: str) -> Flow[RunState | None]:
    return read.state_in((yield run_endpoints.get_run(org, run_id)))
