"""Secrets do not leak through proxies, forks, pickles or texts, and data is not rewritten to hide them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.client.scrub import Scrubber, proxy_passwords
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyConfigurationError,
    TallyfyError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._raw_server import Cut, RawServer, response
from tests.contract._tls import certificate
from tests.contract._transports import TOKEN

Connect = Callable[..., TallyfyHook]


@pytest.fixture
def proxy() -> Iterator[RawServer]:
    """A proxy that answers requests itself, so that a test notices its use."""
    with RawServer(lambda request: response(200, {"data": {"email": "proxy@example.com"}})) as server:
        yield server


class TestLoopback:
    """An API on this machine is reached without a proxy, because plain http would show the token to the proxy."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.1:{port}/"])
    @pytest.mark.parametrize(
        "given", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY", "extra", "extra of a host", "extra for all"]
    )
    def test_no_proxy_sees_the_token(
        self,
        sandbox: Sandbox,
        connect: Connect,
        proxy: RawServer,
        host: str,
        given: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        extra: dict[str, Any] = {}
        if given.startswith("extra"):
            key = {"extra": "http", "extra of a host": "http://127.0.0.1", "extra for all": "all"}[given]
            extra = {"proxies": {key: proxy.url}}
        else:
            monkeypatch.setenv(given, proxy.url)
        host = host.replace("{port}", str(sandbox.port))
        hook = connect(sandbox, host=host, schema="http", port=sandbox.port, extra=extra)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        hook.get_current_user()
        hook.run("/me")
        hook.run("/me", headers={"X-Mine": "1"})
        hook.get_conn().get(f"{hook.settings.base_url}/me", timeout=5)
        assert proxy.requests == []
        assert len(sandbox.requests) == 4

    def test_other_hosts_are_reached_by_the_proxy_of_the_connection(
        self, sandbox: Sandbox, connect: Connect, proxy: RawServer
    ) -> None:
        proxy.answer = lambda request: [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Cut.CLOSE]
        hook = connect(
            sandbox, host="https://tallyfy.invalid", port=None, extra={"proxies": proxy.url, "max_retries": 0}
        )
        for call in (hook.get_current_user, lambda: hook.run("/me")):
            with pytest.raises(TallyfyError, match="the proxy did not forward the request"):
                call()
        assert [(request.method, request.target) for request in proxy.requests] == [
            ("CONNECT", "tallyfy.invalid:443")
        ] * 2
        assert not [request for request in proxy.requests if b"Bearer" in request.raw]


class TestFork:
    """A child process that is forked with a used hook opens its own connections."""

    READS = 60

    def test_parent_and_children_get_their_own_answers(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_ids = sandbox.add_runs(4)
        session = hook.get_conn()

        def read(run_id: str) -> bool:
            """Whether every method returns an answer about the requested run."""
            path = f"/organizations/{hook.organization_id}/runs/{run_id}"
            return all(
                hook.get_run(run_id)["id"] == run_id
                and hook.run(path).json()["data"]["id"] == run_id
                and session.get(f"{sandbox.url}{path}", timeout=5).json()["data"]["id"] == run_id
                for _ in range(self.READS // 3)
            )

        assert read(run_ids[0])
        children = []
        for run_id in run_ids[1:]:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = 0 if read(run_id) else 2
                finally:
                    os._exit(status)
            children.append(child)
        assert read(run_ids[0])
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
        assert read(run_ids[0])

    def test_child_that_is_forked_while_other_threads_send(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_ids = sandbox.add_runs(2)
        hook.get_run(run_ids[0])
        stop = threading.Event()

        def go_on() -> None:
            while not stop.is_set():
                hook.get_run(run_ids[0])

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = 0 if all(hook.get_run(run_ids[1])["id"] == run_ids[1] for _ in range(20)) else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
            thread.join()


class TestPickle:
    """A pickled hook contains its arguments, and looks up its connection after unpickling."""

    def test_used_hook(self, sandbox: Sandbox, connect: Connect) -> None:
        run_id = sandbox.add_run()
        hook = connect(sandbox, extra={"proxies": "http://me:hidden@p:1"}, hook={"timeout": 7.0, "max_retries": 2})
        hook.archive_run(run_id)
        hook.run("/me")
        packed = pickle.dumps(hook)
        assert sandbox.token.encode() not in packed
        assert b"hidden" not in packed
        for other in (pickle.loads(packed), copy.copy(hook), copy.deepcopy(hook)):
            assert sandbox.token not in repr(vars(other))
            assert other.activate_run(run_id)["archived_at"] is None
            assert other.run("/me").status_code == 200
            assert (other.tallyfy_conn_id, other._timeout, other.max_retries) == (hook.tallyfy_conn_id, 7.0, 2)
        hook.archive_run(run_id)  # the original keeps working

    def test_used_operator(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run()
        operator = TallyfyArchiveRunOperator(task_id="archive", run_id=run_id, tallyfy_conn_id=hook.tallyfy_conn_id)
        operator.hook.get_run(run_id)
        assert sandbox.token.encode() not in pickle.dumps(operator)
        assert copy.deepcopy(operator).hook.get_run(run_id)["id"] == run_id

    def test_pickling_is_refused_where_the_token_is_stored(self, hook: TallyfyHook) -> None:
        hook.get_current_user()
        for secret in (hook.get_conn(), hook.get_conn().auth, hook._transport.scrub):
            with pytest.raises(TypeError, match="can't be pickled"):
                pickle.dumps(secret)


class TestTexts:
    JWT = TOKEN

    def test_secrets_are_hidden_in_every_spelling(self) -> None:
        passwords = proxy_passwords({"https": "http://me:p%40ss%2Fword@proxy:3128", "http": "//me:p%40ss%2Fword@p:1"})
        scrub = Scrubber(self.JWT, passwords)
        shown = [self.JWT, json.dumps(self.JWT), quote(self.JWT, safe=""), "p%40ss%2Fword", "p@ss/word", "p@ss\\/word"]
        shown += ["Basic bWU6cEBzcy93b3Jk", f"Bearer {self.JWT}", f"http://me:p%40ss%2Fword@proxy:3128/{self.JWT}"]
        for text in shown:
            hidden = scrub.text(f"before {text} after")
            assert hidden.startswith("before ")
            assert hidden.endswith(" after")
            assert "***" in hidden
            for secret in (self.JWT[-20:], "ss%2Fword", "ss/word", "bWU6"):
                assert secret not in hidden
        assert scrub.text("the user is me") == "the user is me"

    def test_first_part_of_a_token_is_hidden_too(self) -> None:
        """Messages are cut to a length, possibly in the middle of a token."""
        scrub = Scrubber(self.JWT)
        for length in range(12, len(self.JWT)):
            assert scrub.text(f"see {self.JWT[:length]}]") == "see ***]"
        assert scrub.text("eyJ0eXAi is short") == "eyJ0eXAi is short"

    def test_no_part_remains_of_a_token_that_starts_like_another_spelling(self) -> None:
        token = "eyJ0eXAiOiJKV1Qi.CANARY-canary/CANARY+canary.0123456789"
        for text in (token, quote(token, safe=""), json.dumps(token).replace("/", "\\/"), token[:30], token[:40]):
            assert Scrubber(token).text(f"see {text.strip(chr(34))}!") == "see ***!"

    @pytest.mark.parametrize("padding", [0, 300, 480, 495])
    def test_token_in_a_long_message_is_not_shown_in_part(
        self, sandbox: Sandbox, connect: Connect, padding: int
    ) -> None:
        token = self.JWT * 5
        hook = connect(sandbox, password=token, extra={"max_retries": 0})
        for status, kind in ((422, TallyfyValidationError), (503, TallyfyServerError)):
            sandbox.fail("*", "*", Fault.status(status, {"message": "x" * padding + token, "errors": {token: [token]}}))
            with pytest.raises(kind) as caught:
                hook.get_current_user()
            assert token[:14] not in f"{caught.value} {vars(caught.value)}"


class TestData:
    @pytest.mark.parametrize("password", ["active", "data", "archived_at", "total", "meta"])
    def test_proxy_password_changes_nothing(self, sandbox: Sandbox, connect: Connect, password: str) -> None:
        run_id = sandbox.add_run("Onboarding")
        hook = connect(sandbox, extra={"proxies": f"http://user:{password}@proxy.example:3128"})
        assert hook.get_run(run_id)["status"] == "active"
        assert [run["id"] for run in hook.find_runs(status="active").rows] == [run_id]
        assert hook.archive_run(run_id)["archived_at"]
        assert hook.activate_runs([run_id]).counts["changed"] == 1

    def test_token_is_removed_from_results(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        """Somebody wrote it into a run. It must not get into XCom, but decisions use the original data."""
        run_id = sandbox.add_run("Onboarding")
        shown = f"the token is {sandbox.token}!"
        outcome = hook.update_run_outcome(run_id, summary=shown)
        assert outcome.run["summary"] == "the token is ***!"
        for found in (hook.get_run(run_id), *hook.iter_runs(), hook.archive_run(run_id), hook.activate_run(run_id)):
            assert sandbox.token not in repr(found)
        assert sandbox.token not in repr(hook.request("GET", f"/organizations/{hook.organization_id}/runs/{run_id}"))
        assert hook.update_run_outcome(run_id, summary=shown).how == "already"

    def test_token_in_json_escapes_is_removed(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        written = "".join(f"\\u{ord(char):04x}" for char in sandbox.token)
        sandbox.fail("GET", "/me", Fault.status(200, f'{{"data": {{"id": 1, "email": "{written}"}}}}'))
        assert hook.get_current_user()["email"] == "***"


class TestKeysAndCertificates:
    """An unusable file is an error before anything is sent; the error names the extra and the problem."""

    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        return certificate(tmp_path)

    def refusal(self, sandbox: Sandbox, connect: Connect, **extra: Any) -> str:
        hook = connect(sandbox, host=sandbox.url, port=None, extra=extra)
        for call in (hook.get_current_user, hook.get_conn, lambda: hook.run("/me")):
            with pytest.raises(TallyfyConfigurationError, match=r"Nothing was sent\.") as caught:
                call()
            assert isinstance(caught.value, AirflowFailException)
        assert sandbox.requests == []
        [name] = extra
        assert f"has the extra {name!r}: " in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("extra", ["verify", "cert"])
    @pytest.mark.parametrize(
        ("kind", "says"),
        [("missing", "no file"), ("garbage", "no valid "), ("directory", "irectory"), ("empty", "no valid ")],
    )
    def test_bad_file(
        self, sandbox: Sandbox, connect: Connect, tmp_path: Path, extra: str, kind: str, says: str
    ) -> None:
        path = tmp_path / f"{kind}.pem"
        if kind == "garbage":
            path.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        elif kind == "empty":
            path.write_text("")
        elif kind == "directory":
            path.mkdir()
        assert says in self.refusal(sandbox, connect, **{extra: str(path)})

    def test_encrypted_key(self, sandbox: Sandbox, connect: Connect, tmp_path: Path, pem: Path) -> None:
        loaded = serialization.load_pem_private_key(pem.read_bytes(), None)
        key = tmp_path / "key.pem"
        key.write_bytes(
            loaded.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        says = "is encrypted. Store it without a passphrase"
        assert says in self.refusal(sandbox, connect, cert=[str(pem), str(key)])
        both = tmp_path / "both.pem"
        own = x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(serialization.Encoding.PEM)
        both.write_bytes(own + key.read_bytes())
        assert says in self.refusal(sandbox, connect, cert=str(both))

    def test_key_of_another_certificate(self, sandbox: Sandbox, connect: Connect, tmp_path: Path, pem: Path) -> None:
        key = tmp_path / "other.pem"
        key.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        told = self.refusal(sandbox, connect, cert=[str(pem), str(key)])
        assert "the private key does not belong to the certificate" in told

    def test_certificate_without_key(self, sandbox: Sandbox, connect: Connect, tmp_path: Path, pem: Path) -> None:
        own = tmp_path / "certificate.pem"
        own.write_bytes(x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(serialization.Encoding.PEM))
        assert "no valid certificate with its private key in " in self.refusal(sandbox, connect, cert=str(own))

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_bundle_of_the_environment(
        self, sandbox: Sandbox, connect: Connect, tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle = tmp_path / "bundle.pem"
        bundle.write_text("nonsense")
        monkeypatch.setenv(variable, str(bundle))
        with pytest.raises(TallyfyConfigurationError, match=f"the environment's {variable}: .*bundle.pem"):
            connect(sandbox, host="https://tallyfy.invalid", port=None).get_current_user()

    def test_good_files_are_accepted(self, sandbox: Sandbox, connect: Connect, pem: Path) -> None:
        hook = connect(sandbox, extra={"cert": str(pem), "verify": str(pem)})
        assert hook.get_current_user()["email"] == "admin@sandbox.example"


_NO_TIMEOUTS: list[Any] = [float("nan"), float("inf"), -1, 0, 0.0, "x", "5", True, 10**400, 1e300, [], {}, object()]
_NO_RETRIES: list[Any] = [float("nan"), float("inf"), -1, 1.5, 21, "x", "3", True, 10**400, [], object()]


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("timeout", value) for value in _NO_TIMEOUTS), *(("max_retries", value) for value in _NO_RETRIES)],
    ids=lambda value: str(value)[:12] if not isinstance(value, object) else None,
)
def test_bad_argument_is_refused_when_the_hook_is_made(name: str, value: Any) -> None:
    with pytest.raises(TallyfyArgumentError, match=f"^{name}=.* must be a .*number .*, or None") as caught:
        TallyfyHook("nowhere", **{name: value})
    assert len(str(caught.value)) < 300
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(("name", "value"), [("timeout", 1), ("timeout", 0.5), ("timeout", 86_400), ("max_retries", 0)])
def test_good_argument_is_accepted(name: str, value: float) -> None:
    assert getattr(TallyfyHook("nowhere", **{name: value}), f"_{name}") == value  # type: ignore[arg-type]  # one of two
