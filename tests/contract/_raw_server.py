"""A server on loopback that sends exactly the bytes that a test gives it.

::

    with RawServer(lambda request: response(200, {"data": {"id": "1"}})) as server:
        requests.get(server.url)
        assert server.requests[0].method == "GET"

    server.answer = lambda request: [b"HTTP/1.1 200 OK\\r\\n", 0.2, b"Content-Length: 5\\r\\n\\r\\nab", Cut.RESET]

An answer is bytes, or a sequence of parts: bytes, seconds to wait, and ``Cut``. A generator can send without end.
Without a ``Cut`` the connection stays open for the next request, whatever the bytes were.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# A test may replace time.sleep(), but the server's waits are real.
_sleep = time.sleep


class Cut(Enum):
    """How the server closes a connection."""

    CLOSE = "close"
    RESET = "reset"


Part = bytes | float | Cut
Answer = bytes | Iterable[Part]


@dataclass(frozen=True)
class Request:
    """One request, as received.

    :param raw: all of its bytes.
    :param target: path and query.
    :param headers: by lower-case name.
    :param connection: number of the connection, from 0.
    """

    raw: bytes
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}


def response(status: int | str = 200, body: object = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a well-formed response, which tests use unchanged or corrupt.

    :param status: a code, or code and reason.
    :param body: bytes; anything else is sent as JSON.
    :param headers: additional headers, or replacements of ``Content-Type`` and ``Content-Length``.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status}{'' if isinstance(status, str) else ' OK'}", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


@dataclass
class RawServer:
    """Listens on 127.0.0.1, with a thread for each connection.

    :param answer: returns the answer to a request. Called in the connection's thread; can be assigned at any time.
    :ivar requests: all requests so far, in order of arrival.
    :ivar connections: number of connections so far.
    """

    answer: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> RawServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="raw-server", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    @property
    def port(self) -> int:
        """The port of the server."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def cut_all(self) -> None:
        """Close every open connection."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(connection, number), name="raw-server", daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as stream, suppress(OSError, ValueError):
                while (request := _read(stream, number)) is not None:
                    self.requests.append(request)
                    if not _send(connection, self.answer(request)):
                        return
        finally:
            with self._lock:
                self._open.discard(connection)


def _read(stream: Any, number: int) -> Request | None:
    head = [stream.readline()]
    if not head[0]:
        return None
    while (line := stream.readline()) not in {b"\r\n", b"\n", b""}:
        head.append(line)
    pairs = (text.decode("latin-1").partition(":") for text in head[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = stream.read(int(headers.get("content-length", "0")))
    method, target = (*head[0].decode("latin-1").split(" "), "")[:2]
    return Request(b"".join([*head, b"\r\n", body]), method, target, headers, body, number)


def _send(connection: socket.socket, answer: Answer) -> bool:
    """Send an answer; return whether the connection stays open."""
    for part in [answer] if isinstance(answer, bytes) else answer:
        if isinstance(part, bytes):
            connection.sendall(part)
        elif isinstance(part, float | int):
            _sleep(part)
        else:
            if part is Cut.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(socket.SHUT_RDWR)
            return False
    return True
