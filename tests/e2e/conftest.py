"""Fixtures: two Airflow versions, a browser and Tallyfy organizations, started once for all tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from dev.airflow_stack import Airflow
from tests.e2e import _ui
from tests.e2e._traces import ProcessList

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / ".e2e"
PICTURES = ROOT / "docs" / "images" if os.environ.get("E2E_PICTURES") else SCRATCH / "pictures"
AIRFLOW_2 = ROOT / ".venv-airflow2" / "bin" / "python"
SEED = 20  # reproducible ids, names and tokens

_stacks: list[Airflow] = []
_pages: list[Page] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "picture: creates a picture for the documentation")
    expect.set_options(timeout=_ui.PATIENCE)
    # Stop Airflow, however the suite is stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Those with an Airflow of their own come before the one that the others share is up. What is left behind is looked
    # at when all others have left theirs.
    order = {"test_demo": 0, "test_airflow2": 1, "test_database_outage": 1, "test_traces": 3}
    items.sort(key=lambda item: order.get(item.path.stem, 2))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add the logs of Airflow and the page of the browser to the report of a failure."""
    report = yield
    if report.failed:
        for airflow in _stacks:
            report.sections.append((f"Logs of Airflow {airflow.version}", airflow.tails()))
        for number, page in enumerate(_pages):
            with contextlib.suppress(Exception):
                picture = SCRATCH / f"failed-{item.name}-{number}.png"
                page.screenshot(path=picture)
                report.sections.append(("Browser", f"{page.url}\n{picture.relative_to(ROOT)}"))
    return report


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for all files of the suite, removed at the end."""
    SCRATCH.mkdir(exist_ok=True)
    for failed in SCRATCH.glob("failed-*.png"):
        failed.unlink()
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=SCRATCH))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def canaries() -> set[str]:
    """All tokens that were used."""
    return set()


# -- Airflow ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def dags(scratch: Path) -> Path:
    """The folder with the examples (one of them with another schedule) and the DAGs of the tests."""
    folder = scratch / "dags"
    shutil.copytree(ROOT / "example_dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "e2e" / "dags" / "e2e_dags.py", folder)
    # Runs only when somebody triggers it.
    example = folder / "tallyfy_archive_stale_runs.py"
    text = example.read_text()
    assert text.count('schedule="@daily"') == 1
    example.write_text(text.replace('schedule="@daily"', "schedule=None"))
    return folder


@pytest.fixture(scope="session")
def airflow3(scratch: Path, dags: Path) -> Iterator[Airflow]:
    """The newest pinned Airflow."""
    settings = {"AIRFLOW_VAR_TALLYFY_REPORTS": str(scratch / "sweeps")}
    with started(Airflow(scratch / "airflow3", dags, settings=settings)) as airflow:
        assert airflow.major >= 3
        yield airflow


@pytest.fixture(scope="module")
def airflow2(scratch: Path, dags: Path) -> Iterator[Airflow]:
    """The newest Airflow 2."""
    with started(Airflow(scratch / "airflow2", dags, python=AIRFLOW_2)) as airflow:
        assert airflow.major == 2
        yield airflow


@contextlib.contextmanager
def started(airflow: Airflow) -> Iterator[Airflow]:
    """Run Airflow inside the ``with`` block. Its logs are added to the report of a failure."""
    _stacks.append(airflow)
    with airflow:
        yield airflow
    _stacks.remove(airflow)
    assert airflow.pids() == [], "Airflow left processes behind"


@pytest.fixture(scope="session")
def process_list(airflow3: Airflow) -> Iterator[ProcessList]:
    """Records the command lines of Airflow's processes."""
    watch = ProcessList(airflow3)
    yield watch
    watch.stop()


class Connect(Protocol):
    """Create a connection to a sandbox, with the REST API."""

    def __call__(self, conn_id: str, sandbox: Sandbox, **overrides: Any) -> None: ...


@pytest.fixture
def connect(airflow3: Airflow) -> Connect:
    return connector(airflow3)


def connector(airflow: Airflow) -> Connect:
    def connect(conn_id: str, sandbox: Sandbox, **overrides: Any) -> None:
        with contextlib.suppress(HTTPError):
            airflow.rest("DELETE", f"/connections/{conn_id}")
        fields = {**sandbox.connection(), **overrides}
        airflow.rest("POST", "/connections", {"connection_id": conn_id, **fields, "extra": json.dumps(fields["extra"])})

    return connect


# -- Tallyfy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(canaries: set[str]) -> Iterator[Sandbox]:
    """A sample organization, the same for each test."""
    sandbox = Sandbox(seed=SEED)
    sample_organization(sandbox, runs=20)
    canaries.add(sandbox.token)
    with sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def every_minute(airflow3: Airflow, canaries: set[str]) -> Iterator[Sandbox]:
    """The organization that a DAG sweeps every minute, from the first test on.

    One run is stale. When it is archived, another one becomes stale, which only the next DAG run can find.
    """
    sandbox = Sandbox(seed=SEED + 1)
    canaries.add(sandbox.token)
    with sandbox:
        first = sandbox.add_run("found at once", completed_days_ago=60)
        sandbox.add_run("still in use")
        sandbox.when("DELETE", f"/runs/{first}", lambda: sandbox.add_run("found a minute later", completed_days_ago=60))
        connector(airflow3)("e2e_minute", sandbox)
        switch_on(airflow3, "e2e_every_minute")
        yield sandbox


def switch_on(airflow: Airflow, dag_id: str) -> None:
    """Unpause a DAG as soon as the scheduler knows it."""

    def switched() -> bool:
        with contextlib.suppress(HTTPError):
            airflow.rest("PATCH", f"/dags/{dag_id}", {"is_paused": False})
            return True
        return False

    _ui.until(switched, f"Airflow knows {dag_id}", airflow)


# -- the browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = _ui.chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(scratch: Path) -> Path:
    """The folder for all visited pages and all responses to the browser."""
    folder = scratch / "pages"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def context(browser: Browser, pages: Path) -> Iterator[BrowserContext]:
    """A browser context for one test."""
    context = _ui.context_of(browser, pages / "answers.har")
    yield context
    context.close()


@pytest.fixture(scope="session")
def ui(
    context: BrowserContext, airflow3: Airflow, pages: Path, every_minute: Sandbox, process_list: ProcessList
) -> Iterator[_ui.Ui]:
    """Airflow 3 in the browser."""
    page = context.new_page()
    ui = _ui.Ui(page, airflow3, pages)
    with watched(page):
        ui.log_in()
        yield ui


@contextlib.contextmanager
def watched(page: Page) -> Iterator[None]:
    """Take a screenshot of the page if the test fails."""
    _pages.append(page)
    yield
    _pages.remove(page)


class Shoot(Protocol):
    """Take a picture of a page, or of its upper part, for the documentation."""

    def __call__(self, page: Page, name: str, height: int = 800) -> None: ...


@pytest.fixture
def shoot() -> Shoot:
    PICTURES.mkdir(parents=True, exist_ok=True)

    def shoot(page: Page, name: str, height: int = 800) -> None:
        picture = PICTURES / f"{name}.png"
        page.mouse.move(0, 0)  # move the mouse away from elements that react to it
        clip = {"x": 0, "y": 0, "width": _ui.SIZE["width"], "height": height}
        page.screenshot(path=picture, clip=clip, animations="disabled", caret="hide")
        assert picture.stat().st_size < 250_000

    return shoot
