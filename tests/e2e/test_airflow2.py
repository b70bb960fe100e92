"""Airflow 2.11 in the browser: the form, a run, its XCom and its link."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from airflow_provider_tallyfy import connection_form
from airflow_provider_tallyfy.sandbox import Sandbox
from dev.airflow_stack import PASSWORD, USER, Airflow
from tests.airflow._airflow import LINK
from tests.e2e import _ui
from tests.e2e._traces import LOOPBACK, answers_in, dump_of, found_in, listening
from tests.e2e.conftest import connector, watched


@pytest.fixture(scope="module")
def archive(scratch: Path) -> Path:
    return scratch / "answers-of-airflow-2.har"


@pytest.fixture(scope="module")
def page(browser: Browser, airflow2: Airflow, archive: Path) -> Iterator[Page]:
    """Airflow 2 in the browser, logged in."""
    context = _ui.context_of(browser, archive)
    page = context.new_page()
    with watched(page):
        page.goto(f"{airflow2.url}/login/")
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("input[type=submit]")
        page.wait_for_url(f"{airflow2.url}/home")
        yield page
    context.close()


def test_form(page: Page, airflow2: Airflow, sandbox: Sandbox) -> None:
    page.goto(f"{airflow2.url}/connection/add")
    page.locator("#conn_type").select_option(label="Tallyfy", force=True)
    for field in connection_form.STANDARD_FIELDS:
        box = page.get_by_label(field.label or field.name.capitalize(), exact=True)
        expect(box).to_be_visible()
        expect(box).to_have_attribute("placeholder", field.placeholder)
    for extra in connection_form.EXTRA_FIELDS:
        box = page.get_by_label(extra.label, exact=True)
        expect(box).to_be_visible()
        expect(box).to_have_attribute("placeholder", extra.placeholder)
        expect(page.get_by_text(extra.description, exact=True)).to_be_visible()
    expect(page.get_by_label("Schema")).to_be_hidden()

    page.get_by_label("Connection Id").fill("e2e_typed")
    page.get_by_label("API base URL").fill("http://127.0.0.1")
    page.get_by_label("Organization ID").fill(sandbox.organization_id)
    page.get_by_label("Access token").fill(sandbox.token)
    page.get_by_label("Port").fill(str(sandbox.port))
    page.get_by_label("Tallyfy web address").fill(sandbox.url)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Added Row")).to_be_visible()

    tested = airflow2.cli("connections", "test", "e2e_typed")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert sandbox.calls == ["GET /me", "GET /"]


def test_run(page: Page, airflow2: Airflow, sandbox: Sandbox) -> None:
    connector(airflow2)("e2e_one", sandbox)
    wanted = sandbox.add_run("Onboarding - ACME")
    _ui.until(lambda: _runs(airflow2) is not None, "Airflow knows e2e_one_run", airflow2)
    page.goto(f"{airflow2.url}/dags/e2e_one_run/trigger")
    page.fill("#element_tallyfy_run_id", wanted)
    page.locator("form").get_by_role("button", name="Trigger").last.click()

    def ended() -> dict[str, Any] | None:
        return next((run for run in _runs(airflow2) or () if run["state"] in {"success", "failed"}), None)

    run = _ui.until(ended, "the run has ended", airflow2)
    assert run is not None
    assert run["state"] == "success"
    assert (sandbox.run(wanted) or {})["archived_at"]

    task = f"{airflow2.url}/dags/e2e_one_run/grid?dag_run_id={quote(run['dag_run_id'], safe='')}&task_id=archive&tab="
    page.goto(f"{task}logs")
    expect(page.get_by_text(f"Run 'Onboarding - ACME' ({wanted}) is archived.")).to_be_visible()
    page.goto(f"{task}xcom")
    expect(page.get_by_text("archived_at")).to_be_visible()
    expect(page.get_by_text("tallyfy_run_url")).to_be_attached()
    page.goto(f"{task}details")
    expect(page.get_by_text(LINK)).to_be_visible()
    href = page.get_by_text(LINK).evaluate("text => text.closest('a').href")
    assert href == f"{sandbox.url}/{sandbox.organization_id}/processes/{wanted}"


def test_token_is_found_nowhere(page: Page, airflow2: Airflow, archive: Path, canaries: set[str]) -> None:
    assert canaries
    dump = dump_of(airflow2.home / "airflow.db")
    logs = "\n".join(path.read_text(errors="replace") for path in airflow2.home.rglob("*.log"))
    assert "tallyfy_run_url" in dump
    assert "is archived." in logs
    assert found_in(dump + logs, canaries) == []
    page.context.close()
    answers = list(answers_in(archive))
    assert any("tallyfy_run_url" in text for _, text in answers)
    assert [url for url, text in answers if found_in(text, canaries)] == []


def test_servers_listen_only_on_loopback(airflow2: Airflow) -> None:
    addresses = listening(airflow2.pids())
    assert addresses
    assert addresses <= LOOPBACK


def _runs(airflow: Airflow) -> list[dict[str, Any]] | None:
    """Return the runs of e2e_one_run, as soon as Airflow knows the DAG."""
    with contextlib.suppress(HTTPError):
        runs: list[dict[str, Any]] = airflow.rest("GET", "/dags/e2e_one_run/dagRuns")["dag_runs"]
        return runs
    return None
