"""The raw server sends exactly the bytes that a test gives it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.contract._raw_server import Cut, Part, RawServer, response


def test_answers_are_sent_as_they_are_over_one_connection() -> None:
    with RawServer(lambda request: response(200, {"target": request.target})) as server, requests.Session() as session:
        session.trust_env = False
        said = [session.post(f"{server.url}/{n}", data=b"x" * n).json()["target"] for n in range(3)]
        assert said == ["/0", "/1", "/2"]
        assert [len(request.body) for request in server.requests] == [0, 1, 2]
        assert (server.connections, {request.method for request in server.requests}) == (1, {"POST"})


def test_parts_are_sent_one_after_the_other_until_the_cut() -> None:
    def parts() -> Iterator[Part]:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"
        yield 0.05
        yield b"not even HTTP"
        yield Cut.CLOSE
        yield b"never sent"

    with RawServer(lambda request: parts()) as server:
        started = time.monotonic()
        assert _said(server, b"BREW /\xff HTTP/1.1\r\nX: y\r\n\r\n").endswith(b"\r\n\r\nnot even HTTP")
        assert time.monotonic() - started >= 0.05
        [request] = server.requests
        assert (request.method, request.headers, request.is_write) == ("BREW", {"x": "y"}, True)


def test_reset_differs_from_an_orderly_close() -> None:
    answer: list[Part] = [b"HTTP/1.1 200 OK\r\n", 0.01, Cut.RESET]
    with RawServer(lambda request: answer) as server, pytest.raises(ConnectionResetError):
        _said(server, b"GET / HTTP/1.1\r\n\r\n")


def _said(server: RawServer, raw: bytes) -> bytes:
    said = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(raw)
        while part := link.recv(1000):
            said += part
    return said
