"""Uses Airflow 3's web interface like a person."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Response, expect

from dev.airflow_stack import PASSWORD, USER, Airflow

T = TypeVar("T")

#: Milliseconds that a page may take. Generous, because the machine also runs Airflow, and waits end early.
PATIENCE = 30_000
RUN_SECONDS = 90
SIZE = {"width": 1280, "height": 800}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def until(question: Callable[[], T | None], what: str, airflow: Airflow | None, seconds: float = RUN_SECONDS) -> T:
    """Call a function until it returns a true value, and return that.

    :param what: description of the condition, for the error.
    :param airflow: the Airflow whose processes must stay alive, or ``None``.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        if airflow is not None:
            airflow.require_alive()
        time.sleep(0.5)
    raise AssertionError(f"after {seconds} s still not: {what}")


def chromium(playwright: Any) -> Browser:
    """Start the system's browser without a window."""
    path = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert path, f"none of {', '.join(CHROMIUM)} is installed"
    browser: Browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    return browser


def context_of(browser: Browser, archive: Path, scale: float = 1) -> BrowserContext:
    """Open a browser context of a fixed size, in English, UTC and the light theme.

    :param archive: file for all responses of Airflow and the sandbox, written when the context is closed.
    """
    context: BrowserContext = browser.new_context(
        viewport=SIZE, device_scale_factor=scale, locale="en-US", timezone_id="UTC", color_scheme="light",
        reduced_motion="reduce", record_har_path=archive, record_har_content="embed",
        record_har_url_filter=re.compile(r"^(?!.*\.(js|css|woff2?|svg|png|ico)(\?|$))"),
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    return context


class Ui:
    """A browser page that is logged in to Airflow 3.

    :param folder: folder in which every visited page is saved.
    """

    def __init__(self, page: Page, airflow: Airflow, folder: Path) -> None:
        self.page = page
        self.airflow = airflow
        self._folder = folder
        self._numbers = itertools.count(len(list(folder.glob("*.html"))))

    def log_in(self) -> None:
        self.visit("/")
        self.page.fill("input[name=username]", USER)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(f"{self.airflow.url}/")

    def visit(self, path: str) -> Page:
        """Open a page of Airflow, or any other page by its full address."""
        self.page.goto(path if "://" in path else f"{self.airflow.url}{path}")
        return self.page

    def keep(self) -> str:
        """Save the current page, and return its text."""
        (self._folder / f"{next(self._numbers):03}.html").write_text(self.page.content())
        return str(self.page.inner_text("body"))

    # -- connections ---------------------------------------------------------------------------------------------------

    def connection_form(self) -> Locator:
        """Open Admin > Connections > Add and choose the type."""
        self.visit("/")
        self.page.get_by_role("button", name="Admin").click()
        self.page.get_by_role("menuitem", name="Connections").click()
        self.page.get_by_role("button", name="Add Connection").click()
        form = self.page.get_by_role("dialog")
        form.get_by_role("combobox").fill("Tallyfy")
        self.page.get_by_role("option", name="Tallyfy", exact=True).wait_for()
        form.get_by_role("combobox").press("Enter")
        form.get_by_label("Organization ID").wait_for()
        return form

    def save(self, form: Locator) -> None:
        with self.page.expect_response(_changes("/connections")) as answer:
            form.get_by_role("button", name="Save").click()
        assert answer.value.ok, answer.value.text()
        form.wait_for(state="hidden")

    def test_connection(self, conn_id: str) -> tuple[Response, str]:
        """Press the Test button of a saved connection; return the response and the text of the toast."""
        self.visit("/connections")  # reload, so that there is only one toast
        row = self.page.get_by_role("row").filter(has=self.page.get_by_text(conn_id, exact=True))
        with self.page.expect_response("**/connections/test") as answer:
            row.get_by_role("button", name="Test Connection").click()
        toast = self.page.locator("[data-scope=toast][data-part=root]", has_text="Test Connection")
        toast.wait_for()
        self.keep()
        return answer.value, toast.inner_text()

    # -- DAGs ----------------------------------------------------------------------------------------------------------

    def trigger_form(self, dag_id: str) -> Locator:
        """Open the form to trigger a DAG."""
        until(lambda: self._knows(dag_id), f"Airflow knows {dag_id}", self.airflow)
        self.visit(f"/dags/{dag_id}")
        self.page.get_by_role("button", name=re.compile("^Trigger")).first.click()
        form = self.page.get_by_role("dialog")
        form.get_by_test_id("trigger-dag-submit").wait_for()
        return form

    def trigger(self, dag_id: str, **params: str) -> str:
        """Fill in the form, press Trigger, and return the id of the run."""
        form = self.trigger_form(dag_id)
        for name, value in params.items():
            box = form.locator(f"input[name=element_{name}]")
            box.fill(value)
            box.press("Tab")
        with self.page.expect_response(_changes("/dagRuns")) as answer:
            form.get_by_test_id("trigger-dag-submit").click()
        assert answer.value.ok, answer.value.text()
        return str(answer.value.json()["dag_run_id"])

    def end_of(self, dag_id: str, run_id: str, seconds: float = RUN_SECONDS) -> str:
        """Wait for the end of a DAG run and return its state."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}"

        def state() -> str | None:
            state = self.airflow.rest("GET", path)["state"]
            return str(state) if state in {"success", "failed"} else None

        return until(state, f"{dag_id} {run_id} has ended", self.airflow, seconds)

    def task(self, dag_id: str, run_id: str, task_id: str, tab: str = "", map_index: int = -1) -> Page:
        """Open a tab of a task instance."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return self.visit(f"/dags/{dag_id}/runs/{quote(run_id)}/tasks/{task_id}{mapped}/{tab}".rstrip("/"))

    def sees(self, *texts: str) -> str:
        """Wait until the page shows all these texts, save it, and return its text."""
        for text in texts:
            expect(self.page.get_by_text(text).first).to_be_visible()
        return self.keep()

    def _knows(self, dag_id: str) -> bool:
        try:
            return bool(self.airflow.rest("GET", f"/dags/{dag_id}"))
        except HTTPError:
            return False


def _changes(path_end: str) -> Callable[[Response], bool]:
    """Return whether a response belongs to a submitted form."""

    def fits(response: Response) -> bool:
        return response.request.method in {"POST", "PATCH"} and path_end in response.url

    return fits
