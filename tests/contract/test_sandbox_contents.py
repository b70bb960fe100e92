"""What a test puts into a sandbox: runs of a certain age, and what a wrong argument is told."""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.contents import Contents
from tests.contract._plain_requests import Ask

FIELDS = ("created_at", "last_updated", "completed_at", "archived_at")
UTC = timezone.utc
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(sandbox: Sandbox, run_id: str, field: str) -> datetime | None:
    text = (sandbox.run(run_id) or {})[field]
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=UTC)


def days_ago(sandbox: Sandbox, run_id: str, field: str) -> float | None:
    found = moment(sandbox, run_id, field)
    return None if found is None else round((datetime.now(UTC) - found) / timedelta(days=1), 2)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "said",
    [
        NOON,
        datetime(2026, 3, 1, 12),
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00",
        "2026-03-01 13:00:00+01:00",
    ],
)
def test_a_time_in_every_accepted_form(sandbox: Sandbox, field: str, said: Any) -> None:
    run_id = sandbox.add_run(**{field: said})
    assert moment(sandbox, run_id, field) == NOON


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("said", "days"),
    [
        (timedelta(days=30), 30),
        (timedelta(0), 0),
        ("P30D", 30),
        ("P2W", 14),
        ("PT36H", 1.5),
        ("P1DT12H", 1.5),
        ("PT90M", 0.06),
        ("PT0S", 0),
    ],
)
def test_a_duration_means_that_long_ago(sandbox: Sandbox, field: str, said: Any, days: float) -> None:
    run_id = sandbox.add_run(**{field: said})
    assert days_ago(sandbox, run_id, field) == days


def test_events_of_a_run_set_its_state_and_its_other_times(sandbox: Sandbox, ask: Ask) -> None:
    def shown(**attributes: Any) -> tuple[Any, ...]:
        run_id = sandbox.add_run(**attributes)
        run = sandbox.run(run_id) or {}
        return run["status"], *(days_ago(sandbox, run_id, field) for field in FIELDS)

    week, month, year = timedelta(days=7), timedelta(days=30), timedelta(days=365)
    assert shown() == ("active", 0, 0, None, None)
    assert shown(created_at=month) == ("active", 30, 30, None, None)
    assert shown(completed_at=month) == ("complete", 30, 30, 30, None)
    assert shown(archived_at=month) == ("active", 30, 30, None, 30)
    assert shown(completed_at=month, archived_at=week) == ("complete", 30, 7, 30, 7)
    assert shown(created_at=year, completed_at=month, archived_at=week) == ("complete", 365, 7, 30, 7)
    assert shown(archived_at=month, last_updated=week) == ("active", 30, 7, None, 30)
    assert shown(status="complete", archived_at=month) == ("complete", 30, 30, 30, 30)
    assert shown(archived=True, last_updated=week) == ("active", 7, 7, None, 7)
    assert shown(archived_at=month, days_old=60, completed_days_ago=45) == ("complete", 60, 30, 45, 30)
    assert shown(archived_at=month, status="problem")[0] == "problem"

    (old, new) = sandbox.add_runs(2, name="Gone", archived_at=month)
    rows = {row["id"]: row for row in ask("GET", "/runs?archived=only&per_page=100")[1]["data"]}
    assert rows[old]["archived_at"] == rows[new]["archived_at"] == (sandbox.run(old) or {})["archived_at"]
    assert ask("PUT", f"/runs/{old}/activate")[0] == 200
    assert moment(sandbox, old, "archived_at") is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.dictionaries(st.sampled_from(FIELDS), st.integers(0, 10**9)))
def test_a_run_is_created_before_its_events(sandbox: Sandbox, ages: dict[str, int]) -> None:
    spans: Any = {field: timedelta(seconds=age) for field, age in ages.items()}
    if "created_at" in ages and max(ages.values()) > ages["created_at"]:
        with pytest.raises(ValueError, match="created after its"):
            sandbox.add_run(**spans)
        return
    run_id = sandbox.add_run(**spans)
    for field, age in ages.items():
        found = moment(sandbox, run_id, field)
        assert found is not None
        assert abs(time.time() - age - found.timestamp()) < 3
    created = moment(sandbox, run_id, "created_at")
    assert created is not None
    others = [moment(sandbox, run_id, field) for field in FIELDS]
    assert all(found is None or found >= created for found in others)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (30, TypeError, "takes a datetime, a timedelta"),
        (30.5, TypeError, "not float"),
        (True, TypeError, "not bool"),
        (b"P30D", TypeError, "not bytes"),
        ("30 days", ValueError, "it takes text like 2026-03-01T09:00:00Z or P30D"),
        ("", ValueError, "it takes text like"),
        ("P", ValueError, "it takes text like"),
        ("P1DT", ValueError, "it takes text like"),
        ("-P30D", ValueError, "it takes text like"),
        ("2026-02-30", ValueError, "it takes text like"),
        (timedelta(days=-1), ValueError, "is negative"),
    ],
)
def test_bad_time_is_refused_with_the_name_of_its_argument(
    sandbox: Sandbox, field: str, said: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"^{field} .*{re.escape(words)}"):
        sandbox.add_run(**{field: said})
    assert sandbox.runs() == []


def test_a_time_given_twice_is_refused(sandbox: Sandbox) -> None:
    for one, other in (
        ("created_at", "days_old"),
        ("last_updated", "unmodified_days"),
        ("completed_at", "completed_days_ago"),
    ):
        said: Any = {one: timedelta(days=3), other: 3}
        with pytest.raises(ValueError, match=f"give either {one} or {other}"):
            sandbox.add_run(**said)
    with pytest.raises(ValueError, match="created after its completed_at"):
        sandbox.add_run(days_old=3, completed_days_ago=4)
    assert sandbox.runs() == []


PUBLIC = [
    (name, method)
    for name, method in inspect.getmembers(Sandbox, inspect.isfunction)
    if not name.startswith("_") and name not in ("connection", "connection_json")
]


@pytest.mark.parametrize(("name", "method"), PUBLIC)
def test_unknown_argument_is_named_with_the_called_method(
    sandbox: Sandbox, name: str, method: Callable[..., Any]
) -> None:
    required = {
        parameter.name: "x"
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    with pytest.raises(TypeError, match=rf"\b{name}\(\) got an unexpected keyword argument 'agee'"):
        getattr(sandbox, name)(**required, agee=3)


def test_every_add_method_is_tested() -> None:
    adders = {name for name, _ in PUBLIC if name.startswith("add_")}
    assert adders == {f"add_{what}" for what in ("member", "template", "tag", "folder", "group", "run", "runs")}


def test_add_runs_takes_what_add_run_takes() -> None:
    # The names that an editor offers for add_runs are seen by type checkers alone.
    source = inspect.getsource(sys.modules[Contents.__module__])
    declared = re.search(r"class RunAttributes\(TypedDict.*?\n\n\n", source, re.DOTALL)
    assert declared is not None
    taken = set(inspect.signature(Contents.add_run).parameters) - {"self", "name"}
    assert set(re.findall(r"^        (\w+): ", declared[0], re.MULTILINE)) == taken
    documented = set(re.findall(r":param (\w+):", inspect.getdoc(Contents.add_run) or ""))
    assert documented - {"name"} == taken
