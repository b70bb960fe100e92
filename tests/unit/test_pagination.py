"""Pages in every shape that Tallyfy sends, and lists that are read to their end while people change them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Page, Request, Response, Unreadable, unpack
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected

LIST = Request("GET", ("organizations", "o", "runs"), (("per_page", 2),), expects="list")
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"


def answer(body: Any, **headers: str) -> Response:
    return Response(200, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


_NEXT = {"next": "https://go.tallyfy.com/api/organizations/o/runs?page=2"}
_LINKS: list[tuple[Any, bool]] = [
    (_NEXT, True),
    ({**_NEXT, "previous": None}, True),
    ({"previous": "https://x", "next": None}, False),
    ({"prev": "https://x"}, False),
    ([], False),
    (None, False),
    ("absent", False),
]


@pytest.mark.parametrize(("links", "more"), _LINKS, ids=repr)
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "digits"])
def test_page(links: Any, more: bool, text: bool) -> None:
    numbers: dict[str, Any] = {"total": 55, "count": 1, "per_page": 10, "current_page": 3, "total_pages": 6}
    if text:
        numbers = {name: str(value) for name, value in numbers.items()}
    pagination = numbers if links == "absent" else {**numbers, "links": links}
    page = unpack(LIST, answer({"data": [{"id": "1"}], "meta": {"pagination": pagination}}))
    assert page == Page([{"id": "1"}], total_pages=6, total=55, per_page=10, more=more)


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": []}, {"meta": {"pagination": []}}], ids=repr)
def test_page_without_page_numbers_is_the_only_page(meta: Any) -> None:
    assert unpack(LIST, answer({"data": [{"id": "1"}], **meta})) == Page([{"id": "1"}])
    assert [row["id"] for row in walk_over([[{"id": "1"}]], lambda _: meta)] == ["1"]


@pytest.mark.parametrize("body", [{"data": None}, {"data": {"id": 1}}, {"data": [1]}, {}, "x", 7, b""], ids=repr)
def test_anything_but_a_list_is_unreadable(body: Any) -> None:
    with pytest.raises(Unreadable, match="not a list of objects"):
        unpack(LIST, answer(body))


def walk_over(pages: list[list[dict[str, Any]]], meta: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Read a list that does not change."""
    walk, rows = Walk(LIST), []
    while (request := walk.next_request) is not None:
        number = dict(request.params)["page"]
        assert isinstance(number, int)
        assert request.params == (*LIST.params, ("page", number))
        rows += walk.take(Exchange(request, answer({"data": pages[number - 1], **meta(number)})))
    return rows


_FIVE = [[{"id": 1}, {"id": 2}], [{"id": 3}, {"id": 4}], [{"id": 5}]]
_ONLY: dict[str, Callable[[int], dict[str, Any]]] = {
    "total_pages": lambda n: {"total_pages": 3},
    "total_pages and total": lambda n: {"total_pages": 3, "total": 5, "per_page": 2, "current_page": n},
    "total": lambda n: {"total": 5},
    "total and size": lambda n: {"total": 5, "per_page": 2},
    "links": lambda n: {"links": {"next": "https://elsewhere.example/"} if n < 3 else []},
    "a next link on the last page too": lambda n: {"total_pages": 3, "links": _NEXT},
}


@pytest.mark.parametrize("pagination", _ONLY.values(), ids=_ONLY)
def test_list_is_read_to_its_end_whatever_the_server_states(pagination: Callable[[int], dict[str, Any]]) -> None:
    rows = walk_over(_FIVE, lambda number: {"meta": {"pagination": pagination(number)}})
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]


_SHORT: dict[str, tuple[list[list[dict[str, Any]]], dict[str, Any], str]] = {
    "total too high": (_FIVE, {"total_pages": 3, "total": 6}, "Tallyfy counts 6 rows, but its pages had 5"),
    "the same page again": ([_FIVE[0]] * 3, {"total_pages": 3, "total": 5, "per_page": 2}, "its pages had 2"),
    "empty in between": ([_FIVE[0], [], _FIVE[2]], {"total_pages": 3}, "page 2 of 3 is empty"),
    "endless": ([_FIVE[0], *[[]] * 9], {"total_pages": 10**9}, "page 2 of 1000000000 is empty"),
}


@pytest.mark.parametrize(("pages", "pagination", "says"), _SHORT.values(), ids=_SHORT)
def test_incomplete_list_is_an_error(pages: list[list[dict[str, Any]]], pagination: dict[str, Any], says: str) -> None:
    with pytest.raises(Rejected, match=r"the list is incomplete: .*an incomplete list is never used") as caught:
        walk_over(pages, lambda _: {"meta": {"pagination": pagination}})
    assert says in str(caught.value)
    assert caught.value.problem.kind is Kind.SERVER  # transient: a retry reads the list again


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer({"data": None}), Kind.SERVER),
        (answer(HTML), Kind.SERVER),
        (Response(404, {}, b"{}"), Kind.NOT_FOUND),
        (Response(503, {}, b"{}"), Kind.SERVER),
    ],
)
def test_unreadable_page_in_the_middle_is_an_error(reply: Response, kind: Kind) -> None:
    walk = Walk(LIST)
    first = read_page(walk)
    next(first)
    with pytest.raises(StopIteration):
        first.send(Exchange(LIST, answer({"data": _FIVE[0], "meta": {"pagination": {"total_pages": 3}}})))
    second = read_page(walk)
    with pytest.raises(Rejected) as caught:
        second.send(Exchange(next(second), reply))
    assert caught.value.problem.kind is kind


class Organization:
    """A list that people change between two page requests."""

    def __init__(self, rows: int, size: int) -> None:
        self.rows = list(range(rows))
        self.size = size
        self.there_all_along = set(self.rows)
        self._next = rows

    def remove(self, places: list[int]) -> None:
        for place in places:
            if self.rows:
                self.there_all_along.discard(self.rows.pop(place % len(self.rows)))

    def add(self, places: list[int]) -> None:
        for place in places:
            self.rows.insert(place % (len(self.rows) + 1), self._next)
            self._next += 1

    def page(self, number: int) -> Response:
        rows = self.rows[(number - 1) * self.size : number * self.size]
        pagination = {
            "total": len(self.rows),
            "per_page": self.size,
            "current_page": number,
            "total_pages": max(1, -(-len(self.rows) // self.size)),
        }
        return answer({"data": [{"id": row} for row in rows], "meta": {"pagination": pagination}})


_places = st.lists(st.integers(0, 30), max_size=6)
_work = st.lists(st.tuples(st.sampled_from(["remove", "add"]), _places), max_size=12)


def read(
    organization: Organization, between: Callable[[int, list[int]], object] = lambda reads, ids: None
) -> list[int]:
    """Read a list; ``between`` changes it after each page, and gets the pages and rows so far."""
    walk, ids, reads = Walk(LIST), list[int](), 0
    while (request := walk.next_request) is not None:
        page = organization.page(int(dict(request.params)["page"]))
        ids += [row["id"] for row in walk.take(Exchange(request, page))]
        reads += 1
        between(reads, ids)
    assert walk.looked_at == len(ids)
    return ids


@given(st.integers(0, 20), st.integers(1, 4), _work)
# Rows moved up over a page that was being read for the second time.
@example(6, 2, [("remove", []), ("remove", [4]), ("remove", [0, 0]), ("remove", [])])
@example(8, 3, [("remove", [0, 0, 0, 1, 1]), ("add", [0])])
def test_no_row_is_missed_or_repeated_while_the_list_changes(
    rows: int, size: int, work: list[tuple[str, list[int]]]
) -> None:
    organization = Organization(rows, size)
    steps = iter(work)

    def people(reads: int, ids: list[int]) -> None:
        # Removing and adding equally many rows between the same two pages would not change the server's count.
        what, places = next(steps, ("add", []))
        getattr(organization, what)(places)
        assert len(ids) == len(set(ids))

    try:
        ids = read(organization, people)
    except Rejected:
        # Rows that were added meanwhile may be missing. Then there is an error, and no incomplete list.
        assert any(what == "add" and places for what, places in work)
    else:
        assert organization.there_all_along <= set(ids)


@given(st.integers(0, 40), st.integers(1, 5))
def test_unchanged_list_costs_one_request_per_page(rows: int, size: int) -> None:
    pages: list[int] = []
    assert read(Organization(rows, size), lambda reads, _: pages.append(reads)) == list(range(rows))
    assert len(pages) == max(1, -(-rows // size))


def test_list_whose_rows_are_removed_while_it_is_read() -> None:
    organization, pages = Organization(10, 3), list[int]()

    def remove(reads: int, ids: list[int]) -> None:
        organization.rows = [row for row in organization.rows if row not in ids]
        pages.append(reads)

    ids = read(organization, remove)
    assert sorted(ids) == list(range(10))
    assert len(pages) <= 6


def test_list_that_changes_all_the_time_is_an_error() -> None:
    organization = Organization(8, 2)

    def flicker(reads: int, ids: list[int]) -> None:
        organization.rows = list(range(2 if reads % 2 else 8))

    with pytest.raises(Rejected, match="it changes faster than it is read"):
        read(organization, flicker)


@pytest.mark.parametrize("where", [0, 30], ids=["at the front", "at the end"])
def test_rows_added_meanwhile_are_read_too(where: int) -> None:
    organization = Organization(6, 2)
    ids = read(organization, lambda reads, _: organization.add([where] if reads == 1 else []))
    assert sorted(ids) == [0, 1, 2, 3, 4, 5, 6]
