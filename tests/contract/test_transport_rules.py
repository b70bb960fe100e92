"""Both transports follow the same rules for tokens, certificates, proxies and connections."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import create_server

import pytest

from airflow_provider_tallyfy.api.protocol.messages import Lost, Response
from airflow_provider_tallyfy.client.aiohttp_transport import AiohttpTransport
from airflow_provider_tallyfy.connection import Settings
from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError
from tests.contract._raw_server import Answer, RawServer, response
from tests.contract._raw_server import Request as Received
from tests.contract._tls import TlsServer, certificate, tls_server
from tests.contract._transports import ORG, TOKEN, NewTransport, TransportFactory, get, new_transport, write

__all__ = ["new_transport"]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(lambda request: response(200, {"path": request.target})) as server:
        yield server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


def test_request_is_the_same(server: RawServer, new_transport: TransportFactory) -> None:
    transport = new_transport(f"{server.url}/api")
    transport.send(write("PUT", "a b/ü"))
    transport.send(get())
    transport.send(write("DELETE"))
    put, read, delete = server.requests
    assert (put.method, put.target, put.body) == ("PUT", "/api/a%20b%2F%C3%BC", b'{"name": "New"}')
    assert (put.headers["content-type"], put.headers["content-length"]) == ("application/json", "15")
    assert "content-type" not in read.headers
    assert "content-length" not in read.headers
    assert delete.headers.get("content-length", "0") == "0"
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert (request.headers["accept"], request.headers["x-tallyfy-client"]) == ("application/json", "APIClient")
        assert request.headers["accept-encoding"] == "gzip, deflate"
        assert request.headers["user-agent"].startswith("airflow-provider-tallyfy/")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/elsewhere", "http://[bad", "//", ""])
def test_redirect_is_not_followed(server: RawServer, new_transport: NewTransport, code: int, target: str) -> None:
    server.answer = lambda request: response(code, b"", {"Location": target})
    for request in (get(), write("DELETE"), write("POST")):
        server.requests.clear()
        reply = new_transport(server.url).send(request)
        assert isinstance(reply, Response)
        assert reply.status == code
        assert len(server.requests) == 1


def test_cookie_is_not_kept(server: RawServer, new_transport: NewTransport) -> None:
    server.answer = lambda request: response(200, b"{}", {"Set-Cookie": "session=1; Path=/"})
    transport = new_transport(server.url)
    for _ in range(2):
        transport.send(get())
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


def test_netrc_is_not_read(
    server: RawServer, new_transport: NewTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    new_transport(server.url).send(get())
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("given", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "extra"])
def test_loopback_is_reached_without_proxy(
    server: RawServer, new_transport: NewTransport, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(lambda request: response(200, {"path": "the proxy's"})) as proxy:
        if given != "extra":
            monkeypatch.setenv(given, proxy.url)
        reply = new_transport(server.url, proxies={"all": proxy.url} if given == "extra" else {}).send(get())
        assert isinstance(reply, Response)
        assert reply.parsed == {"path": "/x"}
        assert proxy.requests == []


@pytest.mark.parametrize("given", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "extra"])
def test_other_hosts_are_reached_by_a_tunnel(
    server: RawServer, new_transport: NewTransport, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url.replace("//", "//me:hidden@")
    if given != "extra":
        monkeypatch.setenv(given, url)
    server.answer = lambda request: response(502)
    transport = new_transport("https://tallyfy.invalid", proxies={"https": url} if given == "extra" else {})
    reply = transport.send(write())
    assert isinstance(reply, Lost)
    assert (reply.kind, reply.sent) == ("proxy", False)
    [request] = server.requests
    assert (request.method, request.target) == ("CONNECT", "tallyfy.invalid:443")
    assert request.headers["proxy-authorization"] == "Basic bWU6aGlkZGVu"
    assert transport.scrub.text("hidden bWU6aGlkZGVu") == "*** ***"


class TestTls:
    def test_untrusted_certificate(self, tls: TlsServer, new_transport: NewTransport) -> None:
        reply = new_transport(tls.url).send(get())
        assert isinstance(reply, Lost)
        assert (reply.kind, reply.sent) == ("tls", False)
        assert "certificate verify failed" in reply.detail

    def test_trusted_by_the_connection_or_not_checked(self, tls: TlsServer, new_transport: NewTransport) -> None:
        for verify in (str(tls.certificate), False):
            reply = new_transport(tls.url, verify=verify).send(get())
            assert isinstance(reply, Response)
            assert reply.parsed["data"]["email"] == "tls@example.com"

    def test_trusted_by_the_environment(
        self, tls: TlsServer, new_transport: NewTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
        assert isinstance(new_transport(tls.url).send(get()), Response)

    @pytest.mark.parametrize("shown", [True, False])
    def test_client_certificate(self, new_transport: NewTransport, tmp_path: Path, shown: bool) -> None:
        pem = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(pem)
        context.verify_mode = ssl.CERT_REQUIRED

        def serve() -> None:
            connection, _ = listener.accept()
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as stream:
                stream.recv(65536)
                stream.sendall(response(200, {}))

        with create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, daemon=True).start()
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            reply = new_transport(url, verify=str(pem), cert=str(pem) if shown else None).send(get())
        if shown:
            assert isinstance(reply, Response)
        else:
            assert isinstance(reply, Lost)

    def test_encrypted_key_is_refused(self, new_transport: NewTransport, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        with pytest.raises(TallyfyConfigurationError, match=r"the extra 'cert': the private key in .* is encrypted"):
            new_transport("https://tallyfy.invalid", cert=str(path))


class TestEventLoop:
    """Behaviour of the aiohttp transport only."""

    @staticmethod
    def transport(server: RawServer, timeout: float = 5.0) -> AiohttpTransport:
        return AiohttpTransport.for_settings(Settings("c", server.url, ORG, TOKEN, timeout=timeout))

    def test_cancelled_request_leaves_no_connection(self, server: RawServer) -> None:
        ended = threading.Event()

        def answer(request: Received) -> Answer:
            def parts() -> Iterator[bytes | float]:
                yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
                try:
                    for _ in range(200):
                        yield 0.01
                        yield b"x"
                finally:
                    ended.set()  # the client has disconnected

            return parts()

        server.answer = answer

        async def cancel() -> None:
            transport = self.transport(server)
            task = asyncio.create_task(transport.send(get()))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.answer = lambda request: response(200, {"path": request.target})
            reply = await transport.send(get("next"))
            assert isinstance(reply, Response)
            assert reply.parsed == {"path": "/next"}
            await transport.close()

        asyncio.run(cancel())
        started = time.monotonic()
        assert ended.wait(1.5)
        assert time.monotonic() - started < 1.5

    def test_concurrent_requests_get_their_own_answers(self, server: RawServer) -> None:
        server.answer = lambda request: [0.05, response(200, {"path": request.target})]

        async def ask() -> list[str]:
            transport = self.transport(server)
            replies = await asyncio.gather(*(transport.send(get(str(number))) for number in range(50)))
            await transport.close()
            return [reply.parsed["path"] for reply in replies if isinstance(reply, Response)]

        started = time.monotonic()
        assert asyncio.run(ask()) == [f"/{number}" for number in range(50)]
        assert time.monotonic() - started < 2

    def test_each_loop_has_a_session_of_its_own(self, server: RawServer) -> None:
        transport = self.transport(server)

        async def ask(last: bool) -> bool:
            reply = await transport.send(get())
            if last:
                await transport.close()
            return isinstance(reply, Response)

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ResourceWarning)
            assert [asyncio.run(ask(last)) for last in (False, False, True)] == [True] * 3
            gc.collect()
        assert not [warning for warning in told if "session" in str(warning.message)]

    def test_closed_transport_stays_closed(self, server: RawServer) -> None:
        transport = self.transport(server)

        async def ask() -> None:
            await transport.send(get())
            await transport.close()
            await transport.close()
            with pytest.raises(RuntimeError, match="was closed"):
                await transport.send(get())

        asyncio.run(ask())
        assert len(server.requests) == 1

    def test_repr_shows_no_secret(self, server: RawServer) -> None:
        transport = self.transport(server)
        assert TOKEN not in f"{transport!r} {vars(transport)!r}"
