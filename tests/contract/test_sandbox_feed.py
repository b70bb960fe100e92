"""The activity feed of the sandbox: what it tells whom, in what shape, how late, and what it leaves out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from airflow_provider_tallyfy.sandbox.feed import Feed
from airflow_provider_tallyfy.sandbox.models import Event
from tests.contract._plain_requests import Ask, errors

STEPS: list[str | dict[str, str]] = ["Call", {"title": "Approve", "task_type": "approval"}]
DAY = 86_400.0


def rows(ask: Ask, query: str = "", role: str = "admin") -> list[dict[str, Any]]:
    status, answer = ask("GET", f"/activity-feeds?per_page=100{query}", role=role)
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["data"]
    return found


def told(found: list[dict[str, Any]]) -> list[str]:
    return [f"{row['type'][0]} {row['verb'][0]}" for row in found]


def test_one_request_tells_what_happened_to_every_run(sandbox: Sandbox, ask: Ask) -> None:
    template = sandbox.add_template("Onboarding", STEPS)
    run_id = ask("POST", "/runs", {"checklist_id": template, "name": "New"})[1]["data"]["id"]
    other = sandbox.add_run("Other", template=template)
    call = ask("GET", f"/runs/{run_id}/tasks")[1]["data"][0]["id"]
    ask("POST", f"/runs/{run_id}/completed-tasks", {"task_id": call})
    ask("PUT", f"/runs/{run_id}/tasks/{call}", {"owners": {}})  # refused: it is completed
    ask("DELETE", f"/runs/{run_id}/completed-tasks/{call}")
    ask("PUT", f"/runs/{run_id}/tasks/{call}", {"owners": {"guests": ["ann@partner.example"]}})
    ask("POST", f"/tasks/{call}/comment", {"content": "Hello."})
    ask("POST", f"/runs/{run_id}/comment", {"content": "Hello, all."})
    ask("DELETE", f"/runs/{other}")
    ask("PUT", f"/runs/{other}/activate")
    ask("DELETE", f"/runs/{other}")
    ask("DELETE", f"/runs/{other}/delete")
    found = rows(ask)
    assert told(found)[::-1] == [
        *("Process created", "Process created", "Task completed", "Task uncompleted", "Task owners-updated"),
        *("Comment commented", "Comment commented"),
        *("Process archived", "Process unarchived", "Process archived", "Process deleted"),
    ]
    for row in found:
        # A run is named as what it is about, or as the parent of that; never its template for the run.
        kind = "auditable" if row["type"] == ["Process"] else "parentable"
        assert row[f"{kind}_type"] == "App\\Models\\Run"
        assert row[f"{kind}_id"] in (run_id, other)
        for field in ("verb", "source", "actor_type", "actor_id", "type", "description", "actor"):
            assert isinstance(row[field], list), field
            assert len(row[field]) == 1, field
        assert row["organization_id"] == sandbox.organization_id
        assert type(row["id"]) is int
    assert (found[0]["parentable_type"], found[0]["parentable_id"]) == ("App\\Models\\Checklist", template)
    task_rows = [row for row in found if row["type"] == ["Task"]]
    assert {(row["auditable_type"], row["auditable_id"]) for row in task_rows} == {("App\\Models\\Task", call)}
    assert [row["text"] for row in found if row["verb"] == ["commented"]] == [["Hello, all."], ["Hello."]]
    # What was deleted for ever is still told about.
    assert told(rows(ask, f"&entity_type=run&entity_id={other}"))[0] == "Process deleted"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&verb=archived", ["archived"]),
        ("&type=Comment", ["commented"]),
        ("&type=process", ["archived", "created"]),
        ("&entity_type=task", ["completed"]),
        ("&actor_type=guest", ["commented"]),
        ("&actor_type=user", ["archived", "completed", "created"]),
        ("&actor_email=ANN@partner.example", ["commented"]),
        ("&actor_id=10001", ["archived", "completed", "created"]),
        ("&source=Guest", ["commented"]),
        ("&source=Member&sort=created_at", ["created", "completed", "archived"]),
        ("&search=fine%20by", ["commented"]),
        ("&sort=-created_at", ["archived", "commented", "completed", "created"]),
        ("&sort=created_at", ["created", "completed", "commented", "archived"]),
        ("&limit=1&updated_since=2026", ["archived", "commented", "completed", "created"]),
    ],
)
def test_the_feed_can_be_narrowed_and_sorted(sandbox: Sandbox, ask: Ask, query: str, expected: list[str]) -> None:
    run_id = sandbox.add_run(template=sandbox.add_template("T", STEPS))
    sandbox.people.complete(run_id, "Call")
    sandbox.people.comment(run_id, "Fine by me.", by="ann@partner.example")
    sandbox.archive(run_id)
    assert [row["verb"][0] for row in rows(ask, query)] == expected


def test_days_are_the_finest_dates_that_it_knows(sandbox: Sandbox, ask: Ask) -> None:
    today = datetime.now(timezone.utc)
    for days in (0, 1, 2, 30):
        sandbox.add_run(f"{days}", created_at=today - timedelta(days=days))
    day = [(today - timedelta(days=days)).strftime("%Y-%m-%d") for days in range(4)]

    def ages(query: str) -> list[str]:
        return [row["description"][0].rpartition(" ")[2] for row in rows(ask, query)]

    assert ages("") == ["0", "1", "2", "30"]
    assert ages(f"&created_after={day[1]}") == ["0", "1"]
    assert ages(f"&created_after={day[1]}T23:59:59Z") == ["0", "1"]
    assert ages(f"&created_before={day[1]}") == ["1", "2", "30"]
    assert ages(f"&created_after={day[2]}&created_before={day[2]}") == ["2"]
    assert ages(f"&created_after={day[3]}&created_before={day[3]}") == []
    assert "created_after" in errors(ask("GET", "/activity-feeds?created_after=yesterday")[1])
    assert "search" in errors(ask("GET", "/activity-feeds?search=x")[1])


def test_pages_of_the_feed(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.add_runs(45)
    first = ask("GET", "/activity-feeds")[1]
    assert first["meta"]["pagination"] | {"links": {}} == {
        **{"total": 45, "count": 20, "per_page": 20, "current_page": 1, "total_pages": 3},
        "links": {},
    }
    pages = [ask("GET", f"/activity-feeds?page={number}")[1]["data"] for number in (1, 2, 3)]
    ids = [row["id"] for page in pages for row in page]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), len(set(ids))) == (45, 45)


def test_each_role_is_told_what_it_may_know_and_not_that_there_is_more(sandbox: Sandbox, ask: Ask) -> None:
    me = ask("GET", "/me", role="standard")[1]["data"]["id"]
    group = sandbox.add_group("Mine", [me])
    template = sandbox.add_template("Plain", ["One"])
    runs = {
        "owned": sandbox.add_run(owner_id=me, template=template),
        "member of": sandbox.add_run(users=[me], template=template),
        "assigned": sandbox.add_run(template=sandbox.add_template("T", [{"title": "A", "users": [me]}])),
        "assigned by group": sandbox.add_run(template=sandbox.add_template("G", [{"title": "A", "groups": [group]}])),
    }
    foreign = sandbox.add_run("Foreign", template=template)
    sandbox.archive(foreign)
    assert {row["auditable_id"] for row in rows(ask, role="standard")} == set(runs.values())
    assert ask("GET", "/activity-feeds", role="standard")[1]["meta"]["pagination"]["total"] == 4
    assert rows(ask, role="light") == []
    assert len(rows(ask)) == 6
    # Tallyfy's own support sees all of it, whatever its role.
    support = sandbox.organization.add_member("support@tallyfy.example", "standard", bot=True)
    headers = {"Authorization": f"Bearer {sandbox.token_of(support.id)}"}
    assert ask("GET", "/activity-feeds", headers=headers)[1]["meta"]["pagination"]["total"] == 6
    scoped = f"/activity-feeds?entity_type=run&entity_id={foreign}"
    assert [ask("GET", scoped, role=role)[0] for role in ("admin", "standard", "light")] == [200, 403, 403]
    assert ask("GET", f"/activity-feeds?entity_type=run&entity_id={runs['assigned']}", role="standard")[0] == 200


def test_a_lagging_feed_shows_a_row_once_it_is_old_enough(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.behaviour = dataclasses.replace(sandbox.behaviour, feed_lag=0.4)
    old, new = sandbox.add_run("Old", days_old=1), sandbox.add_run("New")
    assert [row["auditable_id"] for row in rows(ask)] == [old]
    assert rows(ask, f"&entity_type=run&entity_id={new}") == []
    assert ask("GET", f"/runs/{new}")[0] == 200
    time.sleep(0.45)
    assert [row["auditable_id"] for row in rows(ask)] == [new, old]


def test_a_feed_that_leaves_rows_out(sandbox: Sandbox, ask: Ask) -> None:
    runs = sandbox.add_runs(30)
    for run_id in runs[:3]:
        sandbox.archive(run_id)
    everything = [row["id"] for row in rows(ask)]
    sandbox.behaviour = Behaviour(feed_missing_every=10)
    assert [row["id"] for row in rows(ask)] == [number for number in everything if number % 10]
    # From another process, as a list.
    requests.put(f"{sandbox.url}/_sandbox/behaviour", json={"feed_missing_verbs": ["archived"]}, timeout=5)
    requests.put(f"{sandbox.url}/_sandbox/behaviour", json={"feed_missing_every": 0}, timeout=5)
    assert set(told(rows(ask))) == {"Process created"}
    assert ask("GET", "/runs?archived=only")[1]["meta"]["pagination"]["total"] == 3
    with pytest.raises(ValueError, match="feed_missing_verbs takes a tuple of names"):
        Behaviour(feed_missing_verbs="archived")  # type: ignore[arg-type]


def _event(number: int, moment: float) -> Event:
    return Event(number, "created", 1, "r", "run", "r", "", moment)


@settings(deadline=None)
@given(
    moments=st.lists(st.integers(0, 30)),
    reads=st.sets(st.integers(0, 30)),
    since=st.none() | st.integers(-1, 31),
    until=st.none() | st.integers(-1, 31),
)
def test_a_span_of_the_feed_is_what_a_look_at_every_row_finds(
    moments: list[int], reads: set[int], since: int | None, until: int | None
) -> None:
    feed, everything = Feed(), []
    for number, moment in enumerate(moments):
        everything.append(_event(number, moment))
        feed.add(everything[-1])
        if number in reads:
            feed.between()  # what was sorted may get rows of the past again
    wanted = [one for one in everything if (since is None or one.created_at >= since)]
    wanted = [one for one in wanted if until is None or one.created_at <= until]
    assert feed.between(since, until) == sorted(wanted, key=lambda one: (one.created_at, one.id))
    assert len(feed) == len(moments)


def test_a_poll_of_the_feed_costs_about_the_same_with_thousands_of_runs() -> None:
    """Counted in comparisons of rows, which no busy machine changes."""
    compared = 0

    class Counted(float):
        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float.__lt__(self, other)

    def polls(count: int) -> Iterator[int]:
        nonlocal compared
        feed = Feed()
        for number in range(count):
            feed.add(_event(number, Counted(number)))
        feed.between()
        for number in range(count, count + 20):
            feed.add(_event(number, Counted(number)))
            compared = 0
            feed.between(Counted(count - 10))
            yield compared

    assert max(polls(50_000)) <= 20


def test_a_change_right_after_another_keeps_its_place(sandbox: Sandbox, ask: Ask) -> None:
    runs = sandbox.add_runs(3, template=sandbox.add_template("T", STEPS))
    acts: list[Callable[[str], object]] = [sandbox.archive, sandbox.activate, sandbox.archive]
    for act in acts:
        for run_id in runs:
            act(run_id)
    found = rows(ask, "&sort=created_at")
    assert [row["verb"][0] for row in found[3:]] == ["archived"] * 3 + ["unarchived"] * 3 + ["archived"] * 3
    assert [row["auditable_id"] for row in found[3:]] == runs * 3
