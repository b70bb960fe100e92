"""What makes a launch happen once: a key, its marker in the run's summary, and the search for a run that has it.

Tallyfy has no idempotency key: a second POST launches a second run. So the run itself carries a short code that is
made from the key, and a try that may not be the first looks for it before it launches anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_rendered, check_text, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, Page, Pause
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, about
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.timestamps import instant

CODE_LENGTH = 12
#: Seconds after which a read shows what was launched before. Nobody has measured Tallyfy's read replicas.
LAG = 20.0
KEY_LIMIT = 1000  # characters of a key that a user gives
_WORDS_LIMIT = 120  # characters of each id that the marker tells
#: How far the clocks of Airflow and Tallyfy may be apart.
_CLOCK_SKEW = timedelta(minutes=10)
_MARKER = re.compile(rf"\s*Launched by Airflow: [^\n]* \(key [a-z2-7]{{{CODE_LENGTH}}}\)")


@dataclass(frozen=True)
class TaskIdentity:
    """Which try of which task launches.

    :param dag_id: the DAG.
    :param run_id: the DAG run.
    :param task_id: the task.
    :param map_index: the index of a mapped task; -1 = not mapped.
    :param try_number: the try, counted from 1; clearing a task does not set it back.
    :param first_try: the first try since the task was cleared last.
    :param since: when the DAG run was created, or before; ``None`` = not known.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    first_try: int = 1
    since: datetime | None = None

    @property
    def words(self) -> str:
        """The task as a person would name it."""
        index = f" [{self.map_index}]" if self.map_index >= 0 else ""
        return ", ".join(_short(part) for part in (self.dag_id, self.run_id, self.task_id)) + index

    @property
    def parts(self) -> tuple[str, ...]:
        """What tells it from every other task."""
        return (self.dag_id, self.run_id, self.task_id, str(self.map_index))


@dataclass(frozen=True)
class LaunchKey:
    """The key of a launch, as its run carries it.

    :param code: what the run's summary is searched for.
    :param words: who launched it, for people.
    :param since: runs created before that are not looked at; ``None`` = all are.
    :param everywhere: whether runs of this name are looked at over all time as well: a key that a user gave.
    :param wait: seconds after which a run that an earlier try launched is shown; 0 = by now, or there was no such try.
    :param look_first: whether the run is looked for before anything is launched.
    :param lasting: whether another try would look for the same code.
    """

    code: str
    words: str
    since: datetime | None
    everywhere: bool = False
    wait: float = 0.0
    look_first: bool = False
    lasting: bool = True

    @property
    def marker(self) -> str:
        """What stands in the summary of the run."""
        return f"Launched by Airflow: {self.words} (key {self.code})"

    def summary(self, own: str | None) -> str:
        """The summary of the run: the user's own, and the marker.

        A marker that is in it already came along with the summary of another run. It is taken out, because a search
        would take this run for that one.
        """
        text = _MARKER.sub("", own or "").rstrip()
        return f"{text}\n\n{self.marker}" if text else self.marker

    def is_in(self, summary: object) -> bool:
        """Whether a summary has the code. Only the code counts: people and Tallyfy may change the words around it."""
        return isinstance(summary, str) and bool(re.search(rf"(?<![0-9a-z]){self.code}(?![0-9a-z])", summary, re.I))


def check_launch_key(argument: str, value: object) -> str:
    """Return a key that a user gives.

    :raises ArgumentError: for anything that is no text, and for a blank one: every launch would have it.
    """
    text = check_text(argument, value).strip()
    if not text or text.lower() in {"none", "null", "nan"}:
        raise ArgumentError(
            f"{argument}={show(value)} is empty. A key says which launches are one and the same, such as a customer's "
            "number; leave it out for one launch per task of a DAG run."
        )
    check_rendered(argument, text)
    if len(text) > KEY_LIMIT:
        raise ArgumentError(f"{argument} has {len(text)} characters; it has at most {KEY_LIMIT}: {show(text)}")
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

    :param given: the key that the user gave.
    :param task: the task that launches; ``None`` = no task.
    :param again: whether what was launched before does not count (``if_launched="launch_again"``). Then each clearing
        of the task makes a key of its own, so that a try after a lost answer finds what the try before it launched.
    :param now: the time.
    :param tried: without ``task``: whether the caller may have tried before.
    :param unique: something that no other launch has.
    :param lag: seconds from now on, after which all that was launched before is shown.
    """
    parts = ("given", given) if given is not None else ("task", *task.parts) if task is not None else ("once", unique)
    lasting = given is not None or task is not None
    if again and task is not None:
        parts = (*parts, *task.parts, str(task.first_try))
    elif again:
        parts, lasting = (*parts, unique), False
    since: datetime | None = now - timedelta(days=1)
    if task is not None:
        tried = task.try_number > (task.first_try if again else 1)
        since = None if task.since is None else min(task.since, now)
    elif not lasting:
        tried, since = False, now
    words = task.words if task is not None else "a Python call" if given is None else _short(given)
    return LaunchKey(
        code=_code(parts),
        words=words,
        since=None if since is None else _earlier(since),
        everywhere=given is not None and not again,
        wait=lag if tried else 0.0,
        look_first=tried or (given is not None and not again),
        lasting=lasting,
    )


def find_launched(org: str, key: LaunchKey, name: str | None = None, *, pause: Pause | None = None) -> Flow[Run | None]:
    """Look for the run of a key: among the newest runs of all templates, live and archived.

    :param name: the run's name, by which a key that a user gave is looked for over all time as well.
    :param pause: what is waited before.
    :raises Rejected: where the list can't be read, or its rows do not show their summaries.
    """
    found = yield from _search(org, key, key.since, pause)
    if found is None and name is not None and key.everywhere and key.since is not None:
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
                    f"{exchange.request.label}: Tallyfy returned the run {describe(row)} without its summary, so there "
                    "is no telling whether this launch has happened before. Nothing was launched.",
                    like=exchange,
                )
            if key.is_in(row["summary"]):
                return row
        if since is not None and _ends_before(exchange.value, since):
            return None
    return None


def _ends_before(page: Page, since: datetime) -> bool:
    """Whether a page shows, newest first, that all further runs are older."""
    moments = [instant(row.get("created_at")) for row in page.rows]
    known = [moment for moment in moments if moment is not None]
    in_order = len(known) == len(moments) > 0 and known == sorted(known, reverse=True)
    # Rows of a single second have no order to see.
    return in_order and known[-1] < since and (known[0] > known[-1] or len(known) == 1)


def _code(parts: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:CODE_LENGTH]


def _earlier(moment: datetime) -> datetime:
    """The moment in whole seconds, as Tallyfy tells ``created_at``, less what the clocks may differ."""
    try:
        return moment.replace(microsecond=0) - _CLOCK_SKEW
    except OverflowError:
        return moment


def _short(text: Any) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= _WORDS_LIMIT else f"{flat[:_WORDS_LIMIT]}..."
