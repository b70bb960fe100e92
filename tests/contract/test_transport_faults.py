"""Failures after bytes were sent are lost answers; answers are limited in time and size and match their request."""

from __future__ import annotations

import gzip
import itertools
import os
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPException
from pathlib import Path
from socket import create_server
from typing import ClassVar

import pytest
from urllib3.exceptions import DecodeError, InvalidHeader, LocationParseError

from airflow_provider_tallyfy.api.protocol.messages import Lost, Request, Response
from airflow_provider_tallyfy.client.bounded import Bounded, BoundedResponse
from airflow_provider_tallyfy.client.requests_transport import RequestsTransport
from airflow_provider_tallyfy.client.transport import MAX_RESPONSE_BYTES, TOTAL_TIMEOUTS
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError, TallyfyUnreachableError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._raw_server import Answer, Cut, Part, RawServer, response
from tests.contract._raw_server import Request as Received
from tests.contract._tls import certificate
from tests.contract._transports import TOKEN, NewTransport, TransportFactory, get, new_transport, settings_of, write

Connect = Callable[..., TallyfyHook]
__all__ = ["new_transport"]

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = Cut.CLOSE
JSON = b'{"data":{"id":"1","archived_at":null}}'


def head(*lines: str, end: str = "\r\n") -> bytes:
    return OK + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + end.encode()


def zipped(body: bytes, coding: str = "gzip") -> bytes:
    return response(200, body, {"Content-Encoding": coding})


_CHUNKED = "Transfer-Encoding: chunked"
_BROKEN: dict[str, Answer] = {
    "nothing, closed": [CLOSE],
    "nothing, reset": [Cut.RESET],
    "half a status line": [b"HTTP/1.1 2", CLOSE],
    "half the headers": [OK + b"Content-Le", CLOSE],
    "half the body": [head("Content-Length: 50") + JSON, CLOSE],
    "half the body, reset": [head("Content-Length: 50") + JSON, Cut.RESET],
    "no status": [b"\r\n\r\n", CLOSE],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", CLOSE],
    "HTTP/2": [b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 9, CLOSE],
    "a status that is no number": [b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"],
    "a status of five digits": [b"HTTP/1.1 20000 OK\r\nContent-Length: 0\r\n\r\n"],
    "two lengths": head("Content-Length: 2", f"Content-Length: {len(JSON)}") + JSON,
    "two lengths in one line": head(f"Content-Length: 2, {len(JSON)}") + JSON,
    "a length that is a power": [head("Content-Length: \xb2") + JSON, CLOSE],
    "a length with a sign": [head(f"Content-Length: +{len(JSON)}") + JSON, CLOSE],
    "a length below 0": [head("Content-Length: -1") + JSON, CLOSE],
    "a length that is no number": [head("Content-Length: many") + JSON, CLOSE],
    "a length of 5,000 digits": [head(f"Content-Length: {'9' * 5000}") + JSON, CLOSE],
    "a length of a terabyte": [head(f"Content-Length: {10**12}") + JSON, CLOSE],
    "another transfer coding": [head("Transfer-Encoding: gzip") + JSON, CLOSE],
    "a chunk below 0": [head(_CHUNKED) + b"-1\r\n" + JSON + b"\r\n0\r\n\r\n", CLOSE],
    "a chunk without length": [head(_CHUNKED) + b"\r\n" + JSON + b"\r\n0\r\n\r\n", CLOSE],
    "a chunk of a terabyte": [head(_CHUNKED) + b"ffffffffff\r\n" + JSON, CLOSE],
    "a chunk that is cut": [head(_CHUNKED) + b"ff\r\n" + JSON, CLOSE],
    "no last chunk": [head(_CHUNKED) + b"%x\r\n" % len(JSON) + JSON + b"\r\n", CLOSE],
    "a header of 200 kB": [head(f"X-Long: {'x' * 200_000}", "Content-Length: 0")],
    "500 headers": [head(*(f"X-{n}: y" for n in range(500)), "Content-Length: 0")],
    "a coding that nobody asked for": zipped(JSON, "br"),
    "two codings": zipped(gzip.compress(gzip.compress(JSON)), "gzip, gzip"),
    "gzip that is none": zipped(JSON),
    "gzip that is cut": zipped(gzip.compress(JSON * 9)[:-12]),
    "deflate that is none": zipped(JSON, "deflate"),
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + JSON, CLOSE],
    "interim responses alone": [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, CLOSE],
    "a token in the status line": [f"HTTP/9.9 {TOKEN}\r\n\r\n".encode(), CLOSE],
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(lambda request: response(200, {"path": request.target})) as server:
        yield server


@pytest.mark.parametrize("name", _BROKEN)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_broken_answer_is_a_lost_answer(server: RawServer, new_transport: NewTransport, name: str, method: str) -> None:
    server.answer = lambda request: _BROKEN[name]
    reply = new_transport(server.url).send(write(method))
    assert isinstance(reply, Lost), reply
    assert reply.sent
    assert reply.kind == "cut"
    assert len(server.requests) == 1
    assert "\n" not in reply.detail
    assert 5 < len(reply.detail) < 300
    assert TOKEN[:20] not in reply.detail


@pytest.mark.parametrize("name", ["two lengths", "a chunk below 0", "gzip that is none", "nothing, closed"])
def test_applied_write_with_a_broken_answer_is_settled_by_reading(
    server: RawServer, connect: Connect, sandbox: Sandbox, name: str
) -> None:
    archived: list[bool] = []

    def answer(request: Received) -> Answer:
        if request.is_write:
            archived.append(True)
            return _BROKEN[name]
        stamp = "2026-03-01T00:00:00Z" if archived else None
        return response(200, {"data": {"id": request.target.split("/")[-1].split("?")[0], "archived_at": stamp}})

    server.answer = answer
    run = connect(sandbox, host=server.url, port=None).archive_run("a" * 32)
    assert run["archived_at"]
    assert [request.method for request in server.requests].count("GET") >= 1


class TestAnswersMatchTheirRequests:
    """No answer is used for another request."""

    def ask_thrice(self, server: RawServer, new_transport: NewTransport, method: str = "GET") -> None:
        transport = new_transport(server.url)
        for name in ("first", "second", "third"):
            reply = transport.send(write(method, name))
            assert isinstance(reply, Response)
            if reply.body:
                assert reply.parsed == {"path": f"/{name}"}
        assert [request.target for request in server.requests] == ["/first", "/second", "/third"]

    @pytest.mark.parametrize("code", [100, 102, 103, 199])
    @pytest.mark.parametrize("times", [1, 3])
    def test_interim_responses_are_skipped(
        self, server: RawServer, new_transport: NewTransport, code: int, times: int
    ) -> None:
        interim = f"HTTP/1.1 {code} Interim\r\nLink: </x>; rel=preload\r\n\r\n".encode() * times
        before: list[list[Part]] = [[interim], [interim, 0.02], [interim[:9], 0.01, interim[9:]]]
        for parts in before:
            server.requests.clear()

            def answer(request: Received, parts: list[Part] = parts) -> Answer:
                return [*parts, response(200, {"path": request.target})]

            server.answer = answer
            self.ask_thrice(server, new_transport)

    _TOO_MUCH: ClassVar[dict[str, Callable[[bytes], list[Part]]]] = {
        "a second answer": lambda answer: [answer + response(200, {"path": "/wrong"})],
        "half an answer": lambda answer: [answer + b"HTTP/1.1 200 OK\r\nContent-Le"],
        "a second answer, a little later": lambda answer: [answer, 0.03, response(200, {"path": "/wrong"})],
        "a stray byte": lambda answer: [answer + b"x"],
    }

    @pytest.mark.parametrize("name", _TOO_MUCH)
    def test_unexpected_bytes_close_the_connection(
        self, server: RawServer, new_transport: TransportFactory, name: str
    ) -> None:
        def answer(request: Received) -> Answer:
            return self._TOO_MUCH[name](response(200, {"path": request.target}))

        server.answer = answer
        transport = new_transport(server.url)
        for number in range(3):
            reply = transport.send(get(str(number)))
            if isinstance(reply, Response):
                assert reply.parsed == {"path": f"/{number}"}
            else:  # aiohttp treats a stray byte as an error of the previous answer
                assert (name, reply.sent, new_transport.keeps_connections) == ("a stray byte", True, False)
            time.sleep(0.08)
        assert server.connections == 3

    def test_forbidden_body_closes_the_connection(self, server: RawServer, new_transport: NewTransport) -> None:
        server.answer = lambda request: b"HTTP/1.1 204 No Content\r\n\r\n" + response(200, {"path": "/wrong"})
        self.ask_thrice(server, new_transport, "DELETE")
        assert server.connections == 3

    def test_well_formed_answers_keep_the_connection_open(
        self, server: RawServer, new_transport: TransportFactory
    ) -> None:
        chunked = [head(_CHUNKED, "X: y") + b"%x;ext=1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(JSON), JSON)]
        same_twice = head(f"Content-Length: {len(JSON)}", f"Content-Length: {len(JSON)}") + JSON
        deflated = zlib.compressobj(wbits=-15)
        answers: list[Answer] = [
            response(200, JSON),
            chunked,
            zipped(gzip.compress(JSON)),
            zipped(gzip.compress(JSON[:9]) + gzip.compress(JSON[9:])),
            zipped(zlib.compress(JSON), "deflate"),
            zipped(deflated.compress(JSON) + deflated.flush(), "deflate"),
            zipped(JSON, "identity"),
        ]
        if new_transport.keeps_connections:  # aiohttp refuses it, which is also right
            answers.append(same_twice)
        told = iter(answers)
        server.answer = lambda request: next(told)
        transport = new_transport(server.url)
        for _ in answers:
            reply = transport.send(get())
            assert isinstance(reply, Response)
            assert reply.body == JSON
        assert server.connections == (1 if new_transport.keeps_connections else len(answers))


class TestTime:
    """A request ends after one timeout without a byte, and after five timeouts in any case."""

    TIMEOUT = 0.2

    @staticmethod
    def dripped(first: bytes, drop: bytes) -> Iterator[Part]:
        yield first
        for _ in itertools.repeat(None):
            yield 0.03
            yield drop

    @pytest.mark.parametrize(
        ("first", "drop"),
        [
            (head("Content-Length: 1000000"), b"x"),
            (head(), b"x"),
            (head(_CHUNKED), b"1\r\nx\r\n"),
            (head(_CHUNKED) + b"ffff\r\n", b"x"),
            (OK, b"X: y\r\n"),
            (OK + b"X-Long: ", b"y"),
            (b"", b"H"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x"),
        ],
        ids=["body", "body to the end", "chunks", "chunk", "headers", "header", "status", "100", "103"],
    )
    def test_dripped_answer_is_cut_off(
        self, server: RawServer, new_transport: NewTransport, first: bytes, drop: bytes
    ) -> None:
        server.answer = lambda request: self.dripped(first, drop)
        started = time.monotonic()
        reply = new_transport(server.url, timeout=self.TIMEOUT).send(write())
        took = time.monotonic() - started
        assert isinstance(reply, Lost)
        assert (reply.sent, len(server.requests)) == (True, 1)
        assert took < TOTAL_TIMEOUTS * self.TIMEOUT + 1.5
        if drop != b"H" and not drop.startswith(b"HTTP/1.1 103"):
            assert reply.kind == "timeout"
            assert "not complete after 1 s in all" in reply.detail
            assert took > TOTAL_TIMEOUTS * self.TIMEOUT - 0.1

    def test_endless_interim_responses_are_cut_off(self, server: RawServer, new_transport: NewTransport) -> None:
        server.answer = lambda request: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        started = time.monotonic()
        reply = new_transport(server.url, timeout=self.TIMEOUT).send(write())
        assert isinstance(reply, Lost)
        assert reply.sent
        assert time.monotonic() - started < 3

    def test_silence_is_cut_off_after_one_timeout(self, server: RawServer, new_transport: NewTransport) -> None:
        answers: list[list[Part]] = [[9.0], [OK, 9.0], [head("Content-Length: 9"), 9.0]]
        for answer in answers:
            server.answer = partial(lambda parts, request: parts, answer)
            started = time.monotonic()
            reply = new_transport(server.url, timeout=self.TIMEOUT).send(write())
            assert isinstance(reply, Lost)
            assert (reply.kind, reply.sent) == ("timeout", True)
            assert time.monotonic() - started < 0.7

    def test_slow_answer_within_the_limit_is_accepted(self, server: RawServer, new_transport: NewTransport) -> None:
        server.answer = lambda request: [response(200, JSON)[:-4], 0.15, JSON[-4:-2], 0.15, JSON[-2:]]
        reply = new_transport(server.url, timeout=self.TIMEOUT).send(get())
        assert isinstance(reply, Response)
        assert reply.body == JSON

    def test_error_names_the_time_limit(
        self, server: RawServer, connect: Connect, sandbox: Sandbox, waits: list[float]
    ) -> None:
        server.answer = lambda request: self.dripped(head("Content-Length: 1000000"), b"x")
        hook = connect(sandbox, host=server.url, port=None, extra={"timeout": 0.1, "max_retries": 1})
        with pytest.raises(TallyfyUnreachableError, match=r"the answer timed out.*not complete after 0\.5 s in all"):
            hook.get_current_user()
        assert len(server.requests) == 2


class TestSize:
    """An answer over 64 MiB, before or after decompression, is lost, and takes no more memory than about that."""

    MANY = b" " * (1 << 20)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_compressed_bomb(self, server: RawServer, new_transport: NewTransport, coding: str) -> None:
        pack = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
        bomb = b"".join([*(pack.compress(self.MANY) for _ in range(400)), pack.flush()])
        assert len(bomb) < 500_000
        server.answer = lambda request: zipped(bomb, coding)
        transport = new_transport(server.url)
        tracemalloc.start()
        try:
            reply = transport.send(write())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(reply, Lost)
        assert (reply.sent, len(server.requests)) == (True, 1)
        assert "larger than 64 MiB" in reply.detail
        assert peak < 3 * MAX_RESPONSE_BYTES

    @pytest.mark.parametrize(
        "start",
        [head(), head(_CHUNKED) + b"1000000\r\n", head("Content-Length: 80000000")],
        ids=["end", "chunk", "length"],
    )
    def test_large_body(self, server: RawServer, new_transport: NewTransport, start: bytes) -> None:
        def answer(request: Received) -> Iterator[Part]:
            yield start
            for number in range(80):
                yield self.MANY + (b"\r\n1000000\r\n" if b"chunked" in start and number % 16 == 15 else b"")
            yield CLOSE

        server.answer = answer
        reply = new_transport(server.url).send(write())
        assert isinstance(reply, Lost)
        assert reply.sent
        assert "larger than 64 MiB" in reply.detail

    def test_error_names_the_size_limit(self, server: RawServer, connect: Connect, sandbox: Sandbox) -> None:
        server.answer = lambda request: head(f"Content-Length: {10**9}")
        hook = connect(sandbox, host=server.url, port=None, extra={"max_retries": 0})
        with pytest.raises(TallyfyUnreachableError, match=r"the answer is larger than 64 MiB"):
            hook.get_current_user()


class TestNothingWasSent:
    """Failures before the first byte are distinguished from failures after which the request may have been done."""

    def test_closed_port(self, new_transport: NewTransport) -> None:
        with create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        reply = new_transport(url).send(write())
        assert isinstance(reply, Lost)
        assert (reply.kind, reply.sent) == ("refused", False)

    def test_unknown_host_name(self, new_transport: NewTransport) -> None:
        reply = new_transport("https://nowhere.invalid").send(write())
        assert isinstance(reply, Lost)
        assert (reply.kind, reply.sent) == ("dns", False)

    @pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
    def test_server_without_tls(self, new_transport: NewTransport, said: bytes) -> None:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        with create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, daemon=True).start()
            reply = new_transport(f"https://127.0.0.1:{listener.getsockname()[1]}").send(write())
        assert isinstance(reply, Lost)
        assert not reply.sent
        assert reply.kind in {"tls", "cut"}

    @pytest.mark.parametrize("said", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"", b"gibberish\r\n\r\n"])
    def test_proxy_that_refuses_the_tunnel(self, server: RawServer, new_transport: NewTransport, said: bytes) -> None:
        server.answer = lambda request: [said, CLOSE]
        proxy = server.url.replace("//", "//me:hid%2Fden@")
        reply = new_transport("https://tallyfy.invalid", proxies={"https": proxy}).send(write())
        assert isinstance(reply, Lost)
        assert not reply.sent
        assert [request.method for request in server.requests] == ["CONNECT"]
        assert TOKEN.encode() not in server.requests[0].raw
        assert "hid" not in reply.detail

    @pytest.mark.parametrize("proxy", ["http://", "nonsense://p:1", "http://p:99999", "http://[::1", "socks9://p:1"])
    def test_bad_proxy_url(self, new_transport: NewTransport, proxy: str) -> None:
        with pytest.raises(TallyfyConfigurationError, match=r"proxies.*Nothing was sent"):
            new_transport("https://tallyfy.invalid", proxies={"https": proxy}).send(write())

    @pytest.mark.parametrize(
        "request_",
        [
            Request("PUT", ("x",), json={"x": float("nan")}),
            Request("PUT", ("x",), json={"x": {1, 2}}),
            Request("GET", ("\ud800",)),
            Request("GET", ("x",), params=(("q", "\udfff"),)),
        ],
        ids=["NaN", "a set", "half a character", "half a character in the query"],
    )
    def test_values_that_cannot_be_sent(
        self, server: RawServer, new_transport: NewTransport, request_: Request
    ) -> None:
        with pytest.raises(TallyfyArgumentError):
            new_transport(server.url).send(request_)
        assert server.requests == []

    def test_nested_too_deeply(self, server: RawServer, new_transport: NewTransport) -> None:
        nested: list[object] = []
        for _ in range(200_000):
            nested = [nested]
        with pytest.raises(TallyfyArgumentError, match="can't be sent as JSON"):
            new_transport(server.url).send(Request("PUT", ("x",), json=nested))
        assert server.requests == []


def test_tls_error_after_the_request_is_a_lost_answer(new_transport: NewTransport, tmp_path: Path) -> None:
    """A TLS error says nothing about whether the request was carried out."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    received: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as stream:
            received.append(stream.recv(65536))
            os.write(stream.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record that nobody can decrypt
            time.sleep(0.2)

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        reply = new_transport(url, verify=str(pem)).send(write())
        thread.join()
    assert received[0].startswith(b"DELETE /x ")
    assert isinstance(reply, Lost)
    assert reply.sent
    assert reply.kind in {"cut", "timeout"}


class TestEveryException:
    """Exceptions of every type: an error before bytes were sent names what to check; after that it is a lost answer."""

    TYPES: ClassVar[list[Callable[[], Exception]]] = [
        *(partial(kind, "odd") for kind in (ValueError, TypeError, KeyError, OverflowError, RecursionError)),
        *(partial(kind, "odd") for kind in (AttributeError, AssertionError, RuntimeError, StopIteration)),
        *(partial(kind, "odd") for kind in (MemoryError, zlib.error, EOFError)),
        *(partial(kind, "odd") for kind in (InvalidHeader, LocationParseError, DecodeError, HTTPException)),
        partial(UnicodeEncodeError, "ascii", "ü", 0, 1, "odd"),
        partial(UnicodeDecodeError, "ascii", b"\xff", 0, 1, "odd"),
        partial(OSError, 5, "odd"),
        partial(ssl.SSLError, 1, "odd"),
        partial(TimeoutError, "odd"),
        partial(ConnectionResetError, 104, "odd"),
    ]
    NETWORK = (OSError, HTTPException, DecodeError, InvalidHeader)  # otherwise an address or a setting is wrong

    @pytest.mark.parametrize("make", TYPES, ids=lambda make: str(make.func.__name__))
    def test_exception_after_bytes_were_sent_is_a_lost_answer(
        self, server: RawServer, make: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(self: object) -> None:
            raise make()

        monkeypatch.setattr(BoundedResponse, "begin", broken)
        with closing(RequestsTransport.for_settings(settings_of(server.url))) as transport:
            reply = transport.send(write())
            assert isinstance(reply, Lost)
            assert reply.sent
            monkeypatch.undo()
            assert isinstance(transport.send(get()), Response)
        assert server.connections == 2

    @pytest.mark.parametrize("make", TYPES, ids=lambda make: str(make.func.__name__))
    def test_exception_before_bytes_were_sent_says_that_nothing_was_sent(
        self, server: RawServer, make: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(self: object) -> None:
            raise make()

        monkeypatch.setattr(Bounded, "connect", broken)
        with closing(RequestsTransport.for_settings(settings_of(server.url))) as transport:
            if isinstance(make(), self.NETWORK):
                reply = transport.send(write())
                assert isinstance(reply, Lost)
                assert not reply.sent
            else:
                with pytest.raises(TallyfyConfigurationError, match=r"can't be sent: .*\. Nothing was sent\."):
                    transport.send(write())
        assert server.requests == []
