"""The sandbox as a tool: starting it, furnishing it, its pace, its command, its fixture."""

from __future__ import annotations

import calendar
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from airflow_provider_tallyfy.sandbox.__main__ import main
from airflow_provider_tallyfy.sandbox.new_run import DAY

REPOSITORY = Path(__file__).parents[2]


def session(sandbox: Sandbox) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update(
        {"Authorization": f"Bearer {sandbox.token}", "Accept": "application/json", "X-Tallyfy-Client": "APIClient"}
    )
    return session


def base(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/organizations/{sandbox.organization_id}"


def test_it_runs_only_inside_the_with_block() -> None:
    with Sandbox(sample=True) as sandbox:
        assert session(sandbox).get(f"{sandbox.url}/me", timeout=5).status_code == 200
        url = sandbox.url
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_a_port_that_is_taken() -> None:
    with Sandbox() as sandbox, pytest.raises(OSError, match=r"address already in use|Errno"):
        Sandbox(port=sandbox.port).start()


def test_two_sandboxes_have_nothing_in_common() -> None:
    with Sandbox() as one, Sandbox() as other:
        assert {one.organization_id, one.token, one.url}.isdisjoint({other.organization_id, other.token, other.url})
    assert Sandbox(seed=3).token == Sandbox(seed=3).token


def test_connections() -> None:
    with Sandbox() as sandbox:
        connection = sandbox.connection()
        assert connection == {
            "conn_type": "tallyfy",
            "host": "http://127.0.0.1",
            "port": sandbox.port,
            "login": sandbox.organization_id,
            "password": sandbox.token,
            "extra": {"web_url": sandbox.url},
        }
        assert json.loads(sandbox.connection_json(password="other")) == {**connection, "password": "other"}
        assert sandbox.connection_uri() == (
            f"tallyfy://{sandbox.organization_id}:{sandbox.token}@127.0.0.1:{sandbox.port}/http"
            f"?web_url=http%3A%2F%2F127.0.0.1%3A{sandbox.port}"
        )


def test_requests_are_recorded() -> None:
    with Sandbox() as sandbox:
        run_id = sandbox.add_run()
        client = session(sandbox)
        client.put(f"{base(sandbox)}/runs/{run_id}", json={"name": "ä"}, timeout=5)
        client.get(f"{sandbox.api_url}/organizations/{sandbox.organization_id}/runs?q=a%20b+c&page=1", timeout=5)
        client.get(f"{sandbox.url}/me", timeout=5)
        assert sandbox.calls == [f"PUT /runs/{run_id}", "GET /runs?q=a%20b+c&page=1", "GET /me"]
        put, listing, _ = sandbox.requests
        assert (put.json, put.status, put.applied) == ({"name": "ä"}, 200, True)
        assert put.headers["authorization"] == f"Bearer {sandbox.token}"
        assert put.path == f"/organizations/{sandbox.organization_id}/runs/{run_id}"
        assert listing.path == f"/api/organizations/{sandbox.organization_id}/runs"
        assert (listing.route, listing.query) == ("/runs", {"q": "a b+c", "page": "1"})
        assert put.answered_at is not None
        assert put.received_at <= put.answered_at <= listing.received_at
        sandbox.forget_requests()
        assert sandbox.requests == []


def test_runs_of_every_age_and_state() -> None:
    with Sandbox() as sandbox:
        now = time.time()

        def age(run_id: str, field: str) -> float | None:
            moment = (sandbox.run(run_id) or {})[field]
            if moment is None:
                return None
            seconds = time.strptime(moment, "%Y-%m-%dT%H:%M:%S.000Z")
            return round((now - calendar.timegm(seconds)) / DAY, 1)

        stale = sandbox.add_run(days_old=60, completed_days_ago=45)
        ages = [age(stale, field) for field in ("created_at", "started_at", "completed_at", "last_updated")]
        assert ages == [60, 60, 45, 45]
        touched = sandbox.add_run(days_old=60, completed_days_ago=45, unmodified_days=2)
        assert [age(touched, field) for field in ("completed_at", "last_updated")] == [45, 2]
        young = sandbox.add_run(completed_days_ago=10)
        assert age(young, "created_at") == 10
        archived = sandbox.add_run(archived=True, unmodified_days=5)
        assert [age(archived, field) for field in ("archived_at", "last_updated", "completed_at")] == [5, 5, None]
        for status in ("active", "complete", "problem", "issue", "delayed"):
            run = sandbox.run(sandbox.add_run(status=status)) or {}
            assert (run["status"], run["completed_at"] is not None) == (status, status == "complete")
        assert len(sandbox.runs(archived=True)) == 1
        assert sandbox.run("nothing") is None
        copy = sandbox.run(stale) or {}
        copy["users"].append(1)
        assert (sandbox.run(stale) or {})["users"] == []


def test_complete_after_and_archive_after_count_reads() -> None:
    with Sandbox() as sandbox:
        client = session(sandbox)
        run_id, other = sandbox.add_run(), sandbox.add_run()
        sandbox.complete_after(run_id, polls=3)
        sandbox.archive_after(other, polls=2)

        def poll(run_id: str) -> dict[str, Any]:
            data: dict[str, Any] = client.get(f"{base(sandbox)}/runs/{run_id}", timeout=5).json()["data"]
            return data

        assert [poll(run_id)["status"] for _ in range(4)] == ["active", "active", "complete", "complete"]
        assert [poll(other)["archived_at"] is None for _ in range(2)] == [True, False]
        sandbox.activate(other)
        before = poll(other)
        time.sleep(1.01)
        sandbox.touch(other)
        assert poll(other)["last_updated"] > before["last_updated"]


def test_concurrent_requests_wait_at_the_same_time() -> None:
    with Sandbox(latency=0.5) as sandbox:
        threads = [
            threading.Thread(target=lambda: session(sandbox).get(f"{sandbox.url}/me", timeout=5)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        waited = [record.answered_at - record.received_at for record in sandbox.requests if record.answered_at]
        assert len(waited) == 8
        assert min(waited) >= 0.5
        # All came before the first was answered.
        first_answer = min(record.answered_at for record in sandbox.requests if record.answered_at)
        assert max(record.received_at for record in sandbox.requests) < first_answer
        sandbox.latency = 0
        session(sandbox).get(f"{sandbox.url}/me", timeout=5)
        record = sandbox.requests[-1]
        assert record.answered_at is not None
        assert record.answered_at - record.received_at < min(waited)


def test_the_rate_limit_is_a_sliding_window_with_retry_after() -> None:
    with Sandbox(rate_limit=(3, 0.5)) as sandbox:
        client = session(sandbox)
        answers = [client.get(f"{sandbox.url}/me", timeout=5) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[3].headers["Retry-After"] == "1"
        assert answers[3].json()["code"] == "RATE_LIMIT_EXCEEDED"
        time.sleep(0.5)
        assert client.get(f"{sandbox.url}/me", timeout=5).status_code == 200


def test_pages_of_a_hundred_thousand_runs() -> None:
    with Sandbox() as sandbox:
        runs = sandbox.add_runs(100_000, name="Run", completed_days_ago=40)
        client = session(sandbox)
        first = client.get(f"{base(sandbox)}/runs?per_page=100", timeout=5).json()
        assert first["meta"]["pagination"]["total_pages"] == 1000
        for number in range(500, 510):
            page = client.get(f"{base(sandbox)}/runs?per_page=100&page={number}", timeout=5).json()
            assert page["data"][0]["id"] == runs[(number - 1) * 100]


def test_the_sample_is_realistic_and_reproducible() -> None:
    with Sandbox() as sandbox:
        sample_organization(sandbox)
        runs = sandbox.runs()
        states = {run["status"] for run in runs if not run["is_archived"]}
        assert states == {"active", "complete", "problem", "issue", "delayed"}
        assert len({run["name"] for run in runs}) == len(runs) == 60
        assert 2 <= len(sandbox.runs(archived=True)) <= 6
        assert len({run["owner_id"] for run in runs}) == 4
        assert len({tag for run in runs for tag in run["tags"]}) == 6
        assert any(not run["tags"] for run in runs)
        month_ago = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 30 * DAY))
        stale = [run for run in runs if run["status"] == "complete" and run["last_updated"] < month_ago]
        assert 15 <= len(stale) <= 25
        assert all(run["created_at"] <= run["last_updated"] for run in runs)
        answers = {run["checklist_title"]: list(run["prerun"].values()) for run in runs}
        assert all(len(values) == 1 for title, values in answers.items() if title != "Content review")
        with Sandbox() as other:
            sample_organization(other)
            assert [run["name"] for run in other.runs()] == [run["name"] for run in runs]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "airflow_provider_tallyfy.sandbox", "--runs", "12", "--rate-limit", "140/10"]
    process = subprocess.Popen(
        [*command, "--seed", "7"], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    text = "".join(lines)
    shown = re.search(r"airflow connections add tallyfy_default --conn-json '(\{.*\})'", text)
    exported = re.search(r"export AIRFLOW_CONN_TALLYFY_DEFAULT='(\{.*\})'", text)
    assert shown is not None
    assert exported is not None
    connection = json.loads(shown[1])
    assert connection == json.loads(exported[1])
    assert "at most 140 requests per 10 s" in text
    address = f"{connection['host']}:{connection['port']}"
    assert address in lines[0]
    headers = {
        "Authorization": f"Bearer {connection['password']}",
        "Accept": "application/json",
        "X-Tallyfy-Client": "APIClient",
    }
    url = f"{address}/api/organizations/{connection['login']}/runs?archived=true"
    assert requests.get(url, headers=headers, timeout=5).json()["meta"]["pagination"]["total"] == 12
    process.send_signal(number)
    assert process.wait(5) == 0
    assert "Traceback" not in process.stdout.read()


def test_wrong_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--rate-limit", "fast"], ["--rate-limit", "0/10"], ["--colour"]):
        with pytest.raises(SystemExit) as error:
            main(options)
        assert error.value.code == 2
    with Sandbox() as sandbox:
        assert main(["--port", str(sandbox.port)]) == 1
    assert "can't listen on port" in capsys.readouterr().err


def test_it_needs_no_airflow_and_nothing_of_the_provider() -> None:
    script = textwrap.dedent("""
        import sys
        from airflow_provider_tallyfy.sandbox import Sandbox
        with Sandbox(sample=True): pass
        own = {name for name in sys.modules if name.startswith("airflow_provider_tallyfy")}
        foreign = own - {"airflow_provider_tallyfy"}
        assert all(name.startswith("airflow_provider_tallyfy.sandbox") for name in foreign), foreign
        assert not {"airflow", "requests", "pytest"} & set(sys.modules)
    """)
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]


def test_the_fixture_for_tests_of_your_own_dags(tallyfy_sandbox: Sandbox) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_TALLYFY_DEFAULT"])
    assert connection == tallyfy_sandbox.connection()
    run_id = tallyfy_sandbox.add_run()
    answer = session(tallyfy_sandbox).delete(f"{base(tallyfy_sandbox)}/runs/{run_id}", timeout=5)
    assert answer.status_code == 200
    assert tallyfy_sandbox.calls == [f"DELETE /runs/{run_id}"]
