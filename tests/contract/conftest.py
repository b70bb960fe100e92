"""Fixtures: a Tallyfy organization for each test, a hook for it, and waits that are recorded instead of slept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._bulk import Task
from tests.contract._clock import FastClock
from tests.contract._desk import Desk, new_desk
from tests.contract._example_organization import Example, add_example_organization
from tests.contract._plain_requests import Ask, plain_requests

_NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    """The clock of all hooks in this test."""
    clock = FastClock()
    monkeypatch.setattr(TallyfyHook, "clock", clock)
    return clock


@pytest.fixture
def waits(clock: FastClock) -> list[float]:
    """The seconds that hooks asked to wait. No real time passes."""
    return clock.slept


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An organization without runs."""
    # The same tokens in each test, because Airflow's masker gets slower with each new secret.
    with Sandbox(seed=1) as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TallyfyHook]:
    """Create a hook for a sandbox: ``connect(sandbox, extra={"timeout": 1}, hook={"max_retries": 0})``."""

    def connect(sandbox: Sandbox, *, hook: dict[str, Any] | None = None, **overrides: Any) -> TallyfyHook:
        conn_id = f"tallyfy_{next(_NUMBERS)}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(sandbox.connection(**overrides)))
        return TallyfyHook(conn_id, **(hook or {}))

    return connect


@pytest.fixture
def hook(sandbox: Sandbox, connect: Callable[..., TallyfyHook]) -> TallyfyHook:
    """A hook for the test's organization, with the token of an administrator."""
    return connect(sandbox)


@pytest.fixture
def task(hook: TallyfyHook) -> Task:
    """A task that works on the test's organization."""
    return Task(hook.tallyfy_conn_id)


@pytest.fixture(params=["file", "object storage"])
def report_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A path for a report that does not exist yet."""
    path = tmp_path / "reports" / "today.jsonl"
    if request.param == "file":
        return str(path)
    path.parent.mkdir()  # a bucket
    return f"file://{path}"


@pytest.fixture
def example(sandbox: Sandbox) -> Example:
    """The test's organization, with members, groups, tags, folders and a run."""
    return add_example_organization(sandbox)


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    """A run of the test's organization, with tasks of every kind."""
    return new_desk(sandbox)


@pytest.fixture
def ask(sandbox: Sandbox) -> Iterator[Ask]:
    """Send plain requests to the test's organization, without the client."""
    with plain_requests(sandbox) as ask:
        yield ask
