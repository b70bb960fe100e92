"""Launch keys: the key of a launch, its marker in the summary of the run, and the search for the run with the key.

Tallyfy has no idempotency key: a second POST launches a second run. So the summary of each run contains a short code,
a hash of its launch key. A try that may not be the first searches for the code before it launches a run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_rendered, check_text, is_absent, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, Page, Pause
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, about
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.timestamps import instant

CODE_LENGTH = 12
#: Seconds after which a read should show a new run. This is a guess: the lag of Tallyfy's read replicas is unknown.
LAG = 20.0
KEY_LIMIT = 1000  # characters of the argument launch_key
_ORIGIN_LIMIT = 120  # characters of each part of the marker
#: The largest difference between the clocks of Airflow and Tallyfy.
_CLOCK_SKEW = timedelta(minutes=10)
_MARKER = re.compile(rf"\s*Launched by Airflow: [^\n]* \(key [a-z2-7]{{{CODE_LENGTH}}}\)")


@dataclass(frozen=True)
class TaskIdentity:
    """The task that launches a run, and its try.

    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: the index of a mapped task; -1 = not mapped.
    :param try_number: the number of the try, from 1 on; clearing the task does not reset it.
    :param first_try: the number of the first try after the task was last cleared.
    :param since: a time that is not after the creation of the DAG run; ``None`` = unknown.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    first_try: int = 1
    since: datetime | None = None

    @property
    def description(self) -> str:
        """The task in a form that people can read, for the marker."""
        index = f" [{self.map_index}]" if self.map_index >= 0 else ""
        return ", ".join(_short(part) for part in (self.dag_id, self.run_id, self.task_id)) + index

    @property
    def parts(self) -> tuple[str, ...]:
        """The values that identify the task, for the hash."""
        return (self.dag_id, self.run_id, self.task_id, str(self.map_index))


@dataclass(frozen=True)
class LaunchKey:
    """The key of a launch, and how to search for its run.

    :param code: the code that the summary of the run contains.
    :param origin: the task or the ``launch_key``, for people who read the marker.
    :param since: runs created before this time are not searched; ``None`` = all runs are.
    :param all_time: whether older runs with the same name are searched too; true for the argument ``launch_key``.
    :param wait: seconds until Tallyfy shows a run that an earlier try launched; 0 = no such try, or long enough ago.
    :param look_first: whether to search for the run before the launch.
    :param repeatable: whether a retry has the same key.
    """

    code: str
    origin: str
    since: datetime | None
    all_time: bool = False
    wait: float = 0.0
    look_first: bool = False
    repeatable: bool = True

    @property
    def marker(self) -> str:
        """The line in the summary of the run."""
        return f"Launched by Airflow: {self.origin} (key {self.code})"

    def summary(self, own: str | None) -> str:
        """Return the summary of the run: the user's own text, and the marker.

        If the text was copied from another run, it contains that run's marker, which is removed. Otherwise, a search
        for the key of that run would find this one.
        """
        text = _MARKER.sub("", own or "").rstrip()
        return f"{text}\n\n{self.marker}" if text else self.marker

    def is_in(self, summary: object) -> bool:
        """Return whether a summary contains the code. People and Tallyfy may change the text around it."""
        return isinstance(summary, str) and bool(re.search(rf"(?<![0-9a-z]){self.code}(?![0-9a-z])", summary, re.I))


def check_launch_key(argument: str, value: object) -> str:
    """Return a launch key.

    :raises ArgumentError: for anything but text, and for blank text, which many launches would share by mistake.
    """
    text = check_text(argument, value).strip()
    if is_absent(text):
        raise ArgumentError(
            f"{argument}={show(value)} is empty. It must identify what is launched, for example by a customer number. "
            "Leave it out for one launch per task and DAG run."
        )
    check_rendered(argument, text)
    if len(text) > KEY_LIMIT:
        raise ArgumentError(f"{argument} has {len(text)} characters; the limit is {KEY_LIMIT}: {show(text)}")
    return text


def key_of(
    given: str | None,
    task: TaskIdentity | None,
    *,
    again: bool,
    now: datetime,
    tried: bool,
    unique: str,
    lag: float = LAG,
) -> LaunchKey:
    """Make the key of a launch.

    :param given: the argument ``launch_key``; ``None`` = not given.
    :param task: the task that launches the run; ``None`` = no task.
    :param again: whether to launch although the run exists (``if_launched="launch_again"``). Then the task gets a new
        key each time it is cleared. Its retries keep the key, so that they find the run of a try whose answer was lost.
    :param now: the current time.
    :param tried: if there is no ``task``: whether the caller may have tried before.
    :param unique: a text that no other launch has.
    :param lag: seconds until Tallyfy shows all runs that were launched before ``now``.
    """
    parts = ("given", given) if given is not None else ("task", *task.parts) if task is not None else ("once", unique)
    repeatable = given is not None or task is not None
    if again and task is not None:
        parts = (*parts, *task.parts, str(task.first_try))
    elif again:
        parts, repeatable = (*parts, unique), False
    since: datetime | None = now - timedelta(days=1)
    if task is not None:
        tried = task.try_number > (task.first_try if again else 1)
        since = None if task.since is None else min(task.since, now)
    elif not repeatable:
        tried, since = False, now
    origin = task.description if task is not None else "a Python call" if given is None else _short(given)
    return LaunchKey(
        code=_code(parts),
        origin=origin,
        since=None if since is None else _search_start(since),
        all_time=given is not None and not again,
        wait=lag if tried else 0.0,
        look_first=tried or (given is not None and not again),
        repeatable=repeatable,
    )


def find_launched(org: str, key: LaunchKey, name: str | None = None, *, pause: Pause | None = None) -> Flow[Run | None]:
    """Search the newest runs of all templates, live and archived, for the run with a key.

    :param name: the name of the run. If ``key.all_time`` is set, older runs with this name are searched too.
    :param pause: a pause before the search.
    :return: the run; ``None`` if no run has the key.
    :raises Rejected: if the list can't be read, or its rows have no summaries.
    """
    found = yield from _search(org, key, key.since, pause)
    if found is None and name is not None and key.all_time and key.since is not None:
        found = yield from _search(org, key, None, None, name)
    return found


def _search(
    org: str, key: LaunchKey, since: datetime | None, pause: Pause | None, name: str | None = None
) -> Flow[Run | None]:
    walk = Walk(run_endpoints.list_runs(org, archived="true", q=name, sort="-created_at"))
    while (request := walk.next_request) is not None:
        exchange = yield replace(request, pause=pause)
        pause = None
        for row in walk.take(exchange):
            if "summary" not in row:
                raise about(
                    exchange.request,
                    Kind.SERVER,
                    f"{exchange.request.label}: Tallyfy returned the run {describe(row)} without its summary, so it is "
                    "unknown whether this launch happened before. Nothing was launched.",
                    like=exchange,
                )
            if key.is_in(row["summary"]):
                return row
        if since is not None and _ends_before(exchange.value, since):
            return None
    return None


def _ends_before(page: Page, since: datetime) -> bool:
    """Return whether a page shows that the rows are sorted, newest first, and that all further runs are older."""
    moments = [instant(row.get("created_at")) for row in page.rows]
    known = [moment for moment in moments if moment is not None]
    in_order = len(known) == len(moments) > 0 and known == sorted(known, reverse=True)
    # Rows that were all created in the same second do not show an order.
    return in_order and known[-1] < since and (known[0] > known[-1] or len(known) == 1)


def _code(parts: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:CODE_LENGTH]


def _search_start(moment: datetime) -> datetime:
    """Return a time in whole seconds, like ``created_at``, minus the largest difference of the clocks."""
    try:
        return moment.replace(microsecond=0) - _CLOCK_SKEW
    except OverflowError:
        return moment


def _short(text: Any) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= _ORIGIN_LIMIT else f"{flat[:_ORIGIN_LIMIT]}..."
