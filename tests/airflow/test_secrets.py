"""Runs DAGs with every outcome, and then searches for the token in everything that they left."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow import _airflow
from tests.airflow.conftest import WriteDag

# A token like those of Tallyfy: three parts in base64. It contains characters that JSON, URLs and regular expressions
# escape.
TOKEN = "eyJ0eXAiOiJKV1Qi.CANARY-canary/CANARY+canary.0123456789"
BODY = """
good = TallyfyUpdateRunOperator(task_id="good", run_id="{{ params.id }}", summary="New")
TallyfyArchiveRunOperator.partial(task_id="mapped").expand(run_id=["0" * 32, "bad/id"])
TallyfyArchiveRunOperator(task_id="echoed", run_id="{{ params.echoing }}")
TallyfyArchiveRunOperator(
    task_id="retried", run_id="{{ params.dropping }}", retries=1, retry_delay=timedelta(0)
)
TallyfyArchiveRunOperator(task_id="no_organization", run_id="{{ params.id }}", organization_id="", retries=0)
TallyfyArchiveRunOperator(task_id="wrong_extra", run_id="{{ params.id }}", tallyfy_conn_id="tallyfy_wrong")
"""


@pytest.fixture
def leftovers(
    airflow_home: Path,
    write_dag: WriteDag,
    tallyfy_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> dict[str, bytes]:
    """Return everything that was printed or written, by place."""
    members = tallyfy_sandbox.organization.tokens
    members[TOKEN] = members.pop(tallyfy_sandbox.token)
    extra = {"max_retries": 0, "proxies": None}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy_sandbox.connection_json(password=TOKEN, extra=extra))
    wrong = tallyfy_sandbox.connection_json(password=TOKEN, extra={"timeout": "soon"})
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_WRONG", wrong)
    run_id, echoing, dropping = tallyfy_sandbox.add_runs(3, "Onboarding")
    # A server that repeats the request, as debug pages do.
    echo = Fault.status(500, {"message": f"Authorization: Bearer {TOKEN}", "headers": {"authorization": TOKEN}})
    tallyfy_sandbox.fail("DELETE", f"/runs/{echoing}", echo, times=None)
    tallyfy_sandbox.fail("DELETE", f"/runs/{dropping}", Fault.drop_before(), times=None)

    dag = write_dag(BODY, id=run_id, echoing=echoing, dropping=dropping)
    printed = []

    def read() -> str:
        out, err = capfd.readouterr()
        printed.append(out + err)
        return printed[-1]

    done = _airflow.run(dag, read)
    # Proves that there is something to search.
    assert done.states == {
        "good": ["success"],
        "mapped": ["failed", "failed"],
        "echoed": ["failed"],
        "retried": ["failed"],
        "no_organization": ["failed"],
        "wrong_extra": ["failed"],
    }
    assert "Authorization: Bearer ***" in done.log
    found = {"printed": "".join(printed).encode()}
    for path in airflow_home.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(airflow_home))] = path.read_bytes()
    with sqlite3.connect(airflow_home / "airflow.db") as database:
        found["dump of airflow.db"] = "\n".join(database.iterdump()).encode()
    return found


def test_token_is_found_nowhere(leftovers: dict[str, bytes], tallyfy_sandbox: Sandbox) -> None:
    assert any(run["summary"] == "New" for run in tallyfy_sandbox.runs())
    assert b"rendered_task_instance_fields" in leftovers["dump of airflow.db"]
    assert b"tallyfy_run_url" in leftovers["dump of airflow.db"]

    parts = [part.encode() for part in (TOKEN, TOKEN.replace("/", "\\/"), *TOKEN.split("."))]
    forms = [*parts, base64.b64encode(TOKEN.encode())[:-2], b"CANARY"]
    assert {where for where, what in leftovers.items() for form in forms if form in what} == set()
