"""Faults between a client and Tallyfy, and the rules that say which requests meet them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from airflow_provider_tallyfy.sandbox import transmission
from airflow_provider_tallyfy.sandbox.transmission import RawAnswer, Sender

HTML_404 = b"<!DOCTYPE html><html><head><title>Not Found</title></head><body><h1>Not Found</h1></body></html>"
HTML_429 = b"<html><head><title>429 Too Many Requests</title></head><body><h1>Too Many Requests</h1></body></html>"
# Like a Laravel debug page, which must never appear in full in a task log.
LEAKED_STACK = {
    "message": "SQLSTATE[HY000] [2002] Connection timed out (SQL: select * from `runs` where `runs`.`id` = ? "
    "and `runs`.`deleted_at` is null limit 1)",
    "exception": "Illuminate\\Database\\QueryException",
    "file": "/var/www/api-v2/vendor/laravel/framework/src/Illuminate/Database/Connection.php",
    "line": 760,
    "trace": [
        {"file": f"/var/www/api-v2/vendor/laravel/framework/src/Frame{n}.php", "line": n, "function": "run"}
        for n in range(60)
    ],
}


@dataclass(frozen=True)
class Fault:
    """A fault that one request meets. Created by the constructors below.

    :param name: name of the constructor.
    :param applies: whether the request is still carried out.
    :param answer: status, headers and body to send instead of the handler's; ``None`` keeps the handler's.
    :param delay_before: seconds to wait before the request is handled.
    :param delay_after: seconds to wait between handling the request and answering.
    :param cut: close the connection without sending a byte.
    :param reset: cut with a TCP reset instead of an orderly close.
    :param shown_run: id of a run to show instead of the handler's response.
    :param edit: changes the JSON of the handler's response; a response without the edited part stays unchanged.
    :param encode: changes the whole response, status and headers included.
    :param send: writes the response to the socket, piece by piece.
    :param closes: close the connection after ``send``.
    """

    name: str
    applies: bool = False
    answer: RawAnswer | None = None
    delay_before: float = 0.0
    delay_after: float = 0.0
    cut: bool = False
    reset: bool = False
    shown_run: str = ""
    edit: Callable[[Any], Any] | None = field(default=None, compare=False)
    encode: Callable[[RawAnswer], RawAnswer] | None = field(default=None, compare=False)
    send: Sender | None = field(default=None, compare=False)
    closes: bool = True

    @classmethod
    def status(cls, code: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Fault:
        """Refuse the request with a status.

        :param code: HTTP status.
        :param body: JSON value, or ``str`` / ``bytes`` sent as they are; Tallyfy's error envelope by default.
        :param headers: further headers.
        """
        if body is None:
            body = {"error": True, "message": f"The sandbox was told to answer {code}."}
        return cls("status", answer=_answer(code, body, headers))

    @classmethod
    def rate_limited(cls, retry_after: str | None = "1", html: bool = False) -> Fault:
        """Answer 429 without carrying the request out.

        :param retry_after: ``Retry-After`` as sent: seconds, an HTTP date, garbage, or ``None`` for no header.
        :param html: body of an edge proxy rather than Tallyfy's ``RATE_LIMIT_EXCEEDED``.
        """
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        body: Any = HTML_429 if html else {"message": "Too Many Attempts.", "code": "RATE_LIMIT_EXCEEDED"}
        return cls("rate_limited", answer=_answer(429, body, headers))

    @classmethod
    def hourly_limit(cls, what: str = "Comment", limit: int = 120, retry_after: str = "3600") -> Fault:
        """Refuse a request because the organization has used up its hour: 120 comments, 30 invitations of guests.

        :param what: what there were too many of.
        :param limit: how many an hour may have.
        :param retry_after: ``Retry-After`` as sent.
        """
        message = f"You've reached the hourly limit for {what} ({limit} per hour per organization)."
        body = {"message": f"{message} Please try again later.", "code": "RATE_LIMIT_EXCEEDED"}
        return cls("hourly_limit", answer=_answer(429, body, {"Retry-After": retry_after}))

    @classmethod
    def seats_exhausted(cls, pool: str = "standard") -> Fault:
        """Refuse a launch because an assignee would need a seat and none is left: 409, whose ``error`` is an object.

        :param pool: the pool of seats that is empty.
        """
        error = {
            "code": "SEAT_POOL_EXHAUSTED",
            "message": f"Your organization has no {pool} seats left.",
            "details": {"pool_type": pool},
        }
        return cls("seats_exhausted", answer=_answer(409, {"error": error}))

    @classmethod
    def server_error(cls, code: int = 503, html: bool = False, leak: bool = False) -> Fault:
        """Answer 5xx without carrying the request out.

        :param code: 500, 502, 503, 504...
        :param html: a proxy's HTML page as body.
        :param leak: Laravel's debug output as body: SQL, paths, stack.
        """
        return cls("server_error", answer=_answer(code, _error_body(code, html, leak)))

    @classmethod
    def error_after(cls, code: int = 502, html: bool = False, leak: bool = False) -> Fault:
        """Carry the request out, then answer 5xx nevertheless."""
        return cls("error_after", applies=True, answer=_answer(code, _error_body(code, html, leak)))

    @classmethod
    def drop_before(cls, reset: bool = False) -> Fault:
        """Cut the connection without carrying the request out and without an answer."""
        return cls("drop_before", cut=True, reset=reset)

    @classmethod
    def drop_after(cls, reset: bool = False) -> Fault:
        """Carry the request out, then cut the connection without an answer."""
        return cls("drop_after", applies=True, cut=True, reset=reset)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Carry the request out ``seconds`` late, even if the client has gone by then."""
        return cls("slow", applies=True, delay_before=seconds)

    @classmethod
    def slow_after(cls, seconds: float) -> Fault:
        """Carry the request out at once and answer ``seconds`` late."""
        return cls("slow_after", applies=True, delay_after=seconds)

    @classmethod
    def truncated(cls) -> Fault:
        """Carry the request out, announce the whole response, send half of it and close."""
        return cls("truncated", applies=True, send=transmission.half)

    @classmethod
    def not_json(cls, html: bool = True, applies: bool = True) -> Fault:
        """Answer 200 with something that is not JSON, whether or not (``applies``) the request is carried out."""
        body = b"<!DOCTYPE html><html><body>Please sign in to the network</body></html>" if html else b"OK"
        return cls("not_json", applies=applies, answer=_answer(200, body))

    @classmethod
    def other_answer(cls, body: Any, code: int = 200, applies: bool = True) -> Fault:
        """Answer with this JSON instead of the handler's: ``{}``, ``None``, ``{"error": True}``.

        :param body: JSON value, or ``str`` / ``bytes`` sent as they are.
        :param code: HTTP status.
        :param applies: whether the request is carried out.
        """
        return cls("other_answer", applies=applies, answer=_answer(code, body))

    @classmethod
    def other_run(cls, run_id: str, applies: bool = True) -> Fault:
        """Answer 200 with another run, as ``GET`` shows it, whether or not the request is carried out."""
        return cls("other_run", applies=applies, shown_run=run_id)

    @classmethod
    def other_id(cls, object_id: Any = "f" * 32) -> Fault:
        """Carry the request out and give the object in the answer another id, of any JSON type."""

        def edit(answer: Any) -> Any:
            answer["data"]["id"] = object_id
            return answer

        return cls("other_id", applies=True, edit=edit)

    @classmethod
    def without(cls, *fields: str) -> Fault:
        """Carry the request out and leave fields out of the object in the answer, or out of each row of a list."""

        def edit(answer: Any) -> Any:
            rows = answer["data"] if isinstance(answer["data"], list) else [answer["data"]]
            for row in rows:
                for name in fields:
                    row.pop(name, None)
            return answer

        return cls("without", applies=True, edit=edit)

    @classmethod
    def unreadable_page(cls) -> Fault:
        """Carry the request out and answer 200 with JSON that holds no list of rows."""
        return cls("unreadable_page", applies=True, answer=_answer(200, {"data": None}))

    @classmethod
    def total_too_high(cls, by: int = 1) -> Fault:
        """Announce more rows in ``meta.pagination.total`` than the pages hold."""

        def edit(page: Any) -> Any:
            page["meta"]["pagination"]["total"] += by
            return page

        return cls("total_too_high", applies=True, edit=edit)

    @classmethod
    def endless_pages(cls, total_pages: int = 10**30) -> Fault:
        """Announce ``total_pages`` pages and give the same one row on each. Plan it with ``times=None``."""
        first: list[Any] = []

        def edit(page: Any) -> Any:
            if not first:
                first.append(page["data"][0])
            pagination = page["meta"]["pagination"]
            pagination.update(total_pages=total_pages, total=total_pages, per_page=1, count=1)
            page["data"] = first[:1]
            return page

        return cls("endless_pages", applies=True, edit=edit)

    @classmethod
    def two_lengths(cls, applies: bool = True) -> Fault:
        """Answer with two different ``Content-Length`` headers, whether or not the request is carried out."""
        return cls(
            "two_lengths", applies, None if applies else _answer(200, {"data": {}}), send=transmission.two_lengths
        )

    @classmethod
    def early_hints(cls, count: int = 1, code: int = 103) -> Fault:
        """Carry the request out, answer 103 Early Hints, then the real answer; the connection stays open.

        :param count: how many of them.
        :param code: another status below 200, e.g. 102.
        """
        return cls("early_hints", applies=True, send=transmission.informational(code, count), closes=False)

    @classmethod
    def endless_continue(cls, seconds: float = 0.02) -> Fault:
        """Carry the request out and send ``100 Continue`` every ``seconds`` for as long as the client listens."""
        return cls("endless_continue", applies=True, send=transmission.endless_continue(seconds))

    @classmethod
    def dripped_headers(cls, seconds: float = 0.05) -> Fault:
        """Carry the request out and send the headers of the answer byte by byte, one every ``seconds``."""
        return cls("dripped_headers", applies=True, send=transmission.dripped_head(seconds))

    @classmethod
    def dripped_body(cls, seconds: float = 0.05, padding: int = 0) -> Fault:
        """Carry the request out and send the body of the answer byte by byte, one every ``seconds``.

        :param padding: bytes of white space after the JSON, which make it last longer.
        """
        return cls("dripped_body", applies=True, send=transmission.dripped_body(seconds, padding))

    @classmethod
    def gzip_bomb(cls, size: int = 100_000_000) -> Fault:
        """Carry the request out and answer in gzip that unpacks to ``size`` bytes: the JSON, and white space.

        :param size: bytes when unpacked; it is sent as about a 200th of that.
        """
        return cls("gzip_bomb", applies=True, encode=partial(transmission.gzipped, size=size))

    @classmethod
    def short_page(cls, by: int = 1) -> Fault:
        """Leave out the last ``by`` rows of a page, as happens if rows disappear while pages are read."""

        def edit(page: Any) -> Any:
            page["data"] = page["data"][: max(0, len(page["data"]) - by)]
            return page

        return cls("short_page", applies=True, edit=edit)

    @classmethod
    def redirect(cls, location: str, code: int = 302) -> Fault:
        """Redirect the client without carrying the request out.

        :param location: the ``Location`` header, e.g. another host that must not see the token.
        :param code: 301, 302, 303, 307 or 308.
        """
        return cls("redirect", answer=_answer(code, b"", {"Location": location}))


#: Names of the constructors above.
FAULTS = tuple(name for name, member in vars(Fault).items() if isinstance(member, classmethod))


@dataclass
class Injection:
    """One rule: which requests meet a fault (or an action), and how often.

    :param method: HTTP method, or ``*``.
    :param path_glob: ``fnmatch`` pattern for the path without ``/api`` and ``/organizations/{org}``.
    :param effect: the fault, or a callable that runs just before the request is carried out.
    :param times: how often; ``None`` = always.
    :param after: how many matching requests to let through first.
    """

    method: str
    path_glob: str
    effect: Fault | Callable[[], object]
    times: int | None = 1
    after: int = 0
    seen: int = 0
    hits: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether the rule has been used up."""
        return self.times is not None and self.hits >= self.times

    def meets(self, method: str, route: str) -> bool:
        """Whether the rule applies to this request. Counts the request."""
        if self.method not in ("*", method) or not fnmatchcase(route, self.path_glob) or self.exhausted:
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.hits += 1
        return True


def _answer(code: int, body: Any, headers: Mapping[str, str] | None = None) -> RawAnswer:
    raw = body.encode() if isinstance(body, str) else body
    if isinstance(raw, bytes):
        kind = "text/html; charset=UTF-8" if raw.lstrip()[:1] == b"<" else "text/plain; charset=UTF-8"
    else:
        raw, kind = json.dumps(raw).encode(), "application/json"
    return code, {"Content-Type": kind, **(headers or {})}, raw


def _error_body(code: int, html: bool, leak: bool) -> Any:
    if leak:
        return LEAKED_STACK
    if html:
        return f"<html><head><title>{code}</title></head><body><center><h1>{code}</h1></center></body></html>"
    return {"error": True, "message": "Server Error"}
