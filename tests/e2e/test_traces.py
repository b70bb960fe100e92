"""No test of this suite left a token anywhere. Runs last."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from dev.airflow_stack import Airflow
from tests.e2e._traces import LOOPBACK, ProcessList, answers_in, dump_of, found_in, listening


class TestToken:
    @pytest.fixture(autouse=True)
    def _in_use(self, canaries: set[str]) -> None:
        assert len(canaries) >= 2

    def test_not_in_a_log(self, airflow3: Airflow, canaries: set[str]) -> None:
        logs = [path for path in airflow3.home.rglob("*") if path.is_file() and path.suffix == ".log"]
        text = "\n".join(path.read_text(errors="replace") for path in logs)
        assert len(logs) > 10
        assert "Archiving run" in text
        assert found_in(text, canaries) == []

    def test_not_in_the_database(self, airflow3: Airflow, canaries: set[str]) -> None:
        """No token in XComs or rendered fields; encrypted in the connection."""
        dump = dump_of(airflow3.home / "airflow.db")
        for what in (
            'INSERT INTO "xcom"',
            'INSERT INTO "rendered_task_instance_fields"',
            "tallyfy_run_url",
            "e2e_typed",
        ):
            assert what in dump, what
        assert found_in(dump, canaries) == []

    def test_not_in_a_file(self, scratch: Path, canaries: set[str]) -> None:
        """Reports, temporary files and all others."""
        files = [path for path in scratch.rglob("*") if path.is_file() and path.suffix != ".har"]
        holding = [str(path) for path in files if found_in(path.read_bytes().decode(errors="replace"), canaries)]
        assert len(files) > 30
        assert holding == []

    def test_not_in_a_page(self, pages: Path, canaries: set[str]) -> None:
        texts = [path.read_text() for path in pages.glob("*.html")]
        assert len(texts) > 15
        assert any("tallyfy_run_url" in text for text in texts)
        assert [text for text in texts if found_in(text, canaries)] == []

    def test_not_in_what_the_browser_got(self, context: BrowserContext, pages: Path, canaries: set[str]) -> None:
        context.close()
        answers = list(answers_in(pages / "answers.har"))
        assert any("tallyfy_run_url" in text for _, text in answers)
        assert any("/connections" in url and "e2e_typed" in text for url, text in answers)
        assert [url for url, text in answers if found_in(text, canaries)] == []

    def test_not_in_the_process_list(self, process_list: ProcessList, canaries: set[str]) -> None:
        assert len(process_list.seen) >= 4
        assert any("scheduler" in line for line in process_list.seen)
        assert [line for line in process_list.seen if found_in(line, canaries)] == []


def test_servers_listen_only_on_loopback(airflow3: Airflow) -> None:
    addresses = listening(airflow3.pids())
    assert addresses
    assert addresses <= LOOPBACK
