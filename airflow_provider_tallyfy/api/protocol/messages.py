"""Requests, replies, and the one place that unpacks a response: what transports and rules share."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

Param = str | int | float | bool

#: What the answer to a request must be: any JSON, one object with an id, or a page of such objects.
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
    """One request to the Tallyfy API, and what its answer must be.

    :param method: HTTP method, upper case.
    :param segments: the path below the base URL, one item per segment, not yet percent-encoded.
    :param params: query parameters in order; a ``bool`` is written as ``true`` or ``false``.
    :param json: JSON body; ``None`` = no body.
    :param expects: what the answer must be.
    :param identity: the ``id`` that the object in the answer must have; ``None`` = any id.
    :param after: the exchange that this request repeats, because a read showed that it was not carried out.
    :param pause: the wait before it is sent for the first time.
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
        """Whether sending it twice has the same effect as sending it once. Tallyfy has no idempotency keys."""
        return self.method in {"GET", "HEAD", "PUT", "DELETE"}

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return self.method in {"GET", "HEAD"}

    @property
    def path(self) -> str:
        """The path below the base URL, percent-encoded segment by segment."""
        return "/" + "/".join(quote(segment, safe="") for segment in self.segments)

    @property
    def target(self) -> str:
        """Path and query. A space becomes ``%20``, because Tallyfy does not decode ``+`` (see its own SDK)."""
        if not self.params:
            return self.path
        pairs = [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in self.params]
        return f"{self.path}?{urlencode(pairs, quote_via=quote)}"

    @property
    def label(self) -> str:
        """Method and path for log lines and errors, without the organization's id, which is the same everywhere."""
        if self.segments[:1] != ("organizations",) or len(self.segments) < 2:
            return f"{self.method} /{'/'.join(self.segments)}"
        if len(self.segments) > 3 or (len(self.segments) == 3 and self.segments[2] != "me"):
            return f"{self.method} /{'/'.join(self.segments[2:])}"
        return f"{self.method} /{'/'.join(('organizations', '{org}', *self.segments[2:]))}"


class Unreadable(Exception):
    """The body of a 2xx response is not an answer to the request. The text says what it is instead."""


@dataclass(frozen=True)
class Response:
    """A complete HTTP response.

    :param status: HTTP status code.
    :param headers: header names in lower case.
    :param body: the complete raw body.
    :param received_at: when it arrived, in seconds since the epoch (``api`` has no clock).
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
        """The body as JSON; ``None`` for an empty body.

        :raises Unreadable: if it is not valid JSON (``NaN`` is not), or is nested too deeply.
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
        raise ValueError("a number too large for a float")
    return number


LostKind = Literal["dns", "refused", "tls", "proxy", "connect-timeout", "timeout", "cut"]


@dataclass(frozen=True)
class Lost:
    """No complete response arrived.

    :param kind: what went wrong in the network.
    :param detail: the transport's error message, one short line without secrets.
    :param sent: whether bytes of the request may have reached Tallyfy, which may have carried it out.
    """

    kind: LostKind
    detail: str
    sent: bool


Reply = Response | Lost


@dataclass(frozen=True)
class Exchange:
    """A request and its last reply, after all repetitions.

    :param request: the request.
    :param reply: the last reply.
    :param attempts: how many times the request was sent.
    :param doubt: the last earlier reply after which the request may have been carried out; ``None`` = there is none.
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
        """Status of the last reply; ``None`` if it was lost."""
        return self.reply.status if isinstance(self.reply, Response) else None

    @property
    def maybe_done(self) -> bool:
        """Whether any attempt may have been carried out, although no reply shows it."""
        return self.doubt is not None or may_have_happened(self.request, self.reply)

    @cached_property
    def unreadable(self) -> str:
        """If the last reply is a 2xx but no answer to this request: what it is instead. Otherwise empty."""
        return why_unreadable(self.request, self.reply)

    @property
    def value(self) -> Any:
        """The content of a successful reply: JSON, an object, or a :class:`Page`; ``None`` for a write's empty answer.

        :raises Unreadable: if the reply is not an answer to this request.
        """
        assert isinstance(self.reply, Response)
        return unpack(self.request, self.reply)


def may_have_happened(request: Request, reply: Reply) -> bool:
    """Whether a request with this reply may have changed something, although the reply is no success.

    It may if the answer was lost after the request was sent, after a 5xx or 408, and if a 2xx is no answer to it.
    """
    if isinstance(reply, Lost):
        return reply.sent
    return gave_up(reply.status) or bool(why_unreadable(request, reply))


def gave_up(status: int) -> bool:
    """Whether a status reports a failure of the server or a proxy, and says nothing about the request.

    408 is one of them: like 504, a proxy sends it after it has waited too long. So is a 1xx without a final response.
    """
    return status >= 500 or status == 408 or status < 200


# -- the one place that unpacks a body ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param rows: its objects; each has an ``id``.
    :param total_pages: how many pages the list has; ``None`` = the server does not say.
    :param total: how many rows the list has; ``None`` = the server does not say.
    :param per_page: how many rows a full page has; ``None`` = the server does not say.
    :param more: whether the server names a next page; used only if ``total_pages`` is missing.
    """

    rows: list[dict[str, Any]]
    total_pages: int | None = None
    total: int | None = None
    per_page: int | None = None
    more: bool = False


def unpack(request: Request, response: Response) -> Any:
    """Return the content of a successful response: JSON, one object, or a page of objects, as the request expects.

    A ``{"data": ...}`` envelope is removed. An object is an answer only if it has an id, and the id that was requested.
    The answer to a write may be empty (or PHP's empty object, ``[]``), and is then ``None``.

    :raises Unreadable: for anything else: a web page, invalid JSON, an object without an id or with another id.
    """
    body = response.parsed
    if request.expects == "json":
        return body
    if request.expects == "list":
        return _page(request, body)
    data = body.get("data", body) if isinstance(body, Mapping) else body
    if not data and (data is None or isinstance(data, (list, Mapping))):
        if request.reads:
            raise Unreadable("answered with an empty body where one object was expected")
        return None
    if not isinstance(data, Mapping):
        raise Unreadable(f"answered with a JSON {type(data).__name__} where one object was expected")
    named = data.get("id")
    if not _is_id(named):
        raise Unreadable("answered with an object that has no id")
    if request.identity is not None and str(named).casefold() != request.identity.casefold():
        raise Unreadable(f"answered with {str(named)[:40]!r}, which is not the requested object")
    return dict(data)


def why_unreadable(request: Request, reply: Reply) -> str:
    """Say why a 2xx is not an answer to a request; empty if it is an answer, and for any other reply."""
    if isinstance(reply, Lost) or not reply.ok:
        return ""
    try:
        unpack(request, reply)
    except Unreadable as fault:
        return str(fault)
    return ""


def related(value: Any) -> list[Any] | None:
    """Return the rows of an included relation, with or without its envelope (``{"data": [...]}``), else ``None``."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), list):
        value = value["data"]
    return list(value) if isinstance(value, list) else None


def whole_number(value: Any) -> int | None:
    """Read a whole number of at most 18 digits, given as a number or as a string; ``None`` for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18 else None


def _page(request: Request, body: Any) -> Page:
    """Read a page.

    ``links`` is an object, ``[]``, ``null`` or absent, depending on the page. Its URLs are never used, because they
    name Tallyfy's public host even if another host was asked.
    """
    rows = body.get("data") if isinstance(body, Mapping) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("answered with JSON that is not a list of objects")
    if not all(_is_id(row.get("id")) for row in rows):
        raise Unreadable("answered with a list in which some objects have no id")
    meta = body.get("meta") if isinstance(body, Mapping) else None
    pagination = meta.get("pagination") if isinstance(meta, Mapping) else None
    if not isinstance(pagination, Mapping):
        return Page(rows)
    asked = dict(request.params).get("page")
    number = _count(pagination, "current_page")
    if asked is not None and number is not None and number != asked:
        raise Unreadable(f"answered with page {number} instead of page {asked}")
    links = pagination.get("links")
    return Page(
        rows,
        total_pages=_count(pagination, "total_pages"),
        total=_count(pagination, "total"),
        per_page=_count(pagination, "per_page"),
        more=isinstance(links, Mapping) and bool(links.get("next")),
    )


def _count(pagination: Mapping[str, Any], name: str) -> int | None:
    """Read a count, given as a number or as a string; ``None`` if it is absent. Anything else is an error."""
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
"""A flow that returns a ``T``: it yields requests and receives exchanges."""
