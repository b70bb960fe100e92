"""Corrupted responses: a correct one of the sandbox, with something changed.

They start from a correct response, so that they pass the first check and also test the code behind it.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.contract._raw_server import Answer, Cut, Part

#: Placeholder for the token of the connection.
TOKEN = "{token}"
_DEEP = "[" * 10_000 + "]" * 10_000

#: Wrong values for a member, as JSON or as text that resembles JSON.
MEMBER_VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "minus one": "-1",
    "a fraction": "1.5",
    "1e400": "1e400",
    "10**30": "1" + "0" * 30,
    "5,000 digits": "9" * 5000,
    "5,000 digits as text": f'"{"9" * 5000}"',
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "empty text": '""',
    "blank": '" "',
    "None as text": '"None"',
    "a text": '"unexpected"',
    "superscript two": '"\\u00b2"',
    "a lone surrogate": '"\\ud800"',
    "control characters": '"a\\u0000\\u001b[31m\\r\\nb"',
    "a long text": f'"{"x" * 100_000}"',
    "a date": '"2026-03-01"',
    "year 0": '"0000-00-00T00:00:00Z"',
    "year 9999": '"9999-12-31T23:59:59.999999-23:59"',
    "a bad date": '"2026-02-30T25:61:61+99:99"',
    "the token": f'"{TOKEN}"',
    "an id": '"0123456789abcdef0123456789abcdef"',
    "an empty list": "[]",
    "an empty object": "{}",
    "a list of null": "[null]",
    "a list of lists": "[[[]], [1]]",
    "a list of numbers": "[1, 2, 1e400]",
    "a list of objects without id": '[{"a": 1}, {}]',
    "a list of objects with lists as id": '[{"id": []}, {"id": {}}, {"id": null}, {"id": NaN}]',
    "a mixed list": '[1, "1", null, true, {"id": 1}, [2], NaN]',
    "an object": '{"a": {"b": [null]}}',
    "data that is null": '{"data": null}',
    "data that is a text": '{"data": "x"}',
    "data that is a number": '{"data": 1}',
    "data in data": '{"data": {"data": [{"id": [1]}]}}',
    "duplicate members": '{"id": "1", "id": [2], "id": {}}',
    "a deep list": _DEEP,
    "a deep object": '{"a":' * 5_000 + "1" + "}" * 5_000,
}

#: Members of a response that decide something, and are corrupted more often than others.
MEMBERS = (
    "id", "name", "title", "status", "archived_at", "last_updated", "created_at", "completed_at", "owner_id", "users",
    "groups", "prerun", "tags", "folders", "tag_id", "folder_id", "folder_object_id", "subject_id", "data", "meta",
    "pagination", "total", "count", "per_page", "current_page", "total_pages", "links", "email", "role", "full_name",
    "error", "message", "errors", "checklist_id", "starred", "is_public", "summary", "tasks", "pivot",
)  # fmt: skip

#: Bodies that replace the correct one; ``...`` = the correct one.
BODIES: dict[str, Any] = {
    "empty": b"",
    "blank": b" \r\n ",
    "{}": b"{}",
    "[]": b"[]",
    "null": b"null",
    "a number": b"7",
    "NaN": b"NaN",
    "5,000 digits": b"9" * 5000,
    "a text": b'"ok"',
    "status ok": b'{"status": "ok"}',
    "error true": b'{"error": true}',
    "error list": b'{"error": [{"message": {}}], "message": [1], "errors": [[1], {"a": {"b": NaN}}]}',
    "errors of all kinds": b'{"message": {"a": [1]}, "errors": {"name": {"x": null}, "": 1, "a": [[["b"]]]}}',
    "errors with surrogates": b'{"message": "\\ud800\\udfff\\ud800", "errors": {"\\udc00": ["\\ud800"]}}',
    "data null": b'{"data": null}',
    "data {}": b'{"data": {}}',
    "data []": b'{"data": []}',
    "data of lists": b'{"data": [[1], null, "x", 2]}',
    "data and no end": b'{"data": [{}], "meta": {"pagination": {"total": 1e400, "total_pages": NaN, "count": "x"}}}',
    "deep": _DEEP.encode(),
    "deep and cut": b"[" * 100_000,
    "a page": b"<!doctype html><title>Sign in</title><p>Please sign in." + b" " * 2000,
    "the token": b'{"message": "Bearer {token}", "errors": {"{token}": ["{token}"]}}',
    "no UTF-8": b'{"data": {"id": "\xff\xfe\x80"}}',
    "only bytes": bytes(range(256)),
    "a mark before it": (b"\xef\xbb\xbf", ...),
    "twice": (..., ...),
    "something after it": (..., b"<!-- -->"),
}

#: Additional header lines, as bytes.
HEADER_LINES: dict[str, bytes] = {
    **{
        f"Retry-After: {value[:20]!r}": b"Retry-After: " + value
        for value in (
            b"0", b"1", b"-1", b"1e400", b"nan", b"inf", b"\xb2", "²".encode(), b"9" * 5000, b"1_0", b"soon", b"",
            b"Wed, 21 Oct 2015 07:28:00 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Mon, 99 Foo 99999 99:99:99 ABC",
            b"Wed, 21 Oct 2015 07:28:00 +99999999", b"Wed, 21 Oct 999999999999999999999 07:28:00 GMT", b"\x00", b"0x10",
        )
    },
    **{
        f"Location: {value[:20]!r}": b"Location: " + value
        for value in (
            b"/", b"https://elsewhere.example/{token}?t={token}", b"http://[::1", b"http://a:99999/", b"http://a:\xb2/",
            b"//", b"\xff\xfe", b"", b"http://" + b"a" * 300, b"http://.\xe2\x80\xae/", b"javascript:alert(1)",
        )
    },
    **{
        f"X-Request-Id: {value[:20]!r}": b"X-Request-Id: " + value
        for value in (b"\x00\x1b[31m", b"\xff\xfe", b"{token}", b"a" * 10_000, b"a\tb", b"")
    },
    **{
        f"Content-Type: {value!r}": b"Content-Type: " + value
        for value in (
            b"text/html", b"text/html; charset=\xff", b"application/json; charset=nonsense", b"", b";;;=",
            b"application/json; charset=utf-16", b"application/json; charset=rot13", b"application/json; charset=\x00",
        )
    },
    **{
        f"Content-Encoding: {value!r}": b"Content-Encoding: " + value
        for value in (b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip, deflate", b"x-unknown", b"\xff", b"identity")
    },
    "a folded line": b"X-Folded: a\r\n b\r\n\tc",
    "no colon": b"nonsense",
    "no name": b": nothing",
    "blank in the name": b"X Y : z",
    "bytes": b"X-Bytes: " + bytes(range(0x80, 0x100)),
    "a cookie": b"Set-Cookie: \xff=\x00; expires=never; Max-Age=\xb2; domain=[",
    "date": b"Date: never",
    "many": b"\r\n".join(b"X-%d: y" % number for number in range(150)),
    "long": b"X-Long: " + b"y" * 70_000,
    "rate limit": b"X-RateLimit-Remaining: \xb2\r\nX-RateLimit-Limit: -1\r\nX-RateLimit-Reset: " + b"9" * 400,
    "keep-alive": b"Keep-Alive: timeout=\xb2, max=-1",
}  # fmt: skip

#: Headers about the length and encoding of the body, given the body.
FRAMINGS = (
    "honest", "too long", "too short", "negative", "superscript two", "huge", "text", "twice the same", "twice another",
    "none", "chunked", "chunks of negative size", "chunks of huge size", "chunks without number", "chunks cut off",
    "chunked and length", "chunked twice", "gzip", "gzip cut off", "deflate", "one byte at a time", "cut in the head",
    "cut in the body", "reset before", "reset in the body", "nothing at all", "silence",
)  # fmt: skip

STATUS_LINES: tuple[bytes, ...] = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 201 Created", b"HTTP/1.1 202 Accepted", b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 205 Reset", b"HTTP/1.1 206 Part", b"HTTP/1.1 299 Odd", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Other",
    b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 300 Choose", b"HTTP/1.1 301 Moved", b"HTTP/1.1 302 Found",
    b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 307 Moved", b"HTTP/1.1 399 Odd", b"HTTP/1.1 400 Bad Request",
    b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 402 Pay", b"HTTP/1.1 403 Forbidden", b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 405 No", b"HTTP/1.1 408 Late", b"HTTP/1.1 409 Conflict", b"HTTP/1.1 410 Gone", b"HTTP/1.1 413 Large",
    b"HTTP/1.1 418 Teapot", b"HTTP/1.1 422 Invalid", b"HTTP/1.1 425 Early", b"HTTP/1.1 429 Slow down",
    b"HTTP/1.1 451 Law", b"HTTP/1.1 500 Error", b"HTTP/1.1 501 No", b"HTTP/1.1 502 Bad Gateway",
    b"HTTP/1.1 503 Unavailable", b"HTTP/1.1 504 Timeout", b"HTTP/1.1 599 Odd", b"HTTP/1.1 999 Odd", b"HTTP/1.1 000 Odd",
    b"HTTP/1.1 99 Short", b"HTTP/1.1 1000 Long", b"HTTP/1.1 -200 OK", b"HTTP/1.1 \xb2\xb2\xb2 OK", b"HTTP/1.1",
    b"HTTP/1.1 ", b"HTTP/1.0 200 OK", b"HTTP/9.9 200 OK", b"HTTP/2 200", b"200 OK", b"nonsense", b"",
    b"HTTP/1.1 200 \xff\xfe\x00", b"HTTP/1.1 400 {token}", b"HTTP/1.1 200 " + b"x" * 70_000,
)  # fmt: skip


@dataclass(frozen=True)
class Spoilt:
    """The defects of a response; none by default.

    :param status_line: replaces the correct one.
    :param members: ``(name or position, key of MEMBER_VALUES)``: members of the JSON that are replaced.
    :param body: key of BODIES, or where to cut off the correct body.
    :param headers: keys of HEADER_LINES.
    :param framing: one of FRAMINGS.
    """

    status_line: bytes | None = None
    members: tuple[tuple[str | int, str], ...] = ()
    body: str | int | None = None
    headers: tuple[str, ...] = ()
    framing: str = "honest"

    def __repr__(self) -> str:
        parts = []
        if self.status_line is not None:
            parts.append(repr(self.status_line[:40]))
        parts += [f"{name} is {value}" for name, value in self.members]
        if self.body is not None:
            parts.append(f"body: {self.body if isinstance(self.body, str) else f'cut at {self.body}'}")
        parts += self.headers
        if self.framing != "honest":
            parts.append(f"length: {self.framing}")
        return f"<{'; '.join(parts) or 'honest'}>"

    def spoil(self, status_line: bytes, body: bytes, token: str) -> Answer:
        """Return the corrupted response, as bytes to send."""
        secret = token.encode()
        body = self._body(body).replace(b"{token}", secret)
        line = (status_line if self.status_line is None else self.status_line).replace(b"{token}", secret)
        lines = [HEADER_LINES[name].replace(b"{token}", secret) for name in self.headers]
        if not any(name.startswith("Content-Type") for name in self.headers):
            lines.append(b"Content-Type: application/json")
        parts, whole = _framed(self.framing, line, lines, body)
        # A replaced status line may also state a length, or announce another response.
        return parts if whole and self.status_line is None else [*parts, Cut.CLOSE]

    def _body(self, body: bytes) -> bytes:
        if isinstance(self.body, int):
            return body[: self.body]
        if self.body is not None:
            made = BODIES[self.body]
            return b"".join(body if part is ... else part for part in (made if isinstance(made, tuple) else (made,)))
        return _with_members(body, self.members) if self.members else body


def _with_members(body: bytes, members: tuple[tuple[str | int, str], ...]) -> bytes:
    try:
        content = json.loads(body)
    except ValueError:
        return body
    for number, (which, _) in enumerate(members):
        places = list(_places(content))
        if isinstance(which, int):
            chosen = [places[which % len(places)]] if places else []
        else:
            chosen = [(holder, key) for holder, key in places if key == which]
        for holder, key in chosen:
            holder[key] = f"\x00{number}\x00"
        if not chosen and isinstance(which, str):  # absent: add it where the client may look for it
            inner = content.get("data", content) if isinstance(content, dict) else content
            for row in inner if isinstance(inner, list) else [inner]:
                if isinstance(row, dict):
                    row[which] = f"\x00{number}\x00"
    text = json.dumps(content)
    # The replacement may be invalid JSON, so it is inserted as text.
    return re.sub(r'"\\u0000(\d)\\u0000"', lambda found: MEMBER_VALUES[members[int(found[1])][1]], text).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else ()
    )
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


def _framed(framing: str, line: bytes, lines: list[bytes], body: bytes) -> tuple[list[Part], bool]:
    """Return the parts to send, and whether the connection can be used afterwards."""

    def head(*more: bytes) -> bytes:
        return b"\r\n".join([line, *lines, *more, b"", b""])

    size = len(body)
    chunked = b"Transfer-Encoding: chunked"
    half = body[: size // 2]
    packed = gzip.compress(body, 1)
    table: dict[str, tuple[list[Part], bool]] = {
        "honest": ([head(b"Content-Length: %d" % size) + body], True),
        "too long": ([head(b"Content-Length: %d" % (size + 7)) + body], False),
        "too short": ([head(b"Content-Length: %d" % max(size - 7, 0)) + body], False),
        "negative": ([head(b"Content-Length: -5") + body], False),
        "superscript two": ([head(b"Content-Length: \xb2") + body], False),
        "huge": ([head(b"Content-Length: " + b"9" * 5000) + body], False),
        "text": ([head(b"Content-Length: many") + body], False),
        "twice the same": ([head(*[b"Content-Length: %d" % size] * 2) + body], False),
        "twice another": ([head(b"Content-Length: %d" % size, b"Content-Length: %d" % (size + 1)) + body], False),
        "none": ([head() + body], False),
        "chunked": (
            [head(chunked) + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if size else head(chunked) + b"0\r\n\r\n"],
            True,
        ),
        "chunks of negative size": ([head(chunked) + b"-5\r\n" + body + b"\r\n0\r\n\r\n"], False),
        "chunks of huge size": ([head(chunked) + b"f" * 5000 + b"\r\n" + body], False),
        "chunks without number": ([head(chunked) + b"\xb2\r\n" + body + b"\r\n0\r\n\r\n"], False),
        "chunks cut off": ([head(chunked) + b"%x\r\n%s" % (size + 1, half)], False),
        "chunked and length": ([head(chunked, b"Content-Length: 3") + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)], False),
        "chunked twice": ([head(b"Transfer-Encoding: gzip, chunked, chunked") + body], False),
        "gzip": ([head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed)) + packed], True),
        "gzip cut off": ([head(b"Content-Encoding: gzip") + packed[: len(packed) // 2]], False),
        "deflate": ([head(b"Content-Encoding: deflate") + zlib.compress(body)[:-3] + b"\x00\x01"], False),
        "one byte at a time": ([head(b"Content-Length: 30"), *(b"%c" % c for c in body[:30])], False),
        "cut in the head": ([head(b"Content-Length: 1")[:-9]], False),
        "cut in the body": ([head(b"Content-Length: %d" % size) + half], False),
        "reset before": ([Cut.RESET], False),
        "reset in the body": ([head(b"Content-Length: %d" % size) + half, Cut.RESET], False),
        "nothing at all": ([], False),
        "silence": ([0.5], False),
    }
    return table[framing]


_members = st.lists(
    st.tuples(st.sampled_from(MEMBERS) | st.integers(0, 400), st.sampled_from(sorted(MEMBER_VALUES))),
    min_size=1,
    max_size=2,
).map(tuple)
#: Lists without a reachable last page, or without any page.
_pages = st.tuples(
    st.sampled_from(("total", "count", "per_page", "current_page", "total_pages", "total_pages", "pagination", "meta")),
    st.sampled_from(
        ("null", "zero", "minus one", "a fraction", "1e400", "10**30", "10**30", "5,000 digits", "5,000 digits as text")
    ),
).map(lambda member: (member,))
_statuses = st.sampled_from(STATUS_LINES)
_header = st.sampled_from(sorted(HEADER_LINES))
#: Silence takes a whole timeout, so it is rare.
_framings = st.sampled_from([*[name for name in FRAMINGS if name != "silence"] * 4, "silence"])
_bodies = st.sampled_from(sorted(BODIES)) | st.integers(0, 2000)

#: One response. Most have one defect, because those with many are rejected early.
answers: st.SearchStrategy[Spoilt] = st.one_of(
    st.builds(Spoilt, members=_members),
    st.builds(Spoilt, members=_members),
    st.builds(Spoilt, members=_members, status_line=_statuses),
    st.builds(Spoilt, members=_pages),
    st.builds(Spoilt, body=_bodies),
    st.builds(Spoilt, body=_bodies, status_line=_statuses),
    st.builds(Spoilt, status_line=_statuses, headers=_header.map(lambda name: (name,))),
    st.builds(Spoilt, headers=_header.map(lambda name: (name,))),
    st.builds(Spoilt, framing=_framings),
    st.builds(Spoilt, framing=_framings, status_line=_statuses, body=st.none() | _bodies),
)
