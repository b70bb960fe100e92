"""A request to make, and what can come back: the only shapes that a transport and the rules share."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

Param = str | int | float | bool


@dataclass(frozen=True)
class Request:
    """One request to the Tallyfy API.

    :param method: HTTP method, upper case.
    :param segments: the path below the base URL, one item per segment, not yet percent-encoded.
    :param params: query parameters in order; ``bool`` is written as ``true`` / ``false``.
    :param json: JSON body, or ``None`` for no body.
    """

    method: str
    segments: tuple[str, ...]
    params: tuple[tuple[str, Param], ...] = ()
    json: Any = None

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice leaves the same state as doing it once (Tallyfy has no idempotency key)."""
        return self.method in {"GET", "HEAD", "PUT", "DELETE"}

    @property
    def path(self) -> str:
        """The path below the base URL, percent-encoded segment by segment."""
        return "/" + "/".join(quote(segment, safe="") for segment in self.segments)

    @property
    def target(self) -> str:
        """Path and query. A space is ``%20``: Tallyfy does not decode ``+`` (its own SDK says so)."""
        if not self.params:
            return self.path
        pairs = [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in self.params]
        return f"{self.path}?{urlencode(pairs, quote_via=quote)}"

    @property
    def label(self) -> str:
        """Method and path without the organization, for log lines and errors."""
        shown = (
            self.segments[2:] if self.segments[:1] == ("organizations",) and len(self.segments) > 2 else self.segments
        )
        return f"{self.method} /{'/'.join(shown)}"


@dataclass(frozen=True)
class Response:
    """A complete HTTP answer.

    :param status: HTTP status code.
    :param headers: header names in lower case.
    :param body: the raw body, complete.
    :param received_at: when it came, seconds since the epoch (the rules have no clock of their own).
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_at: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def parsed(self) -> Any:
        """The body as JSON, parsed once: both the retry policy and the reader of the answer look at it.

        :raises ValueError: when it is not JSON.
        :raises RecursionError: when it is nested too deeply.
        """
        return json.loads(self.body)


LostKind = Literal["dns", "refused", "tls", "proxy", "connect-timeout", "timeout", "cut"]


@dataclass(frozen=True)
class Lost:
    """No complete answer came.

    :param kind: what went wrong on the way.
    :param detail: the transport's own words, one bounded line without secrets.
    :param sent: whether bytes of the request may have reached Tallyfy, so that it may have acted.
    """

    kind: LostKind
    detail: str
    sent: bool


Reply = Response | Lost


@dataclass(frozen=True)
class Exchange:
    """What came of a request in the end, all repetitions included.

    :param request: the request.
    :param reply: the last reply.
    :param attempts: how many times it was sent.
    :param doubt: whether an attempt before the last one may have been carried out unseen.
    """

    request: Request
    reply: Reply
    attempts: int = 1
    doubt: bool = False

    @property
    def ok(self) -> bool:
        """Whether the last reply is a 2xx."""
        return isinstance(self.reply, Response) and self.reply.ok

    @property
    def status(self) -> int | None:
        """Status of the last reply, ``None`` if it was lost."""
        return self.reply.status if isinstance(self.reply, Response) else None

    @property
    def maybe_done(self) -> bool:
        """Whether any attempt may have been carried out although no attempt was seen to succeed."""
        return self.doubt or may_have_happened(self.reply)


def may_have_happened(reply: Reply) -> bool:
    """Whether a request with this reply may have changed something: lost on the way back, 5xx or 408."""
    return reply.sent if isinstance(reply, Lost) else gave_up(reply.status)


def gave_up(status: int) -> bool:
    """Whether a status tells of a server's or proxy's trouble, and nothing about the request.

    408 is among them: a proxy says so when it has waited too long, as it does with 504.
    """
    return status >= 500 or status == 408


T = TypeVar("T")
Flow = Generator[Request, Exchange, T]
"""A flow of requests that ends in a ``T``: yields calls, is sent exchanges."""

Rows = Sequence[Mapping[str, Any]]
