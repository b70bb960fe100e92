"""What goes wrong on the way: every fault, what the client sees of it, and what is true afterwards."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from typing import Any

import pytest
import requests
from requests.exceptions import ChunkedEncodingError, ConnectionError, InvalidHeader, ReadTimeout

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from airflow_provider_tallyfy.sandbox.faults import FAULTS

ORGANIZATION = "/organizations/{}"


def ask(sandbox: Sandbox, method: str, path: str, timeout: float = 5, **options: Any) -> requests.Response:
    headers = {
        "Authorization": f"Bearer {sandbox.token}",
        "Accept": "application/json",
        "X-Tallyfy-Client": "APIClient",
    }
    url = sandbox.api_url + ORGANIZATION.format(sandbox.organization_id) + path
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=headers, timeout=timeout, allow_redirects=False, **options)


DATE = email.utils.formatdate(time.time() + 60, usegmt=True)

# The fault, what the client sees (a status or an exception), and whether the run is archived afterwards.
ON_ARCHIVE: list[tuple[Fault, int | type[Exception], bool]] = [
    (Fault.status(409, {"error": {"code": "SEAT_POOL_EXHAUSTED"}}), 409, False),
    (Fault.seats_exhausted(), 409, False),
    (Fault.hourly_limit(), 429, False),
    (Fault.rate_limited("2"), 429, False),
    (Fault.rate_limited(DATE, html=True), 429, False),
    (Fault.rate_limited("soon"), 429, False),
    (Fault.rate_limited(None), 429, False),
    (Fault.server_error(500, leak=True), 500, False),
    (Fault.server_error(503), 503, False),
    (Fault.server_error(502, html=True), 502, False),
    (Fault.error_after(504), 504, True),
    (Fault.error_after(500, leak=True), 500, True),
    (Fault.drop_before(), ConnectionError, False),
    (Fault.drop_before(reset=True), ConnectionError, False),
    (Fault.drop_after(), ConnectionError, True),
    (Fault.drop_after(reset=True), ConnectionError, True),
    (Fault.slow(0.1), 200, True),
    (Fault.slow_after(0.1), 200, True),
    (Fault.truncated(), ChunkedEncodingError, True),
    (Fault.not_json(), 200, True),
    (Fault.not_json(html=False), 200, True),
    (Fault.unreadable_page(), 200, True),
    (Fault.not_json(applies=False), 200, False),
    (Fault.not_json(html=False, applies=False), 200, False),
    (Fault.other_answer({}), 200, True),
    (Fault.other_answer({"error": True}, code=202, applies=False), 202, False),
    (Fault.other_run("f" * 32), 200, True),
    (Fault.other_run("f" * 32, applies=False), 200, False),
    (Fault.other_id(), 200, True),
    (Fault.without("id"), 200, True),
    (Fault.two_lengths(), InvalidHeader, True),
    (Fault.two_lengths(applies=False), InvalidHeader, False),
    (Fault.gzip_bomb(10_000), 200, True),
    (Fault.redirect("https://elsewhere.example/steal"), 302, False),
    # What these change is not in an object: nothing happens.
    (Fault.total_too_high(3), 200, True),
    (Fault.short_page(3), 200, True),
    (Fault.endless_pages(), 200, True),
]


@pytest.mark.parametrize(("fault", "seen", "archived"), ON_ARCHIVE, ids=lambda value: getattr(value, "name", None))
def test_every_fault_shows_the_client_its_error_and_changes_the_right_state(
    sandbox: Sandbox, fault: Fault, seen: int | type[Exception], archived: bool
) -> None:
    run_id = sandbox.add_run()
    planned = sandbox.fail("DELETE", "/runs/*", fault)
    if isinstance(seen, int):
        answer = ask(sandbox, "DELETE", f"/runs/{run_id}")
        assert answer.status_code == seen
        assert answer.headers["X-Request-Id"]
    else:
        with pytest.raises(seen):
            ask(sandbox, "DELETE", f"/runs/{run_id}")
    (record,) = sandbox.requests
    run = sandbox.run(run_id)
    assert run is not None
    assert (run["is_archived"], record.applied, record.fault, planned.hits) == (archived, archived, fault.name, 1)
    dropped = seen is ConnectionError
    assert record.status == (None if dropped else seen if isinstance(seen, int) else 200)
    # Once was enough: the next request meets nothing.
    assert ask(sandbox, "DELETE", f"/runs/{run_id}").status_code == (404 if archived else 200)


SENT_PIECE_BY_PIECE = [
    Fault.early_hints(),
    Fault.endless_continue(),
    Fault.dripped_headers(0.001),
    Fault.dripped_body(0.001),
]


def test_every_fault_is_tested() -> None:
    sent = {fault.name for fault in SENT_PIECE_BY_PIECE}
    assert {fault.name for fault, _, _ in ON_ARCHIVE} | sent == set(FAULTS)
    for name in FAULTS:
        documentation = getattr(Fault, name).__doc__
        assert documentation, name
        assert documentation.partition("\n")[0].endswith("."), name


def test_error_bodies(sandbox: Sandbox) -> None:
    for fault in (
        Fault.rate_limited("2"),
        Fault.rate_limited(DATE, html=True),
        Fault.rate_limited(None),
        Fault.server_error(500, leak=True),
        Fault.server_error(502, html=True),
        Fault.redirect("https://elsewhere.example/steal", 307),
        Fault.status(422, "just text", {"X-Odd": "1"}),
        Fault.seats_exhausted("light"),
        Fault.hourly_limit("Guest Invite", 30, "600"),
    ):
        sandbox.fail("GET", "/runs", fault)
    limited, dated, bare, leaked, html, redirect, text, seats, hour = (ask(sandbox, "GET", "/runs") for _ in range(9))
    assert (limited.headers["Retry-After"], limited.json()["code"]) == ("2", "RATE_LIMIT_EXCEEDED")
    assert (dated.headers["Retry-After"], dated.text[:6]) == (DATE, "<html>")
    assert "Retry-After" not in bare.headers
    assert "select * from `runs`" in leaked.json()["message"]
    assert len(leaked.content) > 4096
    assert html.headers["Content-Type"].startswith("text/html")
    assert (redirect.status_code, redirect.headers["Location"]) == (307, "https://elsewhere.example/steal")
    assert (text.status_code, text.text, text.headers["X-Odd"]) == (422, "just text", "1")
    assert (seats.status_code, seats.json()["error"]["code"]) == (409, "SEAT_POOL_EXHAUSTED")
    assert seats.json()["error"]["details"] == {"pool_type": "light"}
    assert (hour.status_code, hour.headers["Retry-After"], hour.json()["code"]) == (429, "600", "RATE_LIMIT_EXCEEDED")
    assert "hourly limit for Guest Invite (30 per hour" in hour.json()["message"]


def test_faults_of_pages(sandbox: Sandbox) -> None:
    runs = sandbox.add_runs(25)
    sandbox.fail("GET", "/runs", Fault.total_too_high(by=2), times=None)
    page = ask(sandbox, "GET", "/runs?page=3").json()
    assert (page["meta"]["pagination"]["total"], page["meta"]["pagination"]["total_pages"]) == (27, 3)
    sandbox.forget_faults()
    sandbox.fail("GET", "/runs", Fault.short_page(by=4), after=1)
    assert [len(ask(sandbox, "GET", f"/runs?page={n}").json()["data"]) for n in (1, 2, 3)] == [10, 6, 5]
    sandbox.fail("GET", "/runs", Fault.unreadable_page(), after=1)
    assert [ask(sandbox, "GET", f"/runs?page={n}").json()["data"] is None for n in (1, 2, 3)] == [False, True, False]
    # Somebody archives the first run between two pages: the rows shift by one, one is never seen.
    sandbox.when("GET", "/runs", lambda: sandbox.archive(runs[0]), after=1)
    seen = [row["id"] for n in (1, 2, 3) for row in ask(sandbox, "GET", f"/runs?page={n}").json()["data"]]
    assert set(runs) - set(seen) == {runs[10]}


def test_method_path_times_and_after_select_requests(sandbox: Sandbox) -> None:
    runs = sandbox.add_runs(2)
    sandbox.fail("*", "/runs/*", Fault.status(418), times=2, after=1)
    sandbox.fail("GET", f"/runs/{runs[0]}", Fault.status(419))
    sandbox.fail("GET", "/runs", Fault.status(420), times=None)

    def status(method: str, path: str) -> int:
        return ask(sandbox, method, path).status_code

    assert [status("GET", f"/runs/{runs[0]}") for _ in range(5)] == [419, 418, 418, 200, 200]
    assert [status("GET", "/runs") for _ in range(3)] == [420] * 3
    assert status("GET", "/tags") == 200
    sandbox.forget_faults()
    assert status("GET", "/runs") == 200


def test_a_request_is_carried_out_even_if_its_client_gave_up(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", Fault.slow(0.2))
    with pytest.raises(ReadTimeout):
        ask(sandbox, "DELETE", f"/runs/{run_id}", timeout=0.05)
    assert sandbox.run(run_id) == {**(sandbox.run(run_id) or {}), "is_archived": False}
    time.sleep(0.3)
    assert (sandbox.run(run_id) or {})["is_archived"] is True


def test_a_slow_answer_delays_no_other_request_and_no_stop(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", Fault.slow_after(30))
    outcome: list[BaseException] = []

    def archive() -> None:
        try:
            ask(sandbox, "DELETE", f"/runs/{run_id}")
        except BaseException as error:
            outcome.append(error)

    client = threading.Thread(target=archive)
    client.start()
    while not (sandbox.run(run_id) or {})["is_archived"]:
        time.sleep(0.01)
    assert ask(sandbox, "GET", "/runs").status_code == 200
    sandbox.stop()
    client.join(5)
    assert isinstance(outcome[0], ConnectionError)


def test_faults_and_switches_from_another_process(sandbox: Sandbox) -> None:
    run_id, away = sandbox.add_run("Here"), sandbox.add_run(archived=True)
    control = f"{sandbox.url}/_sandbox"
    plan = {"method": "DELETE", "path": "/runs/*", "fault": "rate_limited", "arguments": {"retry_after": "9"}}
    assert requests.post(f"{control}/faults", json=plan, timeout=5).json() == {"planned": 1}
    assert ask(sandbox, "DELETE", f"/runs/{run_id}").headers["Retry-After"] == "9"
    assert requests.post(f"{control}/faults", json={"fault": "nonsense"}, timeout=5).status_code == 422
    assert requests.post(f"{control}/faults", json={**plan, "arguments": {"x": 1}}, timeout=5).status_code == 422
    assert requests.put(f"{control}/behaviour", json={"get_archived": "404"}, timeout=5).json()["get_archived"] == "404"
    assert requests.put(f"{control}/behaviour", json={"get_archived": "500"}, timeout=5).status_code == 422
    assert ask(sandbox, "GET", f"/runs/{away}").status_code == 404

    found = requests.get(f"{control}/requests", timeout=5).json()
    assert (found["count"], found["by_status"], found["by_fault"]) == (2, {"429": 1, "404": 1}, {"rate_limited": 1})
    full = requests.get(f"{control}/requests?full=1", timeout=5)
    assert full.json()["requests"][0]["route"] == f"/runs/{run_id}"
    assert sandbox.token not in full.text
    assert requests.delete(f"{control}/requests", timeout=5).json()["count"] == 0
    assert sandbox.requests == []
    assert [run["id"] for run in requests.get(f"{control}/runs?archived=true", timeout=5).json()["data"]] == [away]
    assert requests.get(f"{control}/runs/{run_id}", timeout=5).json()["data"]["name"] == "Here"
    assert requests.get(control, timeout=5).json()["runs"] == 1
    assert requests.get(f"{control}/nothing", timeout=5).status_code == 404
    assert json.loads(json.dumps(sandbox.connection()))["conn_type"] == "tallyfy"
