"""What counts as the answer to a request: an object with an id, and with the id that was requested."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_tallyfy.api.protocol.messages import (
    Exchange,
    Lost,
    Request,
    Response,
    Unreadable,
    may_have_happened,
    related,
    unpack,
    whole_number,
)
from airflow_provider_tallyfy.api.protocol.problems import Kind, problem_of
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Waited

RUN, OTHER = "a" * 32, "b" * 32
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"


def read(identity: str | None = RUN) -> Request:
    return Request("GET", ("organizations", "o", "runs", RUN), expects="object", identity=identity)


def write(method: str = "PUT") -> Request:
    return Request(method, ("organizations", "o", "runs", RUN), expects="object", identity=RUN)


def answer(body: Any, kind: str = "application/json") -> Response:
    return Response(200, {"content-type": kind}, body if isinstance(body, bytes) else json.dumps(body).encode())


_NOT_THE_ANSWER: list[tuple[Any, str]] = [
    (HTML, "answered with an HTML page"),
    (b"OK", "an HTML page"),
    (b'{"data": {"id": "' + RUN.encode(), "an HTML page"),
    (b"\xff\xfe\xfd", "an HTML page"),
    (b"[" * 100_000, "an HTML page"),
    (b'{"id": NaN}', "an HTML page"),
    (b'{"id": 1e999}', "an HTML page"),
    (b'{"id": ' + b"9" * 5000 + b"}", "an HTML page"),
    ({"data": "x"}, "a JSON str where one object was expected"),
    ({"data": [{"id": RUN}]}, "a JSON list where one object"),
    ({"status": "ok"}, "an object that has no id"),
    ({"error": True}, "an object that has no id"),
    ({"data": {"id": None}}, "an object that has no id"),
    ({"data": {"id": ""}}, "an object that has no id"),
    ({"data": {"id": [RUN]}}, "an object that has no id"),
    ({"data": {"id": True}}, "an object that has no id"),
    ({"data": {"id": OTHER, "archived_at": "2026-01-01"}}, f"'{OTHER}', which is not the requested object"),
    ({"data": {"id": 7}}, "'7', which is not the requested object"),
]


@pytest.mark.parametrize(("body", "says"), _NOT_THE_ANSWER, ids=lambda value: repr(value)[:40])
class TestBodyThatIsNotTheAnswer:
    def test_is_unreadable(self, body: Any, says: str) -> None:
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        for request in (read(), write(), write("DELETE")):
            exchange = Exchange(request, answer(body, kind))
            assert not exchange.ok
            assert says in exchange.unreadable
            with pytest.raises(Unreadable):
                unpack(request, answer(body, kind))
            problem = problem_of(exchange)
            assert problem.kind is Kind.SERVER
            assert "Is the connection's host the API base URL" in problem.message

    def test_is_retried_for_a_read_and_makes_a_write_unclear(self, body: Any, says: str) -> None:
        reply, policy = answer(body), RetryPolicy(jitter=lambda: 0.0)
        assert policy.next_wait(read(), reply, Waited()) is not None
        assert policy.next_wait(write(), reply, Waited()) is None  # it is looked after first
        assert policy.next_wait(write(), reply, Waited(), not_done=True) is not None
        assert may_have_happened(write(), reply)
        assert problem_of(Exchange(write("POST"), reply)).kind is Kind.UNREPEATABLE


@pytest.mark.parametrize("body", [{"data": {"id": RUN}}, {"id": RUN}, {"data": {"id": RUN.upper()}}], ids=repr)
def test_object_with_the_requested_id_is_the_answer(body: Any) -> None:
    for request in (read(), read(None), write()):
        assert unpack(request, answer(body))["id"].lower() == RUN
        assert not may_have_happened(request, answer(body))


@pytest.mark.parametrize("body", [b"", b" \n", {"data": []}, [], {"data": {}}, {}, None, {"data": None}], ids=repr)
def test_empty_body_is_an_answer_to_a_write_but_not_to_a_read(body: Any) -> None:
    assert unpack(write(), answer(body)) is None
    assert Exchange(write(), answer(body)).ok
    with pytest.raises(Unreadable, match="answered with an empty body where one object was expected"):
        unpack(read(), answer(body))


_NO_COUNTS: tuple[Any, ...] = (-1, 1.5, "many", "", "²", [1], {}, True)
_PAGES: list[tuple[Any, str]] = [
    ({"data": [{"id": 1}, {"name": "x"}]}, "a list in which some objects have no id"),
    ({"data": [{"id": []}]}, "a list in which some objects have no id"),
    ({"data": [{"id": 1}], "meta": {"pagination": {"current_page": 2}}}, "page 2 instead of page 3"),
    *(
        ({"data": [{"id": 1}], "meta": {"pagination": {"total_pages": count}}}, "total_pages is not a whole number")
        for count in _NO_COUNTS
    ),
]


@pytest.mark.parametrize(("body", "says"), _PAGES, ids=repr)
def test_invalid_page_is_unreadable(body: Any, says: str) -> None:
    request = Request("GET", ("organizations", "o", "runs"), (("page", 3),), expects="list")
    with pytest.raises(Unreadable, match=says):
        unpack(request, answer(body))


def test_lost_answer_is_not_unreadable() -> None:
    assert not Exchange(read(), Lost("cut", "", sent=True)).unreadable
    assert not Exchange(read(), Response(404, {}, HTML)).unreadable


@pytest.mark.parametrize(
    ("value", "rows"),
    [([1], [1]), ({"data": [1]}, [1]), ([], []), ({"data": []}, []), (None, None), ({}, None), ({"data": 1}, None)],
    ids=repr,
)
def test_rows_of_a_relation(value: Any, rows: Any) -> None:
    assert related(value) == rows


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (0, 0),
        (-1, None),
        ("²", None),
        ("٣", None),
        (True, None),
        (None, None),
        ("", None),
        (7.0, None),
        ("9" * 32, None),
        (10**30, None),
        ([7], None),
    ],
    ids=repr,
)
def test_whole_number(value: Any, number: int | None) -> None:
    assert whole_number(value) == number
