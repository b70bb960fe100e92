"""Sends responses as raw bytes: in which pieces, and when."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.client import responses

from aiohttp import web

# A response before it is encoded: status, headers, body.
RawAnswer = tuple[int, Mapping[str, str], bytes]
# Bytes to send, and the seconds to wait afterwards.
Piece = tuple[bytes, float]
Sender = Callable[[RawAnswer], Iterator[Piece]]

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}


def head(raw: RawAnswer, *lengths: int) -> bytes:
    """Encode status line and headers.

    :param lengths: values of ``Content-Length``, one header each; by default the body's true length.
    """
    status, headers, body = raw
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines += [f"{name}: {value}" for name, value in (headers or JSON).items()]
    lines += [f"Content-Length: {length}" for length in lengths or (len(body),)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _reason(status: int) -> str:
    return responses.get(status, "Unknown")


def half(raw: RawAnswer) -> Iterator[Piece]:
    """Announce the whole body and send half of it."""
    status, headers, body = raw
    body = body or b'{"data":{}}'
    yield head((status, headers, body)) + body[: len(body) // 2], 0.0


def two_lengths(raw: RawAnswer) -> Iterator[Piece]:
    """Announce two lengths of the body: the real one and another one."""
    body = raw[2]
    yield head(raw, len(body), len(body) + 7) + body, 0.0


def informational(status: int, count: int) -> Sender:
    """Send ``1xx`` responses before the real one."""

    def send(raw: RawAnswer) -> Iterator[Piece]:
        early = f"HTTP/1.1 {status} {_reason(status)}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
        # A separate piece, because a client may read the rest only with its next request.
        yield early * count, 0.02
        yield head(raw) + raw[2], 0.0

    return send


def endless_continue(seconds: float) -> Sender:
    """Send ``100 Continue`` repeatedly, and nothing else."""

    def send(raw: RawAnswer) -> Iterator[Piece]:
        while True:
            yield b"HTTP/1.1 100 Continue\r\n\r\n", seconds

    return send


def dripped_head(seconds: float) -> Sender:
    """Send the status line at once, then the headers byte by byte, then the body."""

    def send(raw: RawAnswer) -> Iterator[Piece]:
        line, end, rest = head(raw).partition(b"\r\n")
        yield line + end, seconds
        for number in range(len(rest)):
            yield rest[number : number + 1], seconds
        if raw[2]:
            yield raw[2], 0.0

    return send


def dripped_body(seconds: float, padding: int) -> Sender:
    """Send the headers at once, then the body byte by byte."""

    def send(raw: RawAnswer) -> Iterator[Piece]:
        # White space after a JSON value does not change it.
        body = raw[2] + b" " * padding
        yield head(raw, len(body)), seconds
        for number in range(len(body)):
            yield body[number : number + 1], seconds

    return send


def gzipped(raw: RawAnswer, size: int) -> RawAnswer:
    """Compress the response, with enough white space after its JSON to decompress to ``size`` bytes."""
    status, headers, body = raw
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(body)]
    left, block = size - len(body), b" " * 1_000_000
    while left > 0:
        parts.append(packer.compress(block[: min(left, len(block))]))
        left -= len(block)
    return status, {**(headers or JSON), "Content-Encoding": "gzip"}, b"".join([*parts, packer.flush()])


class PiecewiseResponse(web.Response):
    """A response that is written to the socket directly, because aiohttp sends only well-formed ones.

    :param pieces: the pieces to send.
    :param closes: close the connection afterwards; otherwise it is ready for the next request.
    """

    def __init__(self, pieces: Iterator[Piece], closes: bool) -> None:
        super().__init__()
        self.pieces = pieces
        self.closes = closes

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return not self.closes

    async def transmit(self, request: web.BaseRequest, before_last: Callable[[], None]) -> bool:
        """Send all pieces, unless the client disconnects.

        :param before_last: called before the last piece, so that the request is recorded as answered when the client
            has the whole response.
        :returns: whether all pieces were sent.
        """
        transport = request.transport
        waiting: Piece | None = None
        for piece in self.pieces:
            if waiting is not None:
                if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing():
                    return False
                transport.write(waiting[0])
                await asyncio.sleep(waiting[1])
            waiting = piece
        if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing() or waiting is None:
            return False
        before_last()
        transport.write(waiting[0])
        if self.closes:
            transport.close()
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing, because everything was sent already."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing, because everything was sent already."""
