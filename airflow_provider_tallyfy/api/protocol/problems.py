"""What a failed exchange means: the kind of the problem, the server's own message, and what to do about it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http.client import responses
from itertools import islice
from typing import Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Request, Response, Unreadable, gave_up
from airflow_provider_tallyfy.api.protocol.retry import retry_after

MESSAGE_LIMIT = 500  # characters of the server's message that an error quotes
TEXT_LIMIT = 200  # characters quoted from a body that is not JSON, and from any 5xx
FIELD_LIMIT = 20  # field errors of a 422 that an error quotes


class Kind(Enum):
    """What went wrong. The caller's next step depends on it."""

    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    VALIDATION = "validation"
    CONFLICT = "conflict"
    REFUSED = "refused"
    RATE_LIMITED = "rate limited"
    SERVER = "server"
    UNREACHABLE = "unreachable"
    INDETERMINATE = "indeterminate"
    UNREPEATABLE = "unrepeatable"
    NOT_APPLIED = "not applied"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Problem:
    """A failed request, as data.

    :param kind: what to do about it.
    :param message: the complete error message.
    :param method: HTTP method of the request.
    :param path: path of the request, without host and query.
    :param http_status: status code; ``None`` = no response.
    :param request_id: Tallyfy's ``X-Request-Id``, if it sent one.
    :param errors: messages per field, from Tallyfy or from the check after a write.
    :param retry_after: seconds that Tallyfy asked to wait, if it did.
    """

    kind: Kind
    message: str
    method: str
    path: str
    http_status: int | None = None
    request_id: str | None = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    retry_after: float | None = None


class Rejected(Exception):
    """A flow failed with a problem. The engines raise the public exception of its kind."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


_KINDS = {
    400: Kind.VALIDATION,
    401: Kind.AUTH,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    409: Kind.CONFLICT,
    410: Kind.NOT_FOUND,
    422: Kind.VALIDATION,
    429: Kind.RATE_LIMITED,
}
_LOST = {
    "dns": "the host name can't be resolved. Check the host of the connection, and the machine's DNS",
    "refused": "nothing accepts connections there. Check host and port of the connection, and firewalls in between",
    "tls": "no trusted TLS connection. Check the host; for a private certificate authority set the extra 'verify'",
    "proxy": "the proxy did not forward the request. Check the extra 'proxies' and the proxy environment variables",
    "connect-timeout": "connecting timed out. Check host and port of the connection, and firewalls in between",
    "timeout": "the answer timed out. Tallyfy may be slow; the extra 'timeout' sets how many seconds to wait",
    "cut": "the connection was closed before the answer was complete",
}
_IS_IT_THE_API = "Is the connection's host the API base URL (https://go.tallyfy.com/api or https://api.tallyfy.com)?"
_ADVICE = {
    Kind.AUTH: "The access token is wrong or expired, or its owner has logged out of the Tallyfy web app (which "
    "deletes a personal token). Put a new one (Tallyfy > Settings > Integrations > REST API) into the connection's "
    "password.",
    Kind.FORBIDDEN: "The token's user may not do this in this organization: check the Organization ID and the user's "
    "role (light members can't archive or activate runs).",
    Kind.NOT_FOUND: "Check the id and the Organization ID; it may also have been deleted permanently.",
}


def problem_of(exchange: Exchange) -> Problem:
    """Return the problem that the last reply of a failed exchange means."""
    request, reply = exchange.request, exchange.reply
    tries = f" (tried {exchange.attempts} times)" if exchange.attempts > 1 else ""
    if isinstance(reply, Lost):
        kind = Kind.UNREACHABLE if request.repeatable or not reply.sent else Kind.UNREPEATABLE
        story = f"{request.label} got no answer{tries}: {_LOST[reply.kind]}. [{reply.detail}]"
        return _problem(request, kind, story + _unrepeatable(kind))
    if exchange.unreadable:
        kind = Kind.SERVER if request.repeatable else Kind.UNREPEATABLE
        story = f"{request.label} {exchange.unreadable}{tries}. {_IS_IT_THE_API}"
        return _problem(request, kind, story + _unrepeatable(kind), reply)
    kind = _kind(request, reply)
    errors = field_errors(reply)
    lines = [f"{request.label} failed with {reply.status}{tries}: {server_words(reply)}"]
    for name, texts in list(errors.items())[:FIELD_LIMIT]:
        lines.append(f"  {name + ': ' if name else ''}{_line(' '.join(texts), MESSAGE_LIMIT)}")
    if len(errors) > FIELD_LIMIT:
        lines.append(f"  ... and {len(errors) - FIELD_LIMIT} more fields")
    wait = retry_after(reply)
    if kind is Kind.RATE_LIMITED:
        lines.append(
            f"Tallyfy asks to wait {wait:.0f} s." if wait is not None else "Tallyfy does not say how long to wait."
        )
    if 300 <= reply.status < 400:
        lines.append(_redirected(reply))
    if kind in _ADVICE:
        lines.append(_ADVICE[kind])
    return _problem(request, kind, "\n".join(lines) + _unrepeatable(kind), reply, errors, wait)


def reject(exchange: Exchange) -> NoReturn:
    """End the flow with the problem of a failed exchange."""
    raise Rejected(problem_of(exchange))


def about(
    request: Request,
    kind: Kind,
    message: str,
    *,
    like: Exchange | None = None,
    errors: Mapping[str, list[str]] | None = None,
) -> Rejected:
    """Return the exception for a problem that the rules found, not the server.

    :param like: the exchange that it is about, for status and request id.
    :param errors: messages per field.
    """
    reply = like.reply if like and isinstance(like.reply, Response) else None
    return Rejected(_problem(request, kind, message, reply, errors))


def server_words(response: Response) -> str:
    """Return the server's own message as one short line.

    The first that there is: ``message``, ``error.message``, ``error``, the field errors, the text of the page, the name
    of the status. SQL in the message is cut off.
    """
    limit = TEXT_LIMIT if response.status >= 500 else MESSAGE_LIMIT
    body = _json(response)
    if isinstance(body, Mapping):
        error = body.get("error")
        for words in (body.get("message"), error.get("message") if isinstance(error, Mapping) else error):
            if isinstance(words, str) and (line := _line(_without_sql(words), limit)):
                return line
        if field_errors(response):
            return "The request is invalid."
    text = response.body[:8_000].decode("utf-8", "replace")
    if body is None and text.strip():
        text = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text)
        plain = _line(_without_sql(html.unescape(text)), TEXT_LIMIT)
        if plain:
            return plain
    return responses.get(response.status, "no reason given")


def field_errors(response: Response) -> dict[str, list[str]]:
    """Return the messages of a validation error per field. Tallyfy sends strings, lists, or lists of objects."""
    body = _json(response)
    errors = body.get("errors") if isinstance(body, Mapping) else None
    if isinstance(errors, (list, str)) and errors:
        errors = {"": errors}
    if not isinstance(errors, Mapping):
        return {}
    return {
        _line(str(name), 100): [_line(text, 300) for text in islice(_texts(value), FIELD_LIMIT)]
        for name, value in errors.items()
    }


def _kind(request: Request, response: Response) -> Kind:
    if gave_up(response.status):
        return Kind.SERVER if request.repeatable else Kind.UNREPEATABLE
    return _KINDS.get(response.status, Kind.REFUSED)


def _problem(
    request: Request,
    kind: Kind,
    message: str,
    response: Response | None = None,
    errors: Mapping[str, list[str]] | None = None,
    wait: float | None = None,
) -> Problem:
    request_id = response.headers.get("x-request-id") if response else None
    if request_id:
        message += f" [request id {_line(request_id, 100)}]"
    return Problem(
        kind,
        message,
        request.method,
        request.path,
        response.status if response else None,
        request_id,
        dict(errors or {}),
        wait,
    )


def _unrepeatable(kind: Kind) -> str:
    if kind is not Kind.UNREPEATABLE:
        return ""
    return (
        " Tallyfy may or may not have done it, and doing it twice is not the same as doing it once: check before you "
        "repeat it."
    )


def _redirected(response: Response) -> str:
    try:
        where = urlsplit(response.headers.get("location", ""))
        port = "" if where.port is None else f":{where.port}"
        place = f"{where.scheme}://{where.hostname}{port}{where.path}" if where.hostname else "another address"
    except ValueError:
        place = "another address"
    return (
        f"It redirects to {_line(place, 200)}. Redirects are not followed, because the token must not reach another "
        "host: put the API's own base URL into the connection's host."
    )


def _json(response: Response) -> Any:
    try:
        return response.parsed
    except Unreadable:
        return None


def _without_sql(text: str) -> str:
    """Return the text up to the SQL statement that Laravel appends to a database error."""
    return re.split(r"\(SQL:|\(Connection:", text)[0]


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in a value of any shape, in order."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, (Mapping, list)):
            waiting += reversed(list(current.values() if isinstance(current, Mapping) else current))
        else:
            yield str(current)


def _line(text: str, limit: int) -> str:
    """Return the text as one line without control characters, cut to a limit."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= limit else f"{flat[:limit].rstrip()}..."
