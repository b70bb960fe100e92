"""The README is correct: its code runs, and its commands, links and names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy import exceptions
from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import tallyfy as operators
from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from tests.airflow import _airflow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


def block(word: str) -> str:
    """The only Python block in the README that contains the word."""
    found: list[str] = [code for code in CODE if word in code]
    assert len(found) == 1, f"{len(found)} blocks with {word}"
    return found[0]


def names_of(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    return names


def airflow_cli(line: str) -> subprocess.CompletedProcess[str]:
    """Run an ``airflow`` command line of the README in a shell, like a reader."""
    command = f'"{sys.executable}" -W ignore -m airflow {line}'
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, check=False)


def run(folder: Path, code: str, printed: Callable[[], str], **conf: Any) -> _airflow.DagRun:
    path = folder / "from_the_readme.py"
    path.write_text(code)
    try:
        (dag,) = _airflow.dags_in(path).values()
        return _airflow.run(dag, printed, conf=conf)
    finally:
        path.unlink()


@pytest.mark.usefixtures("airflow_home")
class TestCode:
    def test_one_run(self, dags_folder: Path, tallyfy_sandbox: Sandbox, printed: Any) -> None:
        run_id = tallyfy_sandbox.add_run("Onboarding - ACME", archived=True)
        code = block("tallyfy_one_run").replace('"tallyfy_run_id": ""', f'"tallyfy_run_id": "{run_id}"')
        done = run(dags_folder, code, printed)
        assert done.state == "success", done.log
        after = tallyfy_sandbox.run(run_id)
        assert after is not None
        assert after["archived_at"]
        assert after["summary"] == "Checked by tallyfy_one_run"
        assert len(after["tags"]) == 1

    def test_many_runs(self, dags_folder: Path, tallyfy_sandbox: Sandbox, printed: Any, tmp_path: Path) -> None:
        stale = tallyfy_sandbox.add_run("Old", days_old=90, completed_days_ago=60, unmodified_days=60)
        fresh = tallyfy_sandbox.add_run("New", completed_days_ago=1)
        code = block("tallyfy_sweep").replace("s3://aws_default@reports", str(tmp_path))
        done = run(dags_folder, code, printed)
        assert done.state == "success", done.log
        assert [r["id"] for r in tallyfy_sandbox.runs(archived=True)] == [stale]
        assert [r["id"] for r in tallyfy_sandbox.runs(archived=False)] == [fresh]
        (report,) = tmp_path.iterdir()
        assert stale in report.read_text()

    def test_hand_work_to_people(self, dags_folder: Path, tallyfy_sandbox: Sandbox, printed: Any) -> None:
        sample_organization(tallyfy_sandbox, runs=0)
        done = run(dags_folder, block("tallyfy_hand_over"), printed)
        assert done.state == "success", done.log
        (launched,) = tallyfy_sandbox.runs()
        answers = done.task("read").xcom()["answers"]
        assert (answers["Name"], answers["Equipment"]) == ("Ada Byron", ["Laptop", "Phone"])
        assert answers["Serial number"] == "SN-4711"
        steps = {step["title"]: step for step in tallyfy_sandbox.tasks(launched["id"])}
        assert steps["Order equipment"]["status"] == "completed"
        assert "manager@example.com" in str(steps["First-day check"]["owners"])
        assert steps["First-day check"]["deadline"]

    def test_from_python(self, tallyfy_sandbox: Sandbox) -> None:
        folder = tallyfy_sandbox.add_folder("Key accounts")
        run_id = tallyfy_sandbox.add_run("Onboarding", tags=[tallyfy_sandbox.add_tag("Urgent")])
        code = block("def tidy").replace("0a1b2c3d4e5f60718293a4b5c6d7e8f9", folder)
        assert names_of(code)["tidy"](run_id)
        after = tallyfy_sandbox.run(run_id)
        assert after is not None
        assert (after["name"], after["tags"], after["folders"]) == ("Onboarding - ACME", [], [folder])

    def test_a_users_own_test(self, tallyfy_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_tallyfy.api.protocol.retry.RetryPolicy.first_wait", 0.0, raising=False)
        names_of(block("test_a_lost_answer"))["test_a_lost_answer_does_no_harm"](tallyfy_sandbox)

    def test_every_block_is_tested(self) -> None:
        tested = ("tallyfy_one_run", "tallyfy_sweep", "tallyfy_hand_over", "def tidy", "test_a_lost_answer")
        assert [word for code in CODE for word in tested if word in code] == list(tested)


class TestConnect:
    @pytest.fixture
    def sandbox(self) -> Any:
        with Sandbox() as sandbox:
            yield sandbox

    def test_every_way_without_the_ui(
        self, airflow_home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (commands,) = (shell for shell in SHELL if "airflow connections add" in shell)
        add, as_json, as_uri = commands.strip().splitlines()
        for line in (as_json, as_uri):
            name, _, value = line.removeprefix("export ").partition("=")
            value = value.strip("'").replace("<organization id>", sandbox.organization_id)
            monkeypatch.setenv(name, value.replace("<access token>", sandbox.token))
            settings = TallyfyHook().settings
            assert settings.base_url == "https://go.tallyfy.com/api"
            assert (settings.organization_id, settings.token) == (sandbox.organization_id, sandbox.token)
            monkeypatch.delenv(name)
        monkeypatch.setenv("TALLYFY_ORGANIZATION_ID", sandbox.organization_id)
        monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", sandbox.token)
        added = airflow_cli(add.removeprefix("airflow ").replace("tallyfy_default", "from_the_readme"))
        assert added.returncode == 0, added.stdout + added.stderr
        assert sandbox.token not in added.stdout + added.stderr
        shown = airflow_cli("connections get from_the_readme -o json")
        assert sandbox.organization_id in shown.stdout
        airflow_cli("connections delete from_the_readme")


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z0-9-]+)", "\n".join(SHELL), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_relative_links_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("https://"):
            assert (ROOT / target.split("#")[0]).exists(), target


def test_exceptions_and_operators_exist_and_all_operators_are_named() -> None:
    for name in set(re.findall(r"`(Tallyfy\w+Error)`", README)):
        assert issubclass(getattr(exceptions, name), exceptions.TallyfyError)
    for name in set(re.findall(r"\b(Tallyfy\w+Operator)\b", README)):
        assert name in operators.__all__
    missing = set(operators.__all__) - set(re.findall(r"\b(Tallyfy\w+Operator)\b", README))
    assert not missing, f"not in the README: {missing}"


def test_the_table_of_exceptions_is_complete_and_right_about_retries() -> None:
    rows = re.findall(r"^\| `(Tallyfy\w+)` \|[^|]+\|[^|]+\| (yes|no) \|$", README, re.MULTILINE)
    raised = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, exceptions.TallyfyError)
    }
    assert sorted(name for name, _ in rows) == sorted(raised - {"TallyfyError", "TallyfyApiError"})
    for name, retried in rows:
        assert issubclass(getattr(exceptions, name), AirflowFailException) is (retried == "no"), name
