"""Scripted people: what they do on runs, when they do it, and what they are refused."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from tests.contract._plain_requests import Ask, plain_requests

STEPS = (
    {"title": "Collect", "fields": [{"label": "IBAN", "required": True}]},
    {"title": "Approve", "task_type": "approval"},
    {"title": "Expires", "task_type": "expiring"},
)


@pytest.fixture
def run_id(sandbox: Sandbox) -> str:
    """A run with a task that has a required field, an approval, and a task that expires."""
    return sandbox.add_run("Vendor", template=sandbox.add_template("Vendor", STEPS, ["Company"]))


def task(sandbox: Sandbox, run_id: str, title: str) -> dict[str, Any]:
    return next(one for one in sandbox.tasks(run_id) if one["title"] == title)


def run(sandbox: Sandbox, run_id: str) -> dict[str, Any]:
    found = sandbox.run(run_id)
    assert found is not None
    return found


def test_each_act_shows_in_the_run_and_in_its_feed(sandbox: Sandbox, ask: Ask, run_id: str) -> None:
    people = sandbox.people
    seen: list[tuple[str, str]] = []

    def new_rows() -> list[tuple[str, str]]:
        rows = ask("GET", f"/activity-feeds?entity_type=run&entity_id={run_id}&per_page=100")[1]["data"][::-1]
        found = [(row["verb"][0], row["type"][0]) for row in rows][len(seen) :]
        seen.extend(found)
        return found

    assert new_rows() == [("created", "Process")]
    people.complete(run_id, "Collect", answers={"IBAN": "DE1"}, comment="Done.", by="ann@partner.example")
    assert new_rows() == [("updated", "Task"), ("completed", "Task"), ("commented", "Comment")]
    done = task(sandbox, run_id, "Collect")
    assert (done["status"], done["completer_id"], list(done["taskdata"].values())) == ("completed", None, ["DE1"])
    people.reject(run_id, "approve", comment="Too dear.")
    assert (task(sandbox, run_id, "Approve")["status"], task(sandbox, run_id, "Approve")["is_approved"]) == (
        "completed",
        False,
    )
    assert new_rows() == [("completed", "Task"), ("commented", "Comment")]
    people.reopen(run_id, "Approve")
    people.approve(run_id, "Approve")
    assert new_rows() == [("uncompleted", "Task"), ("completed", "Task")]
    assert task(sandbox, run_id, "Approve")["is_approved"] is True
    people.raise_issue(run_id, "Where is it?", "Expires")
    assert run(sandbox, run_id)["status"] == "problem"
    people.resolve_issues(run_id, "Expires")
    people.raise_issue(run_id, "All is wrong.")
    assert (run(sandbox, run_id)["status"], run(sandbox, run_id)["has_open_issue"]) == ("issue", True)
    people.resolve_issues(run_id)
    assert new_rows() == [("issue-reported", "Comment"), ("issue-resolved", "Comment")] * 2
    people.skip(run_id, "Expires")
    state = run(sandbox, run_id)
    assert (state["status"], state["progress"]) == ("complete", {"complete": 2, "total": 2, "percent": 100})
    assert (task(sandbox, run_id, "Expires")["status"], task(sandbox, run_id, "Expires")["is_approved"]) == (
        "auto-skipped",
        None,
    )
    people.reopen_kickoff(run_id)
    assert run(sandbox, run_id)["status"] == "active"
    people.fill(run_id, {"Company": "ACME"})
    people.submit_kickoff(run_id)
    assert (run(sandbox, run_id)["status"], list(run(sandbox, run_id)["prerun"].values())) == ("complete", ["ACME"])
    people.comment(run_id, "Well done.")
    people.archive(run_id, by_bot=True)
    people.activate(run_id)
    people.archive(run_id)
    people.delete(run_id)
    assert sandbox.run(run_id) is None
    assert new_rows()[-5:] == [
        ("commented", "Comment"),
        ("archived", "Process"),
        ("unarchived", "Process"),
        ("archived", "Process"),
        ("deleted", "Process"),
    ]
    assert {act.outcome for act in people.done} == {"done"}
    guests = ask("GET", "/activity-feeds?actor_email=ann@partner.example")[1]["data"]
    assert {(row["source"][0], row["actor_type"][0], row["actor_id"][0]) for row in guests} == {
        ("Guest", "App\\Models\\Guest", None)
    }
    assert len(guests) == 3


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda people, run: people.complete(run, "Collect"), "IBAN is required"),
        (lambda people, run: people.complete(run, "Approve"), "The is approved field is required"),
        (lambda people, run: people.reject(run, "Expires"), "An expiring task cannot be rejected."),
        (lambda people, run: people.complete(run, "Nothing"), "Resource not found"),
        (lambda people, run: people.fill(run, {"BIC": "X"}, "Collect"), "The form has no field 'BIC'."),
        (
            lambda people, run: people.archive(run, by="light@sandbox.example"),
            "Light members cannot archive processes.",
        ),
        (lambda people, run: people.archive(run, by="ann@partner.example"), "Light members cannot archive processes."),
        (lambda people, run: people.delete(run), "The process must be archived before it can be deleted."),
    ],
)
def test_people_are_refused_what_the_api_refuses(
    sandbox: Sandbox, run_id: str, act: Callable[[Any, str], Any], reason: str
) -> None:
    before = run(sandbox, run_id), sandbox.tasks(run_id)
    assert act(sandbox.people, run_id).outcome == reason
    assert (run(sandbox, run_id), sandbox.tasks(run_id)) == before
    sandbox.people.raise_issue(run_id, "Stop.")
    assert sandbox.people.approve(run_id, "Approve").outcome.startswith("The process has an open issue.")


def test_the_first_assignee_does_it_unless_somebody_is_named(sandbox: Sandbox) -> None:
    ann, bob = sandbox.add_member("ann@acme.example"), sandbox.add_member("bob@acme.example")
    group = sandbox.add_group("Team", [bob])
    steps: list[dict[str, Any] | str] = [
        {"title": "Hers", "users": ["ann@acme.example"]},
        {"title": "Theirs", "groups": [group]},
        {"title": "Out", "guests": ["guest@partner.example"]},
        {"title": "Nobody's", "assign_run_starter": False},
        "Named",
    ]
    run_id = sandbox.add_run(template=sandbox.add_template("T", steps), owner_id=ann)
    for title in ("Hers", "Theirs", "Out", "Nobody's"):
        sandbox.people.complete(run_id, title)
    sandbox.people.complete(run_id, "Named", by=bob)
    assert [one["completer_id"] for one in sandbox.tasks(run_id)] == [ann, bob, None, ann, bob]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/{run}",
        "/runs/{run}?with=tasks",
        "/runs/{run}/tasks",
        "/runs/{run}/tasks/{task}",
        "/tasks/{task}",
        "/runs",
        "/runs?page=1&per_page=100",
        "/tasks?assignee=me",
        "/activity-feeds?per_page=100",
    ],
)
def test_a_poll_is_a_request_that_may_show_the_run(sandbox: Sandbox, ask: Ask, run_id: str, path: str) -> None:
    other = sandbox.add_run("Other")
    act = sandbox.people.approve(run_id, "Approve", after_polls=3)
    path = path.format(run=run_id, task=task(sandbox, run_id, "Approve")["id"])
    for unseen in (f"/runs/{other}", "/runs?page=2", "/tags", "/me", f"/checklists/{run_id}"):
        ask("GET", unseen)
    ask("PUT", f"/runs/{run_id}", {"name": "Renamed"})
    assert act.polls == 3
    ask("GET", path)
    ask("GET", path)
    assert (act.polls, act.outcome) == (1, "")
    ask("GET", path)
    assert act.outcome == "done"
    assert task(sandbox, run_id, "Approve")["is_approved"] is True


def test_the_poll_that_it_waits_for_shows_it_already(sandbox: Sandbox, ask: Ask, run_id: str) -> None:
    sandbox.people.complete_run(run_id, after_polls=2)
    sandbox.people.archive(run_id, after_polls=3, by_bot=True)
    seen = [ask("GET", f"/runs/{run_id}")[1]["data"] for _ in range(3)]
    assert [one["status"] for one in seen] == ["active", "complete", "archived"]
    assert seen[2]["completed_at"]


def test_time_passes_without_a_request_and_without_a_thread(sandbox: Sandbox, run_id: str) -> None:
    threads = threading.active_count()
    sandbox.people.comment(run_id, "Second.", after=0.15)
    sandbox.people.comment(run_id, "First.", after=0.05)
    sandbox.people.comment(run_id, "Third.", after=0.15)
    assert [act.instruction.text for act in sandbox.people.to_come] == ["First.", "Second.", "Third."]
    assert threading.active_count() == threads
    deadline = time.monotonic() + 5
    while len(sandbox.people.done) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [act.instruction.text for act in sandbox.people.done] == ["First.", "Second.", "Third."]
    assert sandbox.requests == []


def test_a_test_may_let_time_pass_at_once(sandbox: Sandbox, run_id: str) -> None:
    act = sandbox.people.approve(run_id, "Approve", after=86_400)
    sandbox.people.pass_time(86_399)
    assert act.outcome == ""
    sandbox.people.pass_time(2)
    assert act.outcome == "done"


def test_nothing_happens_before_it_starts_nor_after_it_ends() -> None:
    sandbox = Sandbox()
    run_id = sandbox.add_run()
    early = sandbox.people.comment(run_id, "Hello.", after=0.02)
    time.sleep(0.05)
    assert early.outcome == ""
    with sandbox:
        deadline = time.monotonic() + 5
        while not early.outcome and time.monotonic() < deadline:
            time.sleep(0.01)
        assert early.outcome == "done"
        late = sandbox.people.comment(run_id, "Bye.", after=0.05)
    time.sleep(0.1)
    assert late.outcome == ""


def test_what_is_due_happens_before_the_next_request_is_carried_out(sandbox: Sandbox, ask: Ask, run_id: str) -> None:
    with sandbox.organization.lock:
        sandbox.people.approve(run_id, "Approve", after=0.01)
        time.sleep(0.03)  # the timer has to wait for the lock, as the request does
    assert ask("GET", f"/runs/{run_id}/tasks")[1]["data"][1]["is_approved"] is True


def test_a_rule_serves_every_run_that_is_launched_from_now_on(sandbox: Sandbox, ask: Ask) -> None:
    vendor = sandbox.add_template("Vendor", STEPS)
    other = sandbox.add_template("Other", ["Approve it"])
    early = sandbox.add_run(template=vendor)
    sandbox.people.always("approve", task="Approve", template="Vendor", after_polls=2)
    sandbox.people.always("complete", task="approve-it", after=60.0)
    launched = [ask("POST", "/runs", {"checklist_id": key, "name": "R"})[1]["data"]["id"] for key in (vendor, other)]
    added = sandbox.add_run(template=vendor)
    assert [(act.run_id, act.polls) for act in sandbox.people.to_come] == [
        (launched[1], None),
        (launched[0], 2),
        (added, 2),
    ]
    ask("GET", f"/runs/{launched[0]}")
    assert ask("GET", f"/runs/{launched[0]}/tasks")[1]["data"][1]["is_approved"] is True
    assert task(sandbox, added, "Approve")["is_approved"] is None
    sandbox.people.pass_time(61)
    assert run(sandbox, launched[1])["status"] == "complete"
    assert run(sandbox, early)["progress"]["complete"] == 0
    sandbox.people.forget()
    sandbox.add_run(template=vendor)
    assert sandbox.people.to_come == []


def test_a_run_that_is_gone_by_then(sandbox: Sandbox, run_id: str) -> None:
    act = sandbox.people.approve(run_id, "Approve", after=5)
    sandbox.archive(run_id)
    sandbox.people.delete(run_id)
    sandbox.people.pass_time(6)
    assert act.outcome == "Resource not found"


MISTAKES: list[tuple[Callable[[Any, str], Any], str]] = [
    (lambda people, run: people.approve("f" * 32, "Approve"), "there is no run"),
    (lambda people, run: people.approve(run, "Approve", after=1, after_polls=1), "either after or after_polls"),
    (lambda people, run: people.approve(run, "Approve", after=-1), "a number from 0 on"),
    (lambda people, run: people.approve(run, "Approve", after_polls=0), "a whole number from 1 on"),
    (lambda people, run: people.approve(run, ""), "'approve' needs a task"),
    (lambda people, run: people.comment(run, ""), "'comment' needs a text"),
    (lambda people, run: people.fill(run, {}), "'fill' needs answers"),
    (lambda people, run: people.always("dance"), "nobody can 'dance'; people can"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes_in_a_script_are_told_at_once(
    sandbox: Sandbox, run_id: str, mistake: Callable[[Any, str], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mistake(sandbox.people, run_id)
    assert (sandbox.people.to_come, sandbox.people.done) == ([], [])


def test_another_process_scripts_people_and_looks_at_them(sandbox: Sandbox, ask: Ask, run_id: str) -> None:
    url = f"{sandbox.url}/_sandbox/people"
    told = [
        {"act": "approve", "run": run_id, "task": "Approve", "after_polls": 1, "text": "Fine."},
        {"act": "reject", "template": "Vendor", "task": "Approve", "after": 3600},
    ]
    answer = requests.post(url, json=told, timeout=5)
    assert answer.status_code == 201
    assert answer.json() == {
        "to_come": [
            {
                "run": run_id,
                "act": "approve",
                "task": "Approve",
                "text": "Fine.",
                "in_seconds": None,
                "in_polls": 1,
                "outcome": None,
            }
        ],
        "rules": [{"template": "Vendor", "act": "reject", "task": "Approve", "after": 3600.0, "after_polls": None}],
        "done": [],
    }
    ask("GET", f"/runs/{run_id}")
    assert [act["outcome"] for act in requests.get(url, timeout=5).json()["done"]] == ["done"]
    for wrong in ({"act": "dance"}, {"task": "Approve"}, {"act": "approve", "task": "Approve", "when": 3}, 7):
        assert requests.post(url, json=wrong, timeout=5).status_code == 422
    assert requests.delete(url, timeout=5).json()["rules"] == []


def test_people_who_act_between_two_reads_of_a_lagging_replica() -> None:
    with Sandbox(Behaviour(read_lag=0.3)) as sandbox, plain_requests(sandbox) as ask:
        run_id = sandbox.add_run(template=sandbox.add_template("Vendor", STEPS))
        path = f"/runs/{run_id}/tasks/{task(sandbox, run_id, 'Approve')['id']}"
        sandbox.people.approve(run_id, "Approve")
        assert ask("GET", path)[1]["data"]["is_approved"] is None
        assert task(sandbox, run_id, "Approve")["is_approved"] is True
        time.sleep(0.35)
        assert ask("GET", path)[1]["data"]["is_approved"] is True


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "airflow_provider_tallyfy.sandbox", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        yield running
        running.terminate()


def test_the_command_takes_rules() -> None:
    rule = {"act": "approve", "task": "Go-live approval", "after": 20}
    with process("--people", json.dumps(rule), "--people", '{"act": "complete_run", "after_polls": 9}') as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[-1]
        people = requests.get(f"{url}/_sandbox/people", timeout=5).json()
        assert [one["act"] for one in people["rules"]] == ["approve", "complete_run"]
    for wrong, message in (
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object with an act"),
        ('{"act": "x"}', "nobody can"),
    ):
        with process("--people", wrong) as running:
            assert running.stderr is not None
            assert message in running.stderr.read()
            assert running.wait(10) == 2
