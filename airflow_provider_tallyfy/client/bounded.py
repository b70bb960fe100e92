"""Kept connections with bounded responses: none can be endless, too large, or taken for the answer to another request.

``http.client`` and ``urllib3`` limit the time of one read, but not of the whole response. They read bodies of any size,
take a 103 for the final response, and pass surplus bytes of one response to the next request. The classes here prevent
that. They extend the connection, and the response and stream that it reads from.
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
SWITCHING_PROTOCOLS = "the server switched to another protocol (101), which was not requested"
_MAX_CHUNK_LINE = 1024


class TooLarge(http.client.HTTPException):
    """The response is larger than :data:`~airflow_provider_tallyfy.client.transport.MAX_RESPONSE_BYTES`."""


class Malformed(http.client.HTTPException):
    """The response is not valid HTTP, or its end is ambiguous."""


def check_framing(codings: list[str] | None, lengths: list[str] | None) -> None:
    """Check the headers that define the end of a response.

    :raises Malformed: if they are invalid or contradictory.
    """
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise Malformed("it has a Transfer-Encoding other than chunked")
    elif lengths:
        values = {length.strip() for line in lengths for length in line.split(",")}
        if len(values) > 1 or not re.fullmatch(r"[0-9]{1,15}", values.pop()):
            raise Malformed("its Content-Length is not one number")


class RequestState(threading.local):
    """The progress of the current request of this thread.

    :ivar sent: whether bytes of it may have been sent to Tallyfy (bytes for a proxy do not count).
    """

    sent = False
    total = float("inf")
    deadline = float("inf")

    def begin(self, seconds: float) -> None:
        """Begin a new request.

        :param seconds: time limit for the whole request.
        """
        self.sent = False
        self.total = seconds
        self.deadline = time.monotonic() + seconds


def use_bounded_connections(manager: PoolManager, state: RequestState) -> None:
    """Make a pool manager, for any kind of proxy, use bounded connections."""
    manager.pool_classes_by_scheme = {
        scheme: _bounded(pool_class, state) for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }


def _bounded(pool_class: Any, state: RequestState) -> Any:
    connection = type(
        f"Bounded{pool_class.ConnectionCls.__name__}", (Bounded, pool_class.ConnectionCls), {"state": state}
    )
    return type(f"Bounded{pool_class.__name__}", (pool_class,), {"ConnectionCls": connection})


class Bounded:
    """Mixin for the connection classes of ``urllib3``."""

    state: RequestState
    sock: Any
    #: Whether there are surplus bytes, which belong to no request.
    has_surplus = False
    _opening = False

    def connect(self) -> None:
        """Connect, through a proxy if there is one."""
        self.has_surplus = False
        self._opening = True
        try:
            super().connect()  # type: ignore[misc]  # the class after this one has it
        finally:
            self._opening = False

    def send(self, data: Any) -> None:
        """Send, and record that bytes were sent."""
        if not self._opening:  # otherwise this is the CONNECT request to the proxy
            if self.sock is None:
                try:
                    self.connect()
                except (BrokenPipeError, ConnectionResetError) as fault:
                    # urllib3 ignores these errors while sending, because there may be an answer nevertheless.
                    raise ConnectionRefusedError(str(fault)) from fault
            self.state.sent = True
        super().send(data)  # type: ignore[misc]  # as above

    @property
    def is_connected(self) -> bool:
        """Whether it can be reused: it is open, and has no surplus bytes, which would look like the next answer."""
        pending = getattr(self.sock, "pending", None)
        surplus = self.has_surplus or (pending and pending())
        return not surplus and super().is_connected  # type: ignore[misc]  # as above

    @property
    def response_class(self) -> Any:
        """The class that ``http.client`` reads a response with."""
        return partial(BoundedResponse, connection=self)


class _Stream(io.RawIOBase):
    """The bytes of one response, within the limits for time and size."""

    def __init__(self, raw: io.RawIOBase, connection: Any) -> None:
        self._raw = raw
        self._sock = connection.sock
        self._read_timeout = self._sock.gettimeout()
        self._total, self._deadline = connection.state.total, connection.state.deadline
        self._left = MAX_RESPONSE_BYTES
        #: Whether the server has closed the connection.
        self.at_eof = False
        #: Whether the response was read: no more bytes are read from the socket.
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        remaining = self._deadline - time.monotonic()
        last = self._read_timeout is None or remaining < self._read_timeout
        if last:
            if remaining <= 0:
                raise self._late()
            self._sock.settimeout(remaining)
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            raise self._late() if last else TimeoutError(f"no data for {self._read_timeout:g} s") from None
        self.at_eof = count == 0
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
    """Buffers the stream. After the response, it marks the connection if there are surplus bytes."""

    def __init__(self, stream: _Stream, connection: Any) -> None:
        super().__init__(stream)
        self._stream = stream
        self._connection = connection

    def close(self) -> None:
        if not self.closed:
            self._stream.ended = True
            if self.peek(1):
                self._connection.has_surplus = True
        super().close()


class BoundedResponse(http.client.HTTPResponse):
    """A response with limits for time and size, and with an unambiguous end."""

    def __init__(self, sock: Any, *args: Any, connection: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._stream = _Stream(self.fp.detach(), connection)
        self.fp = _Reader(self._stream, connection)

    def begin(self) -> None:
        """Read status and headers, skipping interim responses (1xx). ``http.client`` itself skips only 100."""
        for _ in range(MAX_INTERIM_RESPONSES):
            super().begin()
            if self._stream.at_eof:  # http.client takes the end of the connection for the end of the headers
                raise Malformed("the connection was closed within its headers")
            if self.status >= 200:
                break
            if self.status == 101:
                raise Malformed(SWITCHING_PROTOCOLS)
            self.headers = None  # type: ignore[assignment]  # means "not begun"
        else:
            raise Malformed(f"more than {MAX_INTERIM_RESPONSES} interim responses (1xx)")
        check_framing(self.headers.get_all("transfer-encoding"), self.headers.get_all("content-length"))
        if self.length and self.length > MAX_RESPONSE_BYTES:
            raise TooLarge(TOO_LARGE)

    def _read_next_chunk_size(self) -> int:
        # http.client accepts "-1", and then reads until the connection ends.
        line = self.fp.readline(_MAX_CHUNK_LINE + 1)
        digits = line.split(b";", 1)[0].strip()
        if not line.endswith(b"\n") or not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            self.close()
            raise Malformed("one of its chunks has no valid length")
        if int(digits, 16) > MAX_RESPONSE_BYTES:
            self.close()
            raise TooLarge(TOO_LARGE)
        return int(digits, 16)
