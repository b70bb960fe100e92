"""No web page of somebody else can read or change a sandbox through the browser of the person who runs it."""

from __future__ import annotations

import http.client
import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.sandbox import Sandbox

FAULT = {"fault": "drop_before"}
# Every kind of address: the API at both bases, the control endpoints, the pages, and what is nowhere.
READS = ["/me", "/api/me", "/organizations/{org}/runs", "/_sandbox", "/_sandbox/requests?full=1", "/", "/nothing"]
CHANGES = [
    ("POST", "/_sandbox/faults", FAULT),
    ("DELETE", "/_sandbox/faults", None),
    ("DELETE", "/_sandbox/requests", None),
    ("PUT", "/_sandbox/behaviour", {"get_archived": "404"}),
]


def send(
    sandbox: Sandbox, method: str, path: str, headers: list[tuple[str, str]], body: Any = None
) -> tuple[int, Any, str]:
    """One request with exactly these headers beside those that the API demands."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    connection.putrequest(method, path.format(org=sandbox.organization_id), skip_host=True, skip_accept_encoding=True)
    raw = b"" if body is None else json.dumps(body).encode()
    every = [
        ("Authorization", f"Bearer {sandbox.token}"),
        ("Accept", "application/json"),
        ("X-Tallyfy-Client", "APIClient"),
        ("Content-Length", str(len(raw))),
        *headers,
    ]
    for name, value in every:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(raw)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if content[:1] == b"{" else None, content.decode()


def state(sandbox: Sandbox) -> tuple[Any, ...]:
    """What a stranger might have changed."""
    return sandbox.behaviour, len(sandbox._state.plan), sandbox.calls, sandbox.runs()


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "127.1.2.3:80", "[::1]", "[::1]:8080"]
)
def test_names_of_this_machine_are_answered(sandbox: Sandbox, host: str) -> None:
    assert [send(sandbox, "GET", path, [("Host", host)])[0] for path in READS[:5]] == [200] * 5
    assert send(sandbox, "POST", "/_sandbox/faults", [("Host", host)], FAULT)[0] == 201


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example:80",
    "evil.example#localhost",
    "localhost@evil.example",
    "evil.example:80@localhost",
    "localhost:80.evil.example",
    "notlocalhost",
    "localhost.",
    "127.0.0.1, evil.example",
    "10.0.0.1",
    "192.168.1.5:8080",
    "0.0.0.0",
    "[::]",
    "::1",
    "[::ffff:127.0.0.1]",
    "[fe80::1]",
    "2130706433",
    "0x7f.1",
    "127.1",
    "127.0.0.1:http",
    "127.0.0.1:",
    "l\u043ecalhost".encode().decode("latin-1"),
    "127.0.0.²",
    "",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_any_other_host_is_refused_everywhere_and_changes_nothing(sandbox: Sandbox, host: str) -> None:
    run_id = sandbox.add_run()
    before = state(sandbox)
    archive = ("DELETE", f"/organizations/{{org}}/runs/{run_id}", None)
    for method, path, body in [*(("GET", path, None) for path in READS), *CHANGES, archive]:
        status, answer, text = send(sandbox, method, path, [("Host", host)], body)
        assert (status, answer["error"]) == (421, True)
        assert "localhost, 127.0.0.1 or [::1]" in answer["message"]
        assert run_id not in text
        assert sandbox.token not in text
    assert state(sandbox) == before


def test_no_host_and_two_hosts_are_refused(sandbox: Sandbox) -> None:
    own = f"127.0.0.1:{sandbox.port}"
    for hosts in ([], [own, "evil.example"], ["evil.example", own], [own, own]):
        # aiohttp refuses some of these itself, and more of them the newer it is.
        assert send(sandbox, "GET", "/me", [("Host", host) for host in hosts])[0] in (400, 421)
    assert sandbox.requests == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=st.text(string.ascii_lowercase + string.digits + ".:[]-_@/%", max_size=30))
@example(host="127.0.0.1.")
def test_every_other_host_name_is_refused(sandbox: Sandbox, host: str) -> None:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    own = name in ("localhost", "[::1]") or (name.startswith("127.") and name.count(".") == 3)
    if not own:
        assert send(sandbox, "GET", "/me", [("Host", host)])[0] in (400, 421)


def foreign_origins(own: str, port: int) -> list[list[tuple[str, str]]]:
    return [
        *(
            [("Origin", origin)]
            for origin in (
                "https://evil.example",
                "http://evil.example",
                "null",
                "",
                f"https://{own}",
                f"http://{own}.evil.example",
                f"http://evil.example#{own}",
                f"http://user@{own}",
                f"http://127.0.0.1:{port + 1}",
                f"http://localhost:{port}",
                "http://127.0.0.1",
                "file://",
                "chrome-extension://abc",
                own.replace("127", "HTTP://127"),
            )
        ),
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "Cross-Site")],
        [("Sec-Fetch-Site", "odd")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", f"http://{own}")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example")],
        [("Origin", f"http://{own}"), ("Origin", "https://evil.example")],
    ]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_another_web_page_cannot_change_anything(sandbox: Sandbox, method: str, path: str, body: Any) -> None:
    own = f"127.0.0.1:{sandbox.port}"
    sandbox.when("GET", "/never", lambda: None)
    send(sandbox, "GET", "/me", [("Host", own)])
    before = state(sandbox)
    for headers in foreign_origins(own, sandbox.port):
        status, answer, _ = send(sandbox, method, path, [("Host", own), *headers], body)
        assert (status, answer["error"]) == (403, True), headers
        assert "not by other web pages" in answer["message"]
    assert state(sandbox) == before


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_own_pages_and_programs_can_change_it(sandbox: Sandbox, method: str, path: str, body: Any) -> None:
    for host in (f"127.0.0.1:{sandbox.port}", f"localhost:{sandbox.port}", "LOCALHOST"):
        for headers in (
            [],
            [("Origin", f"http://{host}")],
            [("Origin", f"http://{host.lower()}"), ("Sec-Fetch-Site", "same-origin")],
            [("Sec-Fetch-Site", "none")],
        ):
            assert send(sandbox, method, path, [("Host", host), *headers], body)[0] in (200, 201), headers


def test_other_web_pages_cannot_read_answers(sandbox: Sandbox) -> None:
    headers = [("Host", "localhost"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]
    # A browser sends these and keeps the answer from the page, because nothing in it allows the page to read it.
    assert send(sandbox, "GET", "/_sandbox", headers)[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    for method, path in (("GET", "/_sandbox"), ("GET", "/"), ("OPTIONS", "/me"), ("OPTIONS", "/_sandbox/faults")):
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST", "Accept": "text/html"}
        connection.request(method, path, headers=asked)
        response = connection.getresponse()
        response.read()
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert method == "GET" or response.status == 404
    connection.close()


def test_the_api_accepts_a_token_from_any_origin(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    path, headers = f"/organizations/{{org}}/runs/{run_id}", [("Host", "localhost"), ("Origin", "null")]
    sandbox.revoke(token := sandbox.token)
    assert send(sandbox, "DELETE", path, headers)[0] == 401
    assert not (sandbox.run(run_id) or {})["is_archived"]
    sandbox.organization.tokens[token] = 10001
    assert send(sandbox, "DELETE", path, headers)[0] == 200
