"""Kept connections on which no answer can be endless, too large, or taken for the answer to another request.

``http.client`` and ``urllib3`` bound the time of one read, not of all; read bodies of any size; take a 103 for the
final answer; and leave what a server sent too much to the next request. The classes here are put between: a connection,
and the response and stream that it reads by.
"""

from __future__ import annotations

import http.client
import io
import re
import threading
import time
from functools import partial
from typing import Any

from urllib3 import PoolManager

from airflow_provider_tallyfy.client.transport import MAX_RESPONSE_BYTES

MAX_INTERIM_RESPONSES = 20
TOO_LARGE = f"the answer is larger than {MAX_RESPONSE_BYTES // 1024 // 1024} MiB"
_MAX_CHUNK_LINE = 1024


class TooLarge(http.client.HTTPException):
    """The response has more bytes than a response may have."""


class Malformed(http.client.HTTPException):
    """Nobody can tell where the response ends, or what it is."""


def check_framing(codings: list[str] | None, lengths: list[str] | None) -> None:
    """Check the headers that say where a response ends.

    :raises Malformed: if they do not.
    """
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise Malformed("it has a Transfer-Encoding other than chunked")
    elif lengths:
        values = {length.strip() for line in lengths for length in line.split(",")}
        if len(values) > 1 or not re.fullmatch(r"[0-9]{1,15}", values.pop()):
            raise Malformed("its Content-Length is no number, or several")


class Wire(threading.local):
    """The request under way in this thread.

    :ivar sent: whether bytes of it may have left for Tallyfy (those for a proxy do not count).
    """

    sent = False
    total = float("inf")
    deadline = float("inf")

    def begin(self, seconds: float) -> None:
        """Begin a request.

        :param seconds: how long it may take in all.
        """
        self.sent = False
        self.total = seconds
        self.deadline = time.monotonic() + seconds


def bound(manager: PoolManager, wire: Wire) -> None:
    """Have a pool manager, of whichever kind of proxy, make bounded connections."""
    manager.pool_classes_by_scheme = {
        scheme: _bounded(pool_class, wire) for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }


def _bounded(pool_class: Any, wire: Wire) -> Any:
    connection = type(
        f"Bounded{pool_class.ConnectionCls.__name__}", (Bounded, pool_class.ConnectionCls), {"wire": wire}
    )
    return type(f"Bounded{pool_class.__name__}", (pool_class,), {"ConnectionCls": connection})


class Bounded:
    """What is put before a connection class of ``urllib3``."""

    wire: Wire
    sock: Any
    #: Whether it holds bytes that belong to no request.
    spoilt = False
    _opening = False

    def connect(self) -> None:
        """Connect, by way of a proxy where there is one."""
        self.spoilt = False
        self._opening = True
        try:
            super().connect()  # type: ignore[misc]  # the class after this one has it
        finally:
            self._opening = False

    def send(self, data: Any) -> None:
        """Send, and note that bytes left."""
        if not self._opening:  # else it is the request to the proxy
            if self.sock is None:
                try:
                    self.connect()
                except (BrokenPipeError, ConnectionResetError) as fault:
                    # urllib3 passes over these where they come from sending, for there may be an answer.
                    raise ConnectionRefusedError(str(fault)) from fault
            self.wire.sent = True
        super().send(data)  # type: ignore[misc]  # as above

    @property
    def is_connected(self) -> bool:
        """Whether it can be used again: open, and without unread bytes, which nobody could tell from an answer."""
        pending = getattr(self.sock, "pending", None)
        return not self.spoilt and not (pending and pending()) and super().is_connected  # type: ignore[misc]  # as above

    @property
    def response_class(self) -> Any:
        """What ``http.client`` reads a response by."""
        return partial(BoundedResponse, connection=self)


class _Stream(io.RawIOBase):
    """The bytes of one response, as long as they come in time and are not too many."""

    def __init__(self, raw: io.RawIOBase, connection: Any) -> None:
        self._raw = raw
        self._sock = connection.sock
        self._patience = self._sock.gettimeout()
        self._total, self._deadline = connection.wire.total, connection.wire.deadline
        self._left = MAX_RESPONSE_BYTES
        #: Whether the other side has closed the connection.
        self.over = False
        #: Whether nothing more is wanted.
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        remaining = self._deadline - time.monotonic()
        last = self._patience is None or remaining < self._patience
        if last:
            if remaining <= 0:
                raise self._late()
            self._sock.settimeout(remaining)
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            raise self._late() if last else TimeoutError(f"nothing came for {self._patience:g} s") from None
        self.over = count == 0
        self._left -= count or 0
        if self._left < 0:
            raise TooLarge(TOO_LARGE)
        return count

    def _late(self) -> TimeoutError:
        return TimeoutError(f"the answer was not complete after {self._total:g} s in all")

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """Reads ahead; tells the connection when a response is over and bytes are left."""

    def __init__(self, stream: _Stream, connection: Any) -> None:
        super().__init__(stream)
        self._stream = stream
        self._connection = connection

    def close(self) -> None:
        if not self.closed:
            self._stream.ended = True
            if self.peek(1):
                self._connection.spoilt = True
        super().close()


class BoundedResponse(http.client.HTTPResponse):
    """A response whose end is known and comes."""

    def __init__(self, sock: Any, *args: Any, connection: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._stream = _Stream(self.fp.detach(), connection)
        self.fp = _Reader(self._stream, connection)

    def begin(self) -> None:
        """Read up to the body, skipping interim responses (1xx), of which ``http.client`` knows 100 alone."""
        for _ in range(MAX_INTERIM_RESPONSES):
            super().begin()
            if self._stream.over:  # http.client takes the end of the connection for the end of the headers
                raise Malformed("the connection was closed within its headers")
            if self.status >= 200:
                break
            if self.status == 101:
                raise Malformed("the server wants to speak another protocol (101), which nobody asked for")
            self.headers = None  # type: ignore[assignment]  # "not begun"
        else:
            raise Malformed(f"more than {MAX_INTERIM_RESPONSES} interim responses (1xx)")
        self._check_framing()

    def _check_framing(self) -> None:
        check_framing(self.headers.get_all("transfer-encoding"), self.headers.get_all("content-length"))
        if self.length and self.length > MAX_RESPONSE_BYTES:
            raise TooLarge(TOO_LARGE)

    def _read_next_chunk_size(self) -> int:
        # http.client takes "-1", and then all that comes until the connection ends.
        line = self.fp.readline(_MAX_CHUNK_LINE + 1)
        digits = line.split(b";", 1)[0].strip()
        if not line.endswith(b"\n") or not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            self.close()
            raise Malformed("a chunk of it has no length")
        if int(digits, 16) > MAX_RESPONSE_BYTES:
            self.close()
            raise TooLarge(TOO_LARGE)
        return int(digits, 16)
