"""A request to make, what can come back, and the one place that unpacks it: what transports and rules share."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

Param = str | int | float | bool

#: What the answer to a request must hold: anything that is JSON, one object that says who it is, or a page of them.
Expects = Literal["json", "object", "list"]


@dataclass(frozen=True)
class Pause:
    """A wait before a request is sent, because what it reads may not be shown yet.

    :param seconds: how long.
    :param reason: why, for the log.
    """

    seconds: float
    reason: str


@dataclass(frozen=True)
class Request:
    """One request to the Tallyfy API, and what a success has to name to be taken for its answer.

    :param method: HTTP method, upper case.
    :param segments: the path below the base URL, one item per segment, not yet percent-encoded.
    :param params: query parameters in order; ``bool`` is written as ``true`` / ``false``.
    :param json: JSON body, or ``None`` for no body.
    :param expects: what its answer must hold.
    :param identity: the ``id`` that the object in its answer must have; ``None`` = any id.
    :param after: the exchange that this request repeats, because a read has shown that it was not carried out.
    :param pause: what is waited before it is sent for the first time.
    """

    method: str
    segments: tuple[str, ...]
    params: tuple[tuple[str, Param], ...] = ()
    json: Any = None
    expects: Expects = "json"
    identity: str | None = None
    after: Exchange | None = field(default=None, compare=False, repr=False)
    pause: Pause | None = field(default=None, compare=False, repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice leaves the same state as doing it once (Tallyfy has no idempotency key)."""
        return self.method in {"GET", "HEAD", "PUT", "DELETE"}

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method in {"GET", "HEAD"}

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
        """Method and path for log lines and errors; the organization is ``{org}``, for it is the same everywhere."""
        if self.segments[:1] != ("organizations",) or len(self.segments) < 2:
            return f"{self.method} /{'/'.join(self.segments)}"
        if len(self.segments) > 3 or (len(self.segments) == 3 and self.segments[2] != "me"):
            return f"{self.method} /{'/'.join(self.segments[2:])}"
        return f"{self.method} /{'/'.join(('organizations', '{org}', *self.segments[2:]))}"


class Unreadable(Exception):
    """A success whose body is no answer to the request. The text says what came instead."""


@dataclass(frozen=True)
class Response:
    """A complete HTTP response.

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
        """The body as JSON, parsed once; ``None`` for an empty one.

        :raises Unreadable: when it is not JSON (``NaN`` is none), or nested too deeply.
        """
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body, parse_constant=_refuse_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type").split(";")[0]
            what = "an HTML page" if "html" in kind else f"{len(self.body)} bytes of {kind} that are not JSON"
            raise Unreadable(f"answered with {what}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number too large for JSON that others can read")
    return number


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
    :param doubt: the last earlier reply that leaves open whether its attempt was carried out; ``None`` = there is none.
    """

    request: Request
    reply: Reply
    attempts: int = 1
    doubt: Reply | None = None

    @property
    def ok(self) -> bool:
        """Whether the last reply is a 2xx and an answer to this request."""
        return isinstance(self.reply, Response) and self.reply.ok and not self.unreadable

    @property
    def status(self) -> int | None:
        """Status of the last reply, ``None`` if it was lost."""
        return self.reply.status if isinstance(self.reply, Response) else None

    @property
    def maybe_done(self) -> bool:
        """Whether any attempt may have been carried out although no attempt was seen to succeed."""
        return self.doubt is not None or may_have_happened(self.request, self.reply)

    @cached_property
    def unreadable(self) -> str:
        """What came instead of an answer to this request, where the last reply is a 2xx; else empty."""
        return why_unreadable(self.request, self.reply)

    @property
    def value(self) -> Any:
        """What a successful reply holds: JSON, an object, or a :class:`Page`; ``None`` where a write's is empty.

        :raises Unreadable: if it is no answer to this request.
        """
        assert isinstance(self.reply, Response)
        return unpack(self.request, self.reply)


def may_have_happened(request: Request, reply: Reply) -> bool:
    """Whether a request with this reply may have changed something.

    It may when the answer was lost on its way back, after a 5xx or 408, and when what came back is no answer to it.
    """
    if isinstance(reply, Lost):
        return reply.sent
    return gave_up(reply.status) or bool(why_unreadable(request, reply))


def gave_up(status: int) -> bool:
    """Whether a status tells of a server's or proxy's trouble, and nothing about the request.

    408 is among them: a proxy says so when it has waited too long, as it does with 504. So is a 1xx
    that nothing follows.
    """
    return status >= 500 or status == 408 or status < 200


# -- the one place that unpacks a body ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param rows: its objects; each has an ``id``.
    :param total_pages: how many pages there are; ``None`` where the server says nothing.
    :param total: how many rows there are in all; ``None`` where the server says nothing.
    :param per_page: how many rows a full page holds; ``None`` where the server says nothing.
    :param more: whether the server names a next page; only asked where ``total_pages`` is missing.
    """

    rows: list[dict[str, Any]]
    total_pages: int | None = None
    total: int | None = None
    per_page: int | None = None
    more: bool = False


def unpack(request: Request, response: Response) -> Any:
    """Return what a success holds: JSON, one object, or a page of objects, as the request expects.

    ``{"data": ...}`` around it is taken off. An object is an answer only if it says who it is, and is the one that was
    asked for. To a write, an empty body (or PHP's empty object, ``[]``) is an answer that says nothing: ``None``.

    :raises Unreadable: for anything else: a web page, no JSON, an object without an id, or somebody else's.
    """
    body = response.parsed
    if request.expects == "json":
        return body
    if request.expects == "list":
        return _page(request, body)
    data = body.get("data", body) if isinstance(body, Mapping) else body
    if not data and (data is None or isinstance(data, (list, Mapping))):
        if request.reads:
            raise Unreadable("answered with nothing where one object was expected")
        return None
    if not isinstance(data, Mapping):
        raise Unreadable(f"answered with a JSON {type(data).__name__} where one object was expected")
    named = data.get("id")
    if not _is_id(named):
        raise Unreadable("answered with an object that has no id")
    if request.identity is not None and str(named).casefold() != request.identity.casefold():
        raise Unreadable(f"answered with {str(named)[:40]!r}, which is not what was asked for")
    return dict(data)


def why_unreadable(request: Request, reply: Reply) -> str:
    """Say in which way a 2xx is no answer to a request; empty where it is one, and for any other reply."""
    if isinstance(reply, Lost) or not reply.ok:
        return ""
    try:
        unpack(request, reply)
    except Unreadable as fault:
        return str(fault)
    return ""


def related(value: Any) -> list[Any] | None:
    """Rows of an included relation, wrapped (``{"data": [...]}``) or plain; ``None`` if it is neither."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), list):
        value = value["data"]
    return list(value) if isinstance(value, list) else None


def whole_number(value: Any) -> int | None:
    """Read a count or a relation's number, of at most 18 digits, given as a number or as digits; else ``None``."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18 else None


def _page(request: Request, body: Any) -> Page:
    """Read a page.

    ``links`` is an object, ``[]``, ``null`` or absent, depending on the page; its addresses are never used, because
    they name Tallyfy's public host whatever host was asked.
    """
    rows = body.get("data") if isinstance(body, Mapping) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("answered with JSON that is not a list of objects")
    if not all(_is_id(row.get("id")) for row in rows):
        raise Unreadable("answered with a list of objects of which some have no id")
    meta = body.get("meta") if isinstance(body, Mapping) else None
    pagination = meta.get("pagination") if isinstance(meta, Mapping) else None
    if not isinstance(pagination, Mapping):
        return Page(rows)
    asked = dict(request.params).get("page")
    number = _count(pagination, "current_page")
    if asked is not None and number is not None and number != asked:
        raise Unreadable(f"answered with page {number} where page {asked} was asked for")
    links = pagination.get("links")
    return Page(
        rows,
        total_pages=_count(pagination, "total_pages"),
        total=_count(pagination, "total"),
        per_page=_count(pagination, "per_page"),
        more=isinstance(links, Mapping) and bool(links.get("next")),
    )


def _count(pagination: Mapping[str, Any], name: str) -> int | None:
    """A count, as a number or its digits; ``None`` where it is not given, for which nothing else must pass."""
    value = pagination.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    number = whole_number(value)
    if number is None:
        raise Unreadable(f"answered with a list whose {name} is not a whole number")
    return number


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18


T = TypeVar("T")
Flow = Generator[Request, Exchange, T]
"""A flow of requests that ends in a ``T``: yields requests, is sent exchanges."""

Rows = Sequence[Mapping[str, Any]]
