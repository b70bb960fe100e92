"""Answers as bytes on a socket: what is sent, in which pieces, and when."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.client import responses

from aiohttp import web

# One answer before it becomes bytes: status, headers, body.
RawAnswer = tuple[int, Mapping[str, str], bytes]
# Bytes to send and the seconds to wait afterwards.
Piece = tuple[bytes, float]
Sender = Callable[[RawAnswer], Iterator[Piece]]

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}


def head(raw: RawAnswer, *lengths: int) -> bytes:
    """Status line and headers.

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
    """Announce two lengths of the body: the true one and another."""
    body = raw[2]
    yield head(raw, len(body), len(body) + 7) + body, 0.0


def informational(status: int, count: int) -> Sender:
    """Send ``1xx`` answers before the real one."""

    def send(raw: RawAnswer) -> Iterator[Piece]:
        early = f"HTTP/1.1 {status} {_reason(status)}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
        # A piece of its own, for a client may read the rest only with the next request.
        yield early * count, 0.02
        yield head(raw) + raw[2], 0.0

    return send


def endless_continue(seconds: float) -> Sender:
    """Send ``100 Continue`` again and again, and nothing else."""

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
        # White space after a JSON value leaves it what it is.
        body = raw[2] + b" " * padding
        yield head(raw, len(body)), seconds
        for number in range(len(body)):
            yield body[number : number + 1], seconds

    return send


def gzipped(raw: RawAnswer, size: int) -> RawAnswer:
    """The answer, compressed, with so much white space after its JSON that it unpacks to ``size`` bytes."""
    status, headers, body = raw
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(body)]
    left, block = size - len(body), b" " * 1_000_000
    while left > 0:
        parts.append(packer.compress(block[: min(left, len(block))]))
        left -= len(block)
    return status, {**(headers or JSON), "Content-Encoding": "gzip"}, b"".join([*parts, packer.flush()])


class PiecewiseResponse(web.Response):
    """An answer that is written to the socket as it is, past aiohttp, which sends only proper ones.

    :param pieces: what to send.
    :param closes: end the connection afterwards; otherwise it is ready for the next request.
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
        """Send all pieces for as long as the client listens.

        :param before_last: called when only the last piece is left: a client that has all of the answer is to find
            the request recorded as answered.
        :returns: whether all were sent.
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
        """Nothing: all was sent already."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing: all was sent already."""
