"""Error responses become problems: with Tallyfy's own message, cut and without SQL, and with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem, about, field_errors, problem_of, server_words
from airflow_provider_tallyfy.exceptions import error_from

ORG, RUN = "0" * 32, "1" * 32
CALLS = {
    method: Request(method, ("organizations", ORG, "runs", RUN)) for method in ("GET", "PUT", "DELETE", "POST", "PATCH")
}
HTML_404 = b"<!DOCTYPE html><html><head><title>Not Found</title><style>h1 {x}</style></head><body><h1>Not Found</h1>"
HTML_429 = (
    b"<html><head><script>track()</script></head><body><h1>429</h1>\n <p>Too many &amp; too fast</p></body></html>"
)
SQL = "SQLSTATE[42S02]: Base table or view not found: 1146 (SQL: select * from `runs` where `secret` = 'x')"
STACK = {
    "message": "SQLSTATE[HY000] [2002] Timed out (Connection: mysql, SQL: select * from `runs` where `secret` = 'x')",
    "exception": "Illuminate\\Database\\QueryException",
    "file": "/var/www/api-v2/Connection.php",
    "trace": [{"file": f"/var/www/api-v2/Frame{n}.php", "line": n} for n in range(60)],
}
INVALID = "The given data was invalid."


def answer(status: int, body: Any, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def problem(reply: Response | Lost, method: str = "GET", attempts: int = 1) -> Problem:
    return problem_of(Exchange(CALLS[method], reply, attempts=attempts))


_ROWS: list[tuple[int, Any, Kind, str]] = [
    (400, {"message": "Unparsable."}, Kind.VALIDATION, "Unparsable."),
    (401, {"error": True, "message": "invalid token"}, Kind.AUTH, "invalid token"),
    (401, {"message": "Unauthenticated."}, Kind.AUTH, "Unauthenticated."),
    (401, {"error": "invalid_client"}, Kind.AUTH, "invalid_client"),
    (403, {"error": True, "message": "Light members may not."}, Kind.FORBIDDEN, "Light members may not."),
    (404, {"error": True, "message": "Gone.", "code": "RESOURCE_NOT_FOUND"}, Kind.NOT_FOUND, "Gone."),
    (404, {"error": True, "message": "No route.", "code": "ENDPOINT_NOT_FOUND"}, Kind.NOT_FOUND, "No route."),
    (404, HTML_404, Kind.NOT_FOUND, "Not Found Not Found"),
    (404, b"", Kind.NOT_FOUND, "Not Found"),
    (410, {}, Kind.NOT_FOUND, "Gone"),
    (
        409,
        {"error": {"code": "SEAT_POOL_EXHAUSTED", "message": "No seat left.", "details": {"pool_type": "full"}}},
        Kind.CONFLICT,
        "No seat left.",
    ),
    (422, {"message": INVALID, "errors": {"name": ["Too long."]}}, Kind.VALIDATION, f"{INVALID}\n  name: Too long."),
    (422, {"errors": {"name": "Too long."}}, Kind.VALIDATION, "The request is invalid.\n  name: Too long."),
    (422, {"error": True, "errors": {"f": [{"code": 1, "text": "Bad."}]}}, Kind.VALIDATION, "\n  f: 1 Bad."),
    (422, {"message": INVALID, "errors": ["One.", "Two."]}, Kind.VALIDATION, f"{INVALID}\n  One. Two."),
    (422, {"errors": "Everything is wrong."}, Kind.VALIDATION, "The request is invalid.\n  Everything is wrong."),
    (429, {"message": "Slow down.", "code": "RATE_LIMIT_EXCEEDED"}, Kind.RATE_LIMITED, "Slow down.\nTallyfy"),
    (429, HTML_429, Kind.RATE_LIMITED, "429 Too many & too fast"),
    (500, {"error": True, "message": "Server Error"}, Kind.SERVER, "Server Error"),
    (500, STACK, Kind.SERVER, "SQLSTATE[HY000] [2002] Timed out"),
    (500, f"<html><body>{SQL}</body></html>".encode(), Kind.SERVER, "SQLSTATE[42S02]: Base table"),
    (502, b"<html><center><h1>502 Bad Gateway</h1></center>nginx</html>", Kind.SERVER, "502 Bad Gateway nginx"),
    (503, b"\xff\xfe broken", Kind.SERVER, "broken"),
    (504, b"", Kind.SERVER, "Gateway Timeout"),
    (302, b"", Kind.REFUSED, "Found"),
    (418, {"message": "Short and stout."}, Kind.REFUSED, "Short and stout."),
    (405, "just text", Kind.REFUSED, "Method Not Allowed"),
    (599, b"", Kind.SERVER, "no reason given"),
]


@pytest.mark.parametrize(("status", "body", "kind", "says"), _ROWS, ids=lambda value: str(value)[:24])
def test_problem_quotes_the_server(status: int, body: Any, kind: Kind, says: str) -> None:
    found = problem(answer(status, body, x_request_id="req-7"))
    assert found.kind is kind
    assert found.message.startswith(f"GET /runs/{RUN} failed with {status}: ")
    assert says in found.message
    assert (found.http_status, found.method, found.request_id) == (status, "GET", "req-7")
    assert found.path == f"/organizations/{ORG}/runs/{RUN}"
    assert found.message.endswith("[request id req-7]")
    for leaked in ("select", "secret", "/var/www", "<", "track()"):
        assert leaked not in found.message


_ADVICE: list[tuple[int, str]] = [
    (401, "its owner has logged out of the Tallyfy web app"),
    (403, "light members can't archive or activate runs"),
    (404, "Check the id and the Organization ID"),
]


@pytest.mark.parametrize(("status", "says"), _ADVICE)
def test_message_says_what_to_do(status: int, says: str) -> None:
    assert says in problem(answer(status, {})).message


_KINDS: list[tuple[int, str, Kind, bool]] = [
    # status, method, kind, whether Airflow may try again
    *((status, method, Kind.SERVER, True) for status in (408, 500, 503, 599) for method in ("GET", "PUT", "DELETE")),
    *((status, method, Kind.UNREPEATABLE, False) for status in (408, 500, 503) for method in ("POST", "PATCH")),
    *((429, method, Kind.RATE_LIMITED, True) for method in CALLS),
    (400, "POST", Kind.VALIDATION, False),
    (401, "POST", Kind.AUTH, False),
    (409, "POST", Kind.CONFLICT, False),
    *((status, "PUT", Kind.REFUSED, False) for status in (301, 405, 418, 451)),
]


@pytest.mark.parametrize(("status", "method", "kind", "again"), _KINDS)
def test_retryable_by_status_and_method(status: int, method: str, kind: Kind, again: bool) -> None:
    found = problem(answer(status, {}), method, attempts=3)
    assert found.kind is kind
    assert f"{method} /runs/{RUN} failed with {status} (tried 3 times)" in found.message
    assert ("check before you repeat it" in found.message) is (kind is Kind.UNREPEATABLE)
    assert isinstance(error_from(found), AirflowFailException) is not again


_LOST: list[tuple[str, str]] = [
    ("dns", "the host name can't be resolved"),
    ("refused", "nothing accepts connections there"),
    ("tls", "no trusted TLS connection. Check the host; for a private certificate authority set the extra 'verify'"),
    ("proxy", "the proxy did not forward the request. Check the extra 'proxies'"),
    ("connect-timeout", "connecting timed out"),
    ("timeout", "the answer timed out. Tallyfy may be slow; the extra 'timeout' sets how many seconds to wait"),
    ("cut", "the connection was closed before the answer was complete"),
]


@pytest.mark.parametrize(("kind", "says"), _LOST)
@pytest.mark.parametrize(
    ("method", "sent", "outcome"),
    [("GET", True, Kind.UNREACHABLE), ("POST", False, Kind.UNREACHABLE), ("POST", True, Kind.UNREPEATABLE)],
)
def test_lost_answer(kind: Any, says: str, method: str, sent: bool, outcome: Kind) -> None:
    found = problem(Lost(kind, "ConnectionError: detail", sent=sent), method, attempts=2)
    assert (found.kind, found.http_status) == (outcome, None)
    assert found.message.startswith(f"{method} /runs/{RUN} got no answer (tried 2 times): {says}")
    assert "[ConnectionError: detail]" in found.message


@pytest.mark.parametrize(
    ("header", "says", "seconds"),
    [("3600", "Tallyfy asks to wait 3600 s.", 3600), ("soon", "Tallyfy does not say how long to wait.", None)],
)
def test_rate_limit_names_the_wait_that_was_asked_for(header: str, says: str, seconds: float | None) -> None:
    found = problem(answer(429, {}, retry_after=header))
    assert says in found.message
    assert error_from(found).retry_after == seconds


_REDIRECTS: list[tuple[str, str]] = [
    ("https://elsewhere.example/a?token=abc#f", "It redirects to https://elsewhere.example/a. Redirects"),
    ("https://user:secret@elsewhere.example:8443/a", "It redirects to https://elsewhere.example:8443/a. Redirects"),
    ("/login", "It redirects to another address."),
    ("", "It redirects to another address."),
    ("http://elsewhere.example:x/a", "It redirects to another address."),
    ("http://[bad", "It redirects to another address."),
]


@pytest.mark.parametrize(("location", "says"), _REDIRECTS)
def test_error_names_the_target_of_a_redirect(location: str, says: str) -> None:
    found = problem(answer(302, b"", location=location))
    assert says in found.message
    assert "secret" not in found.message
    assert "abc" not in found.message


class TestFieldErrors:
    def test_are_in_the_problem_and_one_per_line_in_the_message(self) -> None:
        body = {"message": INVALID, "errors": {"name": ["Too long.", "Odd."], "tags.0": "Unknown.", "e": []}}
        found = problem(answer(422, body))
        assert found.errors == {"name": ["Too long.", "Odd."], "tags.0": ["Unknown."], "e": []}
        assert found.message.splitlines()[1:3] == ["  name: Too long. Odd.", "  tags.0: Unknown."]

    @pytest.mark.parametrize("errors", [None, 7, {}, True, []], ids=repr)
    def test_of_other_shapes_are_ignored(self, errors: Any) -> None:
        assert not any(field_errors(answer(422, {"message": "x", "errors": errors})).values())

    def test_surplus_ones_are_counted(self) -> None:
        found = problem(answer(422, {"errors": {f"field{n}": ["No."] for n in range(50)}}))
        assert found.message.count("\n  field") == 20
        assert "\n  ... and 30 more fields" in found.message
        assert len(found.errors) == 50

    @pytest.mark.parametrize(
        "value",
        ["x" * 9999, ["x" * 999] * 999, [["x" * 999] * 99] * 99, {str(n): "x" * 999 for n in range(999)}],
        ids=["text", "list", "lists", "object"],
    )
    def test_long_ones_are_cut(self, value: Any) -> None:
        assert len(problem(answer(422, {"errors": {"f" * 999: value}})).message) < 2000


@pytest.mark.parametrize("words", ["x" * 99_999, "two\nlines\x00and\x1b[31mcolour\u2028s", "   "])
@pytest.mark.parametrize("status", [403, 500])
def test_server_message_becomes_one_short_line(words: str, status: int) -> None:
    for body in ({"message": words}, {"error": {"message": words}}, words.encode(), f"<p>{words}".encode()):
        line = server_words(answer(status, body))
        assert 0 < len(line) <= (203 if status >= 500 else 503)
        assert line.isprintable()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["message", "error", "errors", "code", "x"]), inner)
    ),
)


@given(st.integers(300, 599), st.binary() | _json.map(lambda value: json.dumps(value).encode()), st.text(max_size=30))
def test_any_body_becomes_a_problem(status: int, body: bytes, header: str) -> None:
    reply = answer(status, body, content_type=header, location=header, retry_after=header, x_request_id=header)
    found = problem(reply)
    assert len(found.message) < 15_000
    assert all(line.isprintable() for line in found.message.split("\n"))
    assert error_from(found).http_status == status


def test_problem_found_by_a_rule() -> None:
    behind = Exchange(CALLS["PUT"], answer(200, {}, x_request_id="req-8"))
    found = about(behind.request, Kind.NOT_APPLIED, "Not done.", like=behind, errors={"name": ["is 'a'"]}).problem
    assert (found.message, found.http_status) == ("Not done. [request id req-8]", 200)
    assert found.errors == {"name": ["is 'a'"]}
