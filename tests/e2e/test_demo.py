"""``make demo UI=1``, done as its text says: from the terminal to archived runs, by clicks."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from queue import Empty, Queue

import pytest
from playwright.sync_api import Browser, Page, expect

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from dev.demo import RUNS
from tests.airflow._airflow import LINK
from tests.e2e import _ui
from tests.e2e.conftest import ROOT, watched

START_SECONDS = 120


class Terminal:
    """The demo in a terminal that somebody reads."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            # As a shell does for what it starts in the background. Ctrl-C is to end it all the same.
            ["bash", "-c", 'trap "" INT; exec "$@"', "bash", sys.executable, "-m", "dev.demo", "--ui"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip
        self.text = ""
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def reads(self, words: str, seconds: float = START_SECONDS) -> str:
        """Wait for words, and return all that has been printed."""
        with contextlib.suppress(Empty):
            while words not in self.text:
                self.text += self._lines.get(timeout=seconds)
        assert words in self.text, self.text
        return self.text

    def ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    if terminal.process.poll() is None:
        terminal.process.terminate()
        terminal.process.wait(60)


@pytest.fixture
def page(browser: Browser, scratch: Path) -> Iterator[Page]:
    context = _ui.context_of(browser, scratch / "answers-of-the-demo.har")
    page = context.new_page()
    with watched(page):
        yield page
    context.close()


def stale(days: int) -> int:
    """How many runs of the demo's organization are complete and unchanged for so long."""
    sandbox = Sandbox()
    sample_organization(sandbox, runs=RUNS)
    limit = datetime.now(timezone.utc) - timedelta(days=days)
    complete = [run for run in sandbox.runs(archived=False) if run["status"] == "complete"]
    return sum(datetime.fromisoformat(run["last_updated"].replace("Z", "+00:00")) <= limit for run in complete)


def archived_on(page: Page) -> int:
    """What the sandbox's page counts as archived."""
    return int(page.get_by_role("link", name=re.compile(r"^\d+ archived$")).inner_text().split()[0])


def trigger(page: Page, days: str = "") -> None:
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    submit = form.get_by_test_id("trigger-dag-submit")
    submit.wait_for()
    if days:
        form.get_by_role("spinbutton").first.fill(days)
        form.get_by_role("spinbutton").first.press("Tab")
    submit.click()
    form.wait_for(state="hidden")


def open_archive(page: Page, number: int = 1) -> None:
    """Click on a task instance of that name, as soon as so many have succeeded."""
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="archive", exact=True))
    done = row.filter(has_text="Success")
    expect(done).to_have_count(number, timeout=90_000)
    done.first.get_by_role("link", name="archive", exact=True).click()


@pytest.mark.timeout(300)
def test_clicked_through(terminal: Terminal, page: Page) -> None:
    text = terminal.reads("Ctrl-C stops everything.")
    # Both addresses, the login, and what to click, in that order.
    said = re.search(
        r"Airflow +(http://127\.0\.0\.1:\d+) +login: (\w+), password: (\w+)\n"
        r" *Tallyfy \(sandbox\) +(http://127\.0\.0\.1:\d+)\n",
        text,
    )
    assert said is not None, text
    airflow, user, password, tallyfy = said.groups()
    steps = re.findall(r"^ +(\d)\. (http\S+)$", text, re.MULTILINE)
    assert [number for number, _ in steps] == ["1", "2", "3", "4", "5"]
    assert max(map(len, text.splitlines())) <= 100
    addresses = [address for _, address in steps]
    assert addresses[0] == addresses[4] == tallyfy

    page.goto(airflow)
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{airflow}/")

    # 1. The organization.
    page.goto(addresses[0])
    before = archived_on(page)

    # 2. The connection.
    page.goto(addresses[1])
    row = page.get_by_role("row").filter(has=page.get_by_text("tallyfy_default", exact=True))
    row.get_by_role("button", name="Test Connection").click()
    expect(page.get_by_text("Connected to the organization")).to_be_visible()

    # 3. The sweep.
    page.goto(addresses[2])
    trigger(page)
    open_archive(page)
    expect(page.get_by_text(f"{stale(30)} runs: {stale(30)} archived").first).to_be_visible()
    page.get_by_role("link", name="Storage").click()
    page.get_by_role("link", name="XCom").click()
    expect(page.get_by_text("return_value").first).to_be_visible()

    # 4. One task for each run.
    left = stale(1) - stale(30)
    assert left > 1
    page.goto(addresses[3])
    trigger(page, days="1")
    open_archive(page, left)
    page.get_by_role("link", name="Details").click()
    with page.context.expect_page() as opened:
        page.get_by_text(LINK).click()
    expect(opened.value.get_by_text("archived").first).to_be_visible()
    assert opened.value.url.startswith(f"{tallyfy}/")

    # 5. The organization again.
    page.goto(addresses[4])
    assert archived_on(page) == before + stale(1)

    terminal.ctrl_c()
    terminal.reads("Everything is stopped, and nothing is kept.", 60)
    assert terminal.process.wait(60) == 0
    assert not (ROOT / ".demo").exists()
