"""DAGs that are triggered with their forms in the web interface, and what a person sees there."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.airflow._airflow import LINK
from tests.e2e._ui import Ui
from tests.e2e.conftest import ROOT, Connect, Shoot

EXAMPLES = sorted(path.stem for path in (ROOT / "example_dags").glob("*.py"))
#: Params that have no default because a person has to say them.
TO_FILL_IN = {"tallyfy_run_id": "f" * 32, "sweep": "scheduled__2026-11-22T03:00:00+00:00", "name": "New name"}
STALE = "tallyfy_archive_stale_runs"


def test_every_example_can_be_triggered_with_its_form(ui: Ui) -> None:
    for name in EXAMPLES:
        form = ui.trigger_form(name)
        form.get_by_text("Run Parameters").wait_for()
        for param, value in TO_FILL_IN.items():
            box = form.locator(f"input[name=element_{param}]")
            if box.count():
                box.fill(value)
                box.press("Tab")
        expect(form.get_by_test_id("trigger-dag-submit")).to_be_enabled()


@pytest.mark.picture
def test_archive_stale_runs(ui: Ui, sandbox: Sandbox, connect: Connect, shoot: Shoot) -> None:
    connect("tallyfy_default", sandbox)
    before = {run["id"]: run for run in sandbox.runs()}
    run_id = ui.trigger(STALE, limit="3")
    assert ui.end_of(STALE, run_id) == "success"

    changed = [run["id"] for run in sandbox.runs() if run != before[run["id"]]]
    assert len(changed) == 3
    assert all((sandbox.run(id) or {})["archived_at"] for id in changed)

    # The log shows the filters and the number of runs.
    ui.task(STALE, run_id, "find_stale_runs")
    log = ui.sees("Looked at")
    assert "(status 'complete', not updated since " in log
    assert " UTC, limit='3', order='last_updated') in organization" in log
    assert "kept 3." in log
    ui.task(STALE, run_id, "find_stale_runs", "xcom")
    ui.sees("return_value", "run_ids", before[changed[0]]["name"])

    # One mapped index: its log, rendered fields, XCom, and link to Tallyfy.
    index = 1
    path = f"/dags/{STALE}/dagRuns/{quote(run_id)}/taskInstances/archive/xcomEntries/return_value"
    archived = ui.airflow.rest("GET", f"{path}?deserialize=true&map_index={index}")["value"]
    ui.task(STALE, run_id, "archive", map_index=index)
    log = ui.sees(f"Archiving run {archived['id']} of organization")
    assert f"Run '{archived['name']}' ({archived['id']}) is archived." in log
    assert "WARNING" not in log
    assert "ERROR" not in log
    ui.task(STALE, run_id, "archive", "rendered_templates", map_index=index)
    fields = ui.sees("run_id", archived["id"])
    assert "tallyfy_default" in fields
    ui.task(STALE, run_id, "archive", "xcom", map_index=index)
    xcom = ui.sees("return_value", "tallyfy_run_url")
    assert f"{sandbox.url}/{sandbox.organization_id}/processes/{archived['id']}" in xcom

    ui.task(STALE, run_id, "archive", "details", map_index=index)
    ui.sees(LINK)
    shoot(ui.page, "task-with-link", height=540)
    with ui.page.context.expect_page() as opened:
        ui.page.get_by_text(LINK).click()
    tallyfy = opened.value
    tallyfy.wait_for_load_state()
    assert tallyfy.url == f"{sandbox.url}/{sandbox.organization_id}/processes/{archived['id']}"
    expect(tallyfy.get_by_role("heading", name=archived["name"])).to_be_visible()
    expect(tallyfy.get_by_text("archived", exact=False).first).to_be_visible()
    tallyfy.close()


@pytest.mark.picture
def test_onboarding(ui: Ui, sandbox: Sandbox, connect: Connect, shoot: Shoot) -> None:
    connect("tallyfy_default", sandbox)
    sandbox.people.always("fill", task="Order equipment", answers={"Serial number": "SN-4711"})
    before = {run["id"] for run in sandbox.runs()}
    run_id = ui.trigger("tallyfy_onboarding", hires="2")
    assert ui.end_of("tallyfy_onboarding", run_id) == "success"

    launched = [run for run in sandbox.runs() if run["id"] not in before]
    assert sorted(run["name"] for run in launched) == ["Onboarding of Ada Byron", "Onboarding of Alan Mathison"]
    ui.task("tallyfy_onboarding", run_id, "launch", map_index=0)
    log = ui.sees("Launched run 'Onboarding of Ada Byron'", "guests: manager1@example.com")
    assert "WARNING" not in log
    ui.task("tallyfy_onboarding", run_id, "launch", "details", map_index=0)
    ui.sees(LINK)
    ui.task("tallyfy_onboarding", run_id, "read_answers", map_index=0)
    ui.sees("6 of 8 fields have an answer")
    ui.task("tallyfy_onboarding", run_id, "read_answers", "xcom", map_index=0)
    ui.sees("return_value", "answers")
    shoot(ui.page, "answers", height=540)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("unknown run", ("failed with 404: Resource not found", "Check the id and the Organization ID")),
        ("revoked token", ("failed with 401: invalid token", "Put a new one", "into the connection's password")),
    ],
    ids=["run", "token"],
)
def test_log_of_a_failed_task_says_what_to_do(
    ui: Ui, sandbox: Sandbox, connect: Connect, what: str, says: tuple[str, ...]
) -> None:
    connect("e2e_one", sandbox)
    wanted = "f" * 32 if what == "unknown run" else sandbox.add_run("Onboarding - ACME")
    if what == "revoked token":
        sandbox.revoke(sandbox.token)
    run_id = ui.trigger("e2e_one_run", tallyfy_run_id=wanted)
    assert ui.end_of("e2e_one_run", run_id) == "failed"

    ui.task("e2e_one_run", run_id, "archive")
    log = ui.sees("ERROR", *says)
    # The reason comes before the stack trace.
    assert log.index(says[-1]) < log.index("task_runner.py")
    assert "During handling of the above exception" not in log
    ui.task("e2e_one_run", run_id, "archive", "details")
    ui.sees(LINK)
    href = ui.page.get_by_text(LINK).evaluate("button => button.closest('a').href")
    assert href == f"{sandbox.url}/{sandbox.organization_id}/processes/{wanted}"
