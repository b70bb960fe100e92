"""The hook's transport: where the token is sent, what users of HttpHook can rely on, and the number of requests."""

from __future__ import annotations

import gzip
import json
import logging
import pickle
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import certifi
import pytest
import requests
import tenacity
from airflow.providers.http.hooks.http import HttpHook
from urllib3.connection import HTTPConnection

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyAuthError,
    TallyfyClientError,
    TallyfyConfigurationError,
    TallyfyError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyServerError,
    TallyfyUnreachableError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._raw_server import RawServer, response
from tests.contract._raw_server import Request as Received
from tests.contract._tls import TlsServer, tls_server

Connect = Callable[..., TallyfyHook]


class TestHttpHook:
    """Inherited methods keep working, with the token and the right base URL."""

    def test_run(self, sandbox: Sandbox, connect: Connect) -> None:
        hook = connect(sandbox, host=f"{sandbox.url}/api", port=None)
        assert isinstance(hook, HttpHook)
        org, run_id = sandbox.organization_id, sandbox.add_run("Inherited")
        answer = hook.run(f"/organizations/{org}/runs", {"q": "Inherited"}, headers={"X-Mine": "1"})
        assert [run["id"] for run in answer.json()["data"]] == [run_id]
        [record] = sandbox.requests
        assert record.path == f"/api/organizations/{org}/runs"
        assert record.headers["Authorization"] == f"Bearer {sandbox.token}"
        assert (record.headers["X-Mine"], record.headers["X-Tallyfy-Client"]) == ("1", "APIClient")
        # The next request contains none of that.
        hook.get_current_user()
        assert "X-Mine" not in sandbox.requests[1].headers

    def test_run_with_another_method_and_a_body(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        hook.method = "POST"
        hook.run(f"organizations/{hook.organization_id}/tags", json={"title": "Inherited"})
        assert sandbox.requests[0].json == {"title": "Inherited"}

    @pytest.mark.parametrize(
        ("fault", "kind", "status"),
        [
            (Fault.status(404), TallyfyNotFoundError, 404),
            (Fault.server_error(leak=True), TallyfyServerError, 503),
            (Fault.redirect("https://elsewhere.example/"), TallyfyClientError, 302),
            (Fault.drop_before(), TallyfyUnreachableError, None),
        ],
        ids=lambda value: value.name if isinstance(value, Fault) else "",
    )
    def test_run_raises_the_errors_of_this_provider(
        self, sandbox: Sandbox, hook: TallyfyHook, fault: Fault, kind: type[TallyfyError], status: int | None
    ) -> None:
        sandbox.fail("GET", "/me", fault)
        with pytest.raises(kind, match="GET /me ") as caught:
            hook.run("/me")
        assert getattr(caught.value, "http_status") == status  # noqa: B009 - a parameter's own type does not have it
        assert len(sandbox.calls) == 1

    def test_check_response_false_returns_error_responses(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.fail("GET", "/me", Fault.status(404))
        assert hook.run("/me", extra_options={"check_response": False}).status_code == 404

    def test_run_refuses_arguments_that_make_no_request(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        for arguments in ({"endpoint": "/me", "json": {1, 2}}, {"endpoint": "/me", "headers": {"X-A": "b\r\nC: d"}}):
            with pytest.raises(TallyfyArgumentError, match="No request can be built from these arguments"):
                hook.run(**arguments)
        assert sandbox.requests == []

    def test_size_of_a_compressed_answer_is_limited(self, sandbox: Sandbox, connect: Connect) -> None:
        pack = zlib.compressobj(9, wbits=31)
        bomb = b"".join([*(pack.compress(b" " * (1 << 20)) for _ in range(400)), pack.flush()])
        answers = iter((gzip.compress(b'{"data": 1}'), bomb))
        with RawServer(lambda request: response(200, next(answers), {"Content-Encoding": "gzip"})) as server:
            hook = connect(sandbox, host=server.url, port=None)
            assert hook.run("/me").json() == {"data": 1}
            with pytest.raises(TallyfyUnreachableError, match="larger than 64 MiB"):
                hook.run("/me")

    def test_time_of_a_slow_answer_is_limited(self, sandbox: Sandbox, connect: Connect) -> None:
        def drip(request: Received) -> Iterator[bytes | float]:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
            while True:
                yield 0.02
                yield b"x"

        with RawServer(drip) as server:
            hook = connect(sandbox, host=server.url, port=None, extra={"timeout": 0.1})
            with pytest.raises(TallyfyUnreachableError, match=r"not complete after 0\.5 s in all"):
                hook.run("/me")

    def test_run_with_advanced_retry(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.fail("GET", "/me", Fault.server_error(), times=2)
        retry = {
            "stop": tenacity.stop_after_attempt(5),
            "wait": tenacity.wait_none(),
            "retry": tenacity.retry_if_exception_type(TallyfyServerError),
            "reraise": True,
        }
        answer = hook.run_with_advanced_retry(retry, endpoint="/me")
        assert answer.json()["data"]["email"] == "admin@sandbox.example"
        assert len(sandbox.calls) == 3

    def test_get_conn_returns_a_session_with_headers(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        session = hook.get_conn()
        assert session.get(f"{sandbox.url}/me", timeout=5).json()["data"]["email"] == "admin@sandbox.example"
        assert hook.get_conn() is session


def test_required_headers_are_sent(sandbox: Sandbox, connect: Connect) -> None:
    extra = {"my_api_key": "SECRET", "page_size": 100, "headers": {"X-Evil": "1"}, "Authorization": "Basic x"}
    run_id = sandbox.add_run()
    hook = connect(sandbox, extra=extra)
    hook.update_run(run_id, name="New")
    read, write = ({name.lower(): value for name, value in r.headers.items()} for r in sandbox.requests)
    assert read.pop("user-agent").startswith(f"airflow-provider-tallyfy/{__version__} python-requests/")
    assert read == {
        "host": f"127.0.0.1:{sandbox.port}",
        "authorization": f"Bearer {sandbox.token}",
        "accept": "application/json",
        "x-tallyfy-client": "APIClient",
        "accept-encoding": read["accept-encoding"],
        "connection": "keep-alive",
    }
    assert write.keys() - read.keys() == {"user-agent", "content-type", "content-length"}
    assert write["content-type"] == "application/json"


class TestTokenIsSentOnlyToTheApi:
    @pytest.fixture
    def elsewhere(self) -> Iterator[Sandbox]:
        with Sandbox(seed=2) as sandbox:
            yield sandbox

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
    def test_no_redirect_is_followed(
        self, sandbox: Sandbox, elsewhere: Sandbox, hook: TallyfyHook, code: int, method: str
    ) -> None:
        run_id = sandbox.add_run()
        for target in (f"{elsewhere.url}/me", f"{sandbox.url}/me", "/me", "//", "http://[bad", ""):
            sandbox.fail(method, "*", Fault.redirect(target, code))
            sandbox.forget_requests()
            with pytest.raises(TallyfyClientError, match="Redirects are not followed") as caught:
                hook.request(method, f"/organizations/{hook.organization_id}/runs/{run_id}")
            assert caught.value.http_status == code
            assert isinstance(caught.value, AirflowFailException)
            assert len(sandbox.calls) == 1
            sandbox.fail(method, "*", Fault.redirect(target, code))
            assert hook.get_conn().request(method, f"{sandbox.url}/me", timeout=5).status_code == code
            assert len(sandbox.calls) == 2
        assert elsewhere.requests == []

    def test_other_hosts_are_refused_by_the_session_itself(
        self, sandbox: Sandbox, elsewhere: Sandbox, hook: TallyfyHook
    ) -> None:
        session = hook.get_conn()
        for url in (f"{elsewhere.url}/me", f"http://localhost:{sandbox.port}/me", "https://go.tallyfy.com/api/me"):
            with pytest.raises(TallyfyConfigurationError, match="is not sent to any other host or port"):
                session.get(url, timeout=5)
        assert sandbox.requests == elsewhere.requests == []

    def test_next_link_is_never_followed(self, sandbox: Sandbox, elsewhere: Sandbox, hook: TallyfyHook) -> None:
        links = {"next": f"{elsewhere.url}/organizations/{hook.organization_id}/runs?page=2"}
        for page in (1, 2):
            meta = {"total": 2, "per_page": 1, "current_page": page, "total_pages": 2, "links": links}
            body = {"data": [{"id": str(page), "archived_at": None}], "meta": {"pagination": meta}}
            sandbox.fail("GET", "/runs", Fault.status(200, body))
        assert [run["id"] for run in hook.iter_runs()] == ["1", "2"]
        assert len(sandbox.calls) == 2
        assert elsewhere.requests == []

    def test_netrc_does_not_replace_it(
        self, sandbox: Sandbox, hook: TallyfyHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password hidden\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        # Proves that requests would have used this file.
        assert requests.utils.get_netrc_auth(sandbox.url) == ("me", "hidden")
        hook.get_current_user()
        hook.run("/me", headers={"X-Mine": "1"})
        assert {r.headers["Authorization"] for r in sandbox.requests} == {f"Bearer {sandbox.token}"}


class TestCertificate:
    @pytest.fixture(scope="class")
    def tls(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
        with tls_server(tmp_path_factory.mktemp("tls")) as server:
            yield server

    @pytest.fixture
    def to(self, sandbox: Sandbox, connect: Connect, tls: TlsServer) -> Callable[..., TallyfyHook]:
        return lambda **extra: connect(sandbox, host=tls.url, port=None, extra=extra)

    def test_untrusted_certificate_is_refused(self, to: Callable[..., TallyfyHook], waits: list[float]) -> None:
        with pytest.raises(TallyfyUnreachableError, match=r"no trusted TLS connection.*certificate verify failed"):
            to().get_current_user()
        assert waits == []  # a retry would fail in the same way

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_ca_bundle_of_the_environment_is_used(
        self, to: Callable[..., TallyfyHook], tls: TlsServer, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, str(tls.certificate))
        hook = to()
        assert hook.get_current_user()["email"] == hook.run("/me").json()["data"]["email"] == "tls@example.com"

    @pytest.mark.parametrize("bundle", ["unset", "set"])
    def test_verify_of_the_connection_is_used(
        self, to: Callable[..., TallyfyHook], tls: TlsServer, bundle: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if bundle == "set":
            # The environment's bundle lacks this server. The connection's setting takes precedence.
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        for verify in (str(tls.certificate), "false", False):
            hook = to(verify=verify)
            assert hook.get_current_user()["email"] == hook.run("/me").json()["data"]["email"] == "tls@example.com"


class TestCost:
    def test_one_connection_look_up_and_one_tcp_connection(
        self, sandbox: Sandbox, hook: TallyfyHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked_up, connected = list[str](), list[str]()
        look_up, connect = TallyfyHook.get_connection, HTTPConnection.connect

        def counted_look_up(conn_id: str) -> Any:
            looked_up.append(conn_id)
            return look_up(conn_id)

        def counted_connect(self: HTTPConnection) -> None:
            connected.append(self.host)
            connect(self)

        monkeypatch.setattr(hook, "get_connection", counted_look_up)
        monkeypatch.setattr(HTTPConnection, "connect", counted_connect)
        run_ids = sandbox.add_runs(5)
        for run_id in run_ids:
            hook.archive_run(run_id)
            hook.activate_run(run_id)
            hook.update_run(run_id, name="New")
        assert len(list(hook.iter_runs(per_page=2))) == 5
        hook.run("/me")
        hook.run("/me", headers={"X-Mine": "1"})
        assert hook.request_count == len(sandbox.calls) == 5 * 4 + 3 + 2
        assert (looked_up, connected) == ([hook.tallyfy_conn_id], ["127.0.0.1"])

    def test_connection_is_not_looked_up_before_it_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TallyfyHook, "get_connection", lambda conn_id: pytest.fail("looked up"))
        TallyfyHook("anything")

    def test_timeout_of_the_hook_precedes_that_of_the_connection(self, sandbox: Sandbox, connect: Connect) -> None:
        sandbox.fail("GET", "/me", Fault.slow(30), times=None)
        for hook in (
            connect(sandbox, extra={"timeout": 0.1, "max_retries": 1}),
            connect(sandbox, extra={"timeout": 60, "max_retries": 9}, hook={"timeout": 0.1, "max_retries": 1}),
        ):
            sandbox.forget_requests()
            with pytest.raises(TallyfyUnreachableError, match=r"no answer \(tried 2 times\): the answer timed out"):
                hook.get_current_user()
            assert len(sandbox.calls) == 2


_EVERYTHING: list[Fault] = [
    Fault.status(400, {"message": "{token}", "errors": {"{token}": ["{token}"]}}),
    Fault.status(401, {"error": "{token}"}),
    Fault.status(403, {"error": {"message": "{token}"}}),
    Fault.status(404, "<html>{token}</html>", {"X-Request-Id": "{token}"}),
    Fault.status(422, {"errors": {"name": [{"token": "{token}"}]}}),
    Fault.status(429, {"message": "{token}"}, {"Retry-After": "9999"}),
    Fault.status(500, {"message": "Authorization: Bearer {token}"}),
    Fault.status(200, "{token}"),
    Fault.status(200, {"data": {"id": "1", "name": "{token}", "archived_at": "{token}", "users": "{token}"}}),
    Fault.status(200, {"data": [{"id": "{token}"}], "meta": {"pagination": {"total": 9}}}),
    Fault.status(302, "", {"Location": "https://elsewhere.example/{token}?t={token}"}),
    Fault.drop_before(),
    Fault.truncated(),
    Fault.not_json(),
    Fault.server_error(leak=True),
]


def _with_token(fault: Fault, token: str) -> Fault:
    """Return the fault with the token in its answer."""
    if fault.answer is None:
        return fault
    status, headers, body = fault.answer
    shown = {name: value.replace("{token}", token) for name, value in headers.items()}
    return Fault(fault.name, answer=(status, shown, body.replace(b"{token}", json.dumps(token)[1:-1].encode())))


_DEEDS: dict[str, Callable[[TallyfyHook, str], object]] = {
    "archive": TallyfyHook.archive_run,
    "activate": TallyfyHook.activate_run,
    "update": lambda hook, run_id: hook.update_run(run_id, name="x"),
    "list": lambda hook, run_id: list(hook.iter_runs()),
    "request": lambda hook, run_id: hook.request("POST", "/me", json={}),
    "run": lambda hook, run_id: hook.run("/me").status_code,
    "test": lambda hook, run_id: hook.test_connection(),
}


@pytest.mark.parametrize("fault", _EVERYTHING, ids=lambda fault: f"{fault.name} {(fault.answer or [''])[0]}")
@pytest.mark.parametrize("password", ["plain", 'eyJ0/+="\\<e>.eyJ.sig'])
def test_token_is_not_in_errors_logs_or_results(
    sandbox: Sandbox,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fault: Fault,
    password: str,
) -> None:
    token = sandbox.token if password == "plain" else password
    # Airflow's loggers mask the token. This test must not depend on that, so the hook gets a plain logger.
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(TallyfyHook, "log", logging.getLogger("plain"))
    hook = connect(sandbox, password=token, hook={"max_retries": 1})
    seen: list[str] = []
    for deed in _DEEDS.values():
        sandbox.forget_faults()
        sandbox.fail("*", "*", _with_token(fault, token), times=None)
        try:
            seen.append(repr(deed(hook, "0123456789abcdef")))
        except TallyfyError as error:
            seen += [str(error), repr(vars(error)), repr(pickle.loads(pickle.dumps(error)).args)]
            seen += traceback.format_exception(error)
    session = hook.get_conn()
    seen += [repr(x) for x in (hook, session, session.auth, session.headers, hook.settings, vars(hook))]
    logged = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} >= {"plain", "urllib3.connectionpool"}
    seen += [*logged, *capfd.readouterr()]
    text = "\n".join(seen)
    for form in (token, json.dumps(token)[1:-1], quote(token), quote(token, safe="")):
        assert form not in text


def test_token_in_the_wrong_field_is_not_in_the_error(sandbox: Sandbox, connect: Connect) -> None:
    jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiIxIn0.c2lnbmF0dXJl"
    for overrides in ({"login": jwt, "password": sandbox.organization_id}, {"host": f"https://{jwt}@x:y"}):
        with pytest.raises(TallyfyError) as caught:
            connect(sandbox, **overrides).get_current_user()
        assert jwt not in str(caught.value)


def test_token_written_into_a_run_is_not_in_the_error(sandbox: Sandbox, hook: TallyfyHook) -> None:
    run_id = sandbox.add_run()
    with pytest.raises(TallyfyNotAppliedError, match="but should be") as caught:
        hook.update_run(run_id, extra_fields={"increment_id": sandbox.token})
    assert sandbox.token not in f"{caught.value} {vars(caught.value)}"


def test_token_that_expires_during_use(sandbox: Sandbox, hook: TallyfyHook) -> None:
    hook.get_current_user()
    sandbox.revoke(sandbox.token)
    with pytest.raises(TallyfyAuthError, match="Put a new one"):
        hook.get_current_user()
