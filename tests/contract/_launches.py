"""Fixtures for tests of launches: members, a template, and a clock for the lag of read replicas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from tests.contract._clock import FastClock

SOON = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=10)
ANSWERS = {"Company": "Acme", "Size": "L"}


@pytest.fixture
def people(sandbox: Sandbox) -> dict[str, int]:
    return {name: sandbox.add_member(f"{name}@acme.com") for name in ("cfo", "ann", "ben")}


@pytest.fixture
def template(sandbox: Sandbox, people: dict[str, int]) -> str:
    """A template whose steps have every kind of owner that a launch must keep."""
    return sandbox.add_template(
        "Onboarding",
        [
            {"title": "Collect", "users": ["ann@acme.com"], "guests": ["agency@example.org"]},
            {"title": "Approve", "task_type": "approval", "users": ["ben@acme.com"]},
            {"title": "Confirm", "assign_run_starter": True},
            {"title": "Pay", "allow_guest_owners": False, "assign_run_starter": False},
        ],
        [
            {"label": "Company", "required": True},
            {"label": "Size", "field_type": "dropdown", "options": ["S", "L"]},
            {"label": "Buddy", "field_type": "assignees_form"},
        ],
    )


def posts(sandbox: Sandbox) -> list[Any]:
    """Return the bodies of the launch requests."""
    return [record.json for record in sandbox.requests if record.method == "POST" and record.route == "/runs"]


def owners(sandbox: Sandbox, run_id: str) -> dict[str, list[Any]]:
    return {
        task["title"]: [*task["owners"]["users"], *task["owners"]["guests"], *task["owners"]["groups"]]
        for task in sandbox.tasks(run_id)
    }


class LagClock(FastClock):
    """A clock whose sleeps let the sandbox's read replica catch up."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for run in self.sandbox.organization.runs.values():
            run.lagging_until -= min(seconds, run.lagging_until)


@pytest.fixture
def lag(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], LagClock]:
    """Return a function that makes reads lag behind writes. Only the clock's sleeps reduce the lag."""

    def lag(seconds: float) -> LagClock:
        clock = LagClock(sandbox)
        monkeypatch.setattr(TallyfyHook, "clock", clock)
        sandbox.behaviour = Behaviour(read_lag=seconds)
        return clock

    return lag


def connect_again(hook: TallyfyHook) -> TallyfyHook:
    """Return a new hook, like that of the next try."""
    return TallyfyHook(hook.tallyfy_conn_id)
