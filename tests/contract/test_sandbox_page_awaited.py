"""The pages say whom everybody waits for, and what scripted people are about to do."""

from __future__ import annotations

import html
import re

import requests

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._plain_requests import Ask

STEPS = (
    {"title": "Call", "users": ["ann.lee@acme.example"]},
    {"title": "Approve", "task_type": "approval", "guests": ["cfo@partner.example"]},
    {"title": "File", "assign_run_starter": False},
    "Close",
)


def text(sandbox: Sandbox, address: str = "/") -> str:
    answer = requests.get(f"{sandbox.url}{address}", headers={"Accept": "text/html"}, timeout=5)
    assert answer.status_code == 200
    body = re.sub(r"<(style|script)>.*?</\1>", "", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def run_page(sandbox: Sandbox, run_id: str) -> str:
    return text(sandbox, f"/{sandbox.organization_id}/processes/{run_id}")


def test_open_tasks_with_their_owners_and_what_is_to_come(sandbox: Sandbox, ask: Ask) -> None:
    assert "Nobody is waited for." in text(sandbox)
    sandbox.add_member("ann.lee@acme.example")
    finance = sandbox.add_group("Finance team")
    template = sandbox.add_template("Onboarding", [*STEPS, {"title": "Book", "groups": [finance]}])
    run_id = sandbox.add_run("Onboarding ACME", template=template)
    sandbox.people.approve(run_id, "Approve", after=3600)
    sandbox.people.archive(run_id, after_polls=7, by_bot=True)
    sandbox.people.comment(run_id, "Hurry.", after_polls=9, by="ann.lee@acme.example")
    overview, page = text(sandbox), run_page(sandbox, run_id)
    assert sandbox.organization.runs[run_id].tasks is None, "looking made tasks"
    assert (
        "Awaited Onboarding ACME Call : Ann Lee Approve : cfo@partner.example File : nobody in particular" in overview
    )
    assert "and 2 more" in overview
    for shown in (
        ("Call Ann Lee", "Approve cfo@partner.example", "File nobody in particular", "Close Admin Member"),
        ("Book Finance team", "The auto-archive bot archives the run before poll 7 from now"),
        ("Ann Lee comments on the run before poll 9 from now",),
    ):
        for words in shown:
            assert words in page, words
    assert re.search(r'approves "Approve" in (3600|3599) s', page)
    ask("GET", f"/runs/{run_id}/tasks")
    assert re.search(r'cfo@partner.example approves "Approve" in (3600|359\d) s', run_page(sandbox, run_id))
    assert "before poll 6 from now" in run_page(sandbox, run_id)

    sandbox.people.complete(run_id, "Call")
    sandbox.people.reject(run_id, "Approve")
    assert "Approve rejected cfo@partner.example" in run_page(sandbox, run_id)
    sandbox.people.reopen(run_id, "Approve")
    sandbox.people.skip(run_id, "Close")
    page = run_page(sandbox, run_id)
    waits = page[page.index("Waits for") : page.index("People and places")]
    assert "Call" not in waits
    assert "Close" not in waits
    assert "Completed task: Call 0 s ago Ann Lee" in page
    sandbox.people.complete_run(run_id)
    sandbox.people.forget()
    assert "Awaited Nobody." in run_page(sandbox, run_id)
    assert "Nobody is waited for." in text(sandbox)


def test_the_overview_names_the_runs_that_somebody_turns_to_next_and_the_newest(sandbox: Sandbox) -> None:
    old = sandbox.add_run("Old one", days_old=300)
    for number in range(1, 31):
        sandbox.add_run(f"Run number {number}", days_old=40 - number)
    sandbox.people.complete_run(old, after=60)
    awaited = text(sandbox).partition("Awaited")[2].partition("Requests")[0]
    names = re.findall(r"Old one|Run number \d+", awaited)
    assert names == ["Old one", *(f"Run number {number}" for number in range(30, 26, -1))]
    assert "5 of 31 runs" in awaited


def test_the_page_counts_down_while_somebody_is_about_to_act(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run("R")

    def mark() -> str:
        found = re.search(r'data-mark="([^"]+)"', requests.get(sandbox.url, timeout=5).text)
        assert found is not None
        return found[1]

    assert int(mark().rpartition(".")[2]) < 10**9  # in steps of 20 seconds
    sandbox.people.complete_run(run_id, after=60)
    assert int(mark().rpartition(".")[2]) > 10**9


def test_what_people_are_called_stays_text(sandbox: Sandbox) -> None:
    bad = '<script>alert("1")</script>'
    run_id = sandbox.add_run(bad, template=sandbox.add_template("T", [{"title": bad, "guests": [f"{bad}@x.example"]}]))
    sandbox.people.complete(run_id, bad, after=60, by=bad)
    for address in ("/", f"/{sandbox.organization_id}/processes/{run_id}"):
        page = requests.get(f"{sandbox.url}{address}", timeout=5).text
        assert "alert" in page
        assert bad not in page
