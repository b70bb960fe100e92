"""Runs a flow on both engines with a fault, and compares results, requests and the state of the organization."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.client.async_client import AsyncClient
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.requests_transport import RequestsTransport
from airflow_provider_tallyfy.connection import Settings
from airflow_provider_tallyfy.exceptions import TallyfyError
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_tallyfy.sandbox.faults import FAULTS
from tests.contract._clock import FastClock
from tests.contract._example_organization import Example, add_example_organization

#: Not random, so that both engines wait equally long.
POLICY = RetryPolicy(jitter=lambda: 0.5)
AT_ONCE = RetryPolicy(max_retries=0)
PATIENCE = 10.0  # seconds
#: The timeout for faults that send bytes late. A whole response may take five times as long.
IMPATIENCE = 0.3

#: JSON values that are not a valid answer.
OTHER_BODIES: tuple[Any, ...] = ({}, None, {"error": True}, {"data": []}, {"data": {"id": "f" * 32, "name": "Other"}})
#: Arguments of faults. A constructor without a row is called with its defaults, and once more for each flag.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "status": [{"code": code} for code in (400, 401, 403, 404, 408, 409, 410, 418, 422, 500)],
    "server_error": [{}, {"code": 500, "leak": True}, {"code": 502, "html": True}],
    "error_after": [{}, {"code": 500, "leak": True}, {"code": 504, "html": True}],
    "rate_limited": [{}, {"retry_after": None, "html": True}, {"retry_after": "600"}],
    "slow": [{"seconds": 2 * IMPATIENCE}],
    "slow_after": [{"seconds": 2 * IMPATIENCE}],
    "other_answer": [{"body": body, "applies": applies} for body in OTHER_BODIES for applies in (True, False)],
    "other_run": [{"run_id": run, "applies": applies} for run in ("other", "own") for applies in (True, False)],
    "other_id": [{}, {"object_id": None}, {"object_id": 7}],
    "without": [{"fields": ("archived_at", "status")}, {"fields": ("users",)}, {"fields": ("tags", "folders")}],
    "redirect": [{"location": "http://127.0.0.1:9/", "code": 302}, {"location": "/me", "code": 307}],
}
#: Logs nothing, because no test reads it and formatting takes time.
SILENT = logging.Logger("silent", logging.CRITICAL)
#: Faults about time, which take real time.
LATE = frozenset({"slow", "slow_after", "endless_continue", "dripped_headers", "dripped_body"})
#: Faults that make the client work for a tenth of a second or more.
LARGE = frozenset({"gzip_bomb"})


@dataclass(frozen=True)
class Planned:
    """A fault, and its name in the name of a test."""

    name: str
    kind: str
    make: Callable[[World], Fault]
    #: Whether it is the first of its kind, or the first of its kind that prevents the request.
    is_typical: bool


def faults() -> Iterator[Planned]:
    """Return all faults of the sandbox, found by introspection."""
    for kind in FAULTS:
        constructor = getattr(Fault, kind)
        parameters = inspect.signature(constructor).parameters.values()
        flags = [parameter for parameter in parameters if isinstance(parameter.default, bool)]
        rows = ARGUMENTS.get(kind) or [{}, *({flag.name: not flag.default} for flag in flags)]
        undone = next((row for row in rows if row.get("applies") is False), None)
        for row in rows:
            arguments = ", ".join(f"{name}={value}" for name, value in row.items())
            yield Planned(f"{kind}({arguments})", kind, _maker(constructor, row), row is rows[0] or row is undone)


def _maker(constructor: Callable[..., Fault], row: dict[str, Any]) -> Callable[[World], Fault]:
    def make(world: World) -> Fault:
        given = dict(row)
        if "run_id" in given:
            given["run_id"] = {"other": world.other_id, "own": world.run_id}[given["run_id"]]
        return constructor(*given.pop("fields", ()), **given)

    return make


ALL_FAULTS = {planned.name: planned for planned in faults()}


@dataclass(frozen=True)
class World:
    """An organization before a flow runs.

    :param run_id: the run that the flow works on.
    :param other_id: another run.
    """

    sandbox: Sandbox
    example: Example
    run_id: str
    other_id: str

    @property
    def org(self) -> str:
        return self.sandbox.organization_id

    @property
    def run(self) -> dict[str, Any] | None:
        """The true state of the run, whatever the API shows."""
        return self.sandbox.run(self.run_id)


@dataclass(frozen=True)
class Case:
    """A flow, and what must be true if it reports success.

    :param flow: creates the flow.
    :param holds: whether the result is true, given the organization afterwards.
    :param archived: whether the run is archived before.
    :param behaviour: switches of the sandbox.
    :param core: whether faults of every form happen, and at each of its requests; else typical ones at its first write
        or read.
    :param members: members and groups that the run has if the flow was carried out, where it changes them.
    """

    flow: Callable[[World], Flow[Any]]
    holds: Callable[[World, Any], bool]
    archived: bool = False
    behaviour: Behaviour = field(default_factory=Behaviour)
    core: bool = False
    members: Callable[[World], tuple[list[int], list[str]]] | None = None


@dataclass
class Ending:
    """How a flow ended on one engine, without the values that differ from try to try.

    :param value: its result, or the error's type and text.
    :param requests: what the server saw.
    :param waits: seconds that the engine wanted to wait.
    :param truth: the runs and tags of the organization afterwards.
    """

    value: Any = None
    error: str = ""
    requests: list[Any] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    truth: Any = None
    #: What is asked of each engine by itself.
    wrong: list[str] = field(default_factory=list)
    final: bool = False
    sent: int = 0


def settings_of(sandbox: Sandbox, timeout: float = PATIENCE) -> Settings:
    """Return the settings of a connection to a sandbox. Certificates are not checked, because loading them is slow."""
    return Settings("c", sandbox.api_url, sandbox.organization_id, sandbox.token, timeout=timeout, verify=False)


def perform_blocking(settings: Settings, policy: RetryPolicy, waits: list[float], flow: Flow[Any]) -> Any:
    clock = FastClock()
    clock.slept = waits
    transport = RequestsTransport.for_settings(settings)
    try:
        return Engine(transport, policy, SILENT, clock).perform(flow)
    finally:
        transport.close()


def new_client(
    settings: Settings,
    policy: RetryPolicy = POLICY,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncClient:
    """Return an async client for a connection."""
    return AsyncClient(settings, str(settings.organization_id), log=SILENT, sleep=sleep, policy=policy)


def perform_async(settings: Settings, policy: RetryPolicy, waits: list[float], flow: Flow[Any]) -> Any:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def perform() -> Any:
        async with new_client(settings, policy, sleep) as client:
            value = await client.perform(flow)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return value

    return asyncio.run(perform())


ENGINES: dict[str, Callable[[Settings, RetryPolicy, list[float], Flow[Any]], Any]] = {
    "blocking": perform_blocking,
    "async": perform_async,
}


def run_on(engine: str, case: Case, planned: Planned | None = None, at: int = 0, times: int | None = 1) -> Ending:
    """Perform a flow in a new organization.

    :param planned: the fault that one of its requests meets.
    :param at: the request that meets it, counted from 0.
    :param times: how often; ``None`` = all requests from that one on, none of which is repeated after a late answer.
    """
    late = planned is not None and planned.kind in LATE
    with Sandbox(case.behaviour, seed=1) as sandbox:
        example = add_example_organization(sandbox)
        world = World(sandbox, example, example.run_id, sandbox.add_run("Other", users=[example.people[2]]))
        if case.archived:
            sandbox.archive(world.run_id)
        was = world.run
        assert was is not None
        if planned is not None:
            sandbox.fail("*", "*", planned.make(world), times=times, after=at)
        ending = Ending()
        settings = settings_of(sandbox, IMPATIENCE if late else PATIENCE)
        try:
            value = ENGINES[engine](
                settings, AT_ONCE if late and times is None else POLICY, ending.waits, case.flow(world)
            )
        except TallyfyError as error:
            ending.error = _without_attempt(f"{type(error).__name__}: {error}", sandbox)
            ending.final = isinstance(error, AirflowFailException)
        else:
            ending.value = _plain(value)
            if not case.holds(world, value):
                ending.wrong.append(f"reports a success that is not true: {ending.value}")
        now = world.run
        ending.requests = [
            # A request whose client disconnected may still be carried out; wait for it.
            (record.method, record.route, record.raw_query, record.json, *(() if late else (record.status,)))
            for record in sandbox.requests
        ]
        ending.sent = len(ending.requests)
        if now is not None:
            kept = [(was["users"], was["groups"])]
            if case.members is not None:
                kept.append(case.members(world))
            if (now["users"], now["groups"]) not in kept:
                ending.wrong.append(f"lost members: {now['users']} {now['groups']}")
        if sandbox.token in repr(ending):
            ending.wrong.append("shows the token")
        ending.wrong += _told_twice(sandbox)
        runs = {} if late else {run_id: sandbox.run(run_id) for run_id in (world.run_id, world.other_id)}
        ending.truth = _plain([runs, {} if late else _tasks(sandbox)])
        return ending


def _told_twice(sandbox: Sandbox) -> list[str]:
    """What people were told more than once: that a task is complete, or the same comment."""
    told: Counter[tuple[str, ...]] = Counter()
    for run_id, events in sandbox.organization.events.items():
        for event in events:
            if event.verb in ("completed", "commented"):
                told[event.verb, run_id, event.entity_id if event.verb == "completed" else ""] += 1
    return [f"tells people {count} times: {what}" for what, count in told.items() if count > 1]


def _tasks(sandbox: Sandbox) -> dict[str, Any]:
    """The tasks of those runs of which anybody has looked at the tasks."""
    runs = sandbox.organization.runs.values()
    return {run.id: sandbox.tasks(run.id) for run in runs if run.tasks is not None}


def run_on_both(case: Case, planned: Planned | None = None, at: int = 0, times: int | None = 1) -> tuple[Ending, str]:
    """Perform a flow on both engines.

    :return: how it ended, and what is wrong with that, if anything.
    """
    if planned is not None and planned.kind in LATE:
        with ThreadPoolExecutor(2) as pool:
            blocking, on_loop = pool.map(lambda engine: run_on(engine, case, planned, at, times), ENGINES)
    else:
        blocking, on_loop = (run_on(engine, case, planned, at, times) for engine in ENGINES)
    wrong = [
        f"{engine}: {what}" for engine, end in zip(ENGINES, (blocking, on_loop), strict=True) for what in end.wrong
    ]
    names = ["value", "error", "requests", "waits", "truth", "final"]
    if planned is not None and planned.kind == "truncated" and any(request[-1] == 204 for request in blocking.requests):
        # Half a body where none is allowed: requests ignores these bytes, aiohttp treats the connection as broken.
        names = ["error", "truth"]
    for name in names:
        one, other = getattr(blocking, name), getattr(on_loop, name)
        if one != other:
            wrong.append(f"{name} differs:\n    blocking: {one}\n    async:    {other}")
    return blocking, "\n  ".join(wrong)


def _plain(value: Any) -> Any:
    """Return a result as data, without the times of this try."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _TIME.sub("<time>", value) if isinstance(value, str) else value


_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
#: The transport's own message: "[ReadTimeout: ...]".
_DETAIL = re.compile(r"\[[A-Z]\w+: (?:\[[^\]]*\]|[^\]])*\]")


def _without_attempt(text: str, sandbox: Sandbox) -> str:
    text = _DETAIL.sub("[...]", _TIME.sub("<time>", text))
    return text.replace(f":{sandbox.port}", ":<port>")
