"""Walking a list to its end: by page number, to the page count that the server names, losing and repeating nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Page, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject

#: Pages after which a list counts as endless: two million runs.
MOST_PAGES = 20_000


class Walk:
    """The state of one walk. Ask for :attr:`next_request` until it is ``None``; give each exchange to :meth:`take`.

    ``links.next`` is never followed (it names Tallyfy's public host, whatever host was asked). People work while
    a walk goes on, so rows move. The walk knows which places of the list it has seen; where the server's total
    changes, as many places become unknown at the edges as rows may have moved, and their pages are read again. Rows
    seen before are left out. A walk that still holds fewer rows than the server counts is an error, never a short list.

    What a count can't show stays unseen: as many rows removed as added between the same two pages.

    :param request: the list request, without a page number.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._ids: set[Any] = set()
        self._places: list[tuple[int, int]] = []  # stretches of the list, from and to, whose rows have been seen
        self._size: int | None = None
        self._grown = 0
        self._idle = self._fruitful = self._read = 0
        #: Number of the page to read next, ``None`` when the walk is over.
        self.next_page: int | None = 1
        self.total: int | None = None
        self.looked_at = 0

    @property
    def next_request(self) -> Request | None:
        """The request for the page to read next, or ``None`` when the walk is over."""
        if self.next_page is None:
            return None
        return replace(self._request, params=(*self._request.params, ("page", self.next_page)))

    def take(self, exchange: Exchange) -> list[dict[str, Any]]:
        """Read one page; return its rows that were not seen before.

        :raises Rejected: for a page that can't be read, and for a walk that comes up short.
        """
        if not exchange.ok:
            reject(exchange)
        page: Page = exchange.value
        assert self.next_page is not None
        fresh = [row for row in page.rows if self._is_new(row)]
        self.looked_at += len(fresh)
        last = self._note(self.next_page, page, bool(fresh))
        if not page.rows and self.next_page < last:
            raise self._short(exchange, f"page {self.next_page} of {last} is empty")
        self.next_page = self._first_unknown(last)
        if self.next_page is None and self.total is not None and self.looked_at < self.total:
            if self._grown:
                # Rows that came while it was read may stand where it had been before: at the front or at the end.
                self._places = [(self._grown, (last - 1) * (self._size or 1))]
                self._grown = 0
                self.next_page = self._first_unknown(last)
            else:
                raise self._short(exchange, f"Tallyfy counts {self.total} rows, its pages held {self.looked_at}")
        # What counts is how many pages held something new, not how many the server says there are.
        self._fruitful += bool(fresh)
        self._idle = 0 if fresh else self._idle + 1
        if self.next_page is not None and self._idle > 10 + 2 * self._fruitful:
            raise self._short(
                exchange,
                "its pages repeat earlier rows: it changes faster than it can be read, or the page number is ignored",
            )
        self._read += 1
        if self.next_page is not None and self._read >= MOST_PAGES:
            raise endless(exchange)
        return fresh

    def _note(self, number: int, page: Page, progress: bool) -> int:
        """Remember which places are known now; return the number of the last page."""
        size = self._size = page.per_page or self._size or max(len(page.rows), 1)
        if page.total is not None:
            if self.total is not None:
                self._move(page.total - self.total)
            self.total = page.total
        places: list[tuple[int, int]] = []
        for start, stop in sorted([*self._places, ((number - 1) * size, number * size)]):
            if start >= stop:
                continue
            if places and start <= places[-1][1]:
                places[-1] = (places[-1][0], max(stop, places[-1][1]))
            else:
                places.append((start, stop))
        self._places = places
        if page.total_pages is not None:
            return page.total_pages
        if page.total is not None:
            return -(-page.total // size)
        return number + 1 if page.more and progress else number

    def _move(self, change: int) -> None:
        """Rows were removed or added somewhere: those behind it have moved by as many places."""
        self._grown += max(change, 0)
        front = [(start, stop + min(change, 0)) for start, stop in self._places if start == 0]
        others = [(start + max(change, 0), stop + min(change, 0)) for start, stop in self._places if start > 0]
        self._places = [(start, stop) for start, stop in [*front, *others] if start < stop]

    def _first_unknown(self, last: int) -> int | None:
        """The page that holds the first place not seen, if there is one."""
        known = next((stop for start, stop in self._places if start == 0), 0)
        number = known // (self._size or 1) + 1
        return number if number <= last else None

    def _short(self, exchange: Exchange, why: str) -> Rejected:
        return about(
            exchange.request,
            Kind.SERVER,
            f"{exchange.request.label}: the list came up short: {why}. "
            "A retry reads the list anew; nothing is made of a part of it.",
            like=exchange,
        )

    def _is_new(self, row: dict[str, Any]) -> bool:
        identity = row["id"]
        if identity in self._ids:
            return False
        self._ids.add(identity)
        return True


def read_page(walk: Walk) -> Flow[list[dict[str, Any]]]:
    """Read the next page of a walk."""
    request = walk.next_request
    if request is None:
        return []
    return walk.take((yield request))


def read_page_number(request: Request, number: int) -> Flow[Page]:
    """Read one page by its number, outside of any walk.

    :raises Rejected: also where the list says that it has no end.
    """
    exchange = yield replace(request, params=(*request.params, ("page", number)))
    if not exchange.ok:
        reject(exchange)
    page: Page = exchange.value
    if page.total_pages is not None and page.total_pages > MOST_PAGES:
        raise endless(exchange)
    return page


def endless(exchange: Exchange) -> Rejected:
    """The error for a list of more pages than any organization has."""
    return about(
        exchange.request,
        Kind.SERVER,
        f"{exchange.request.label}: the list does not end after {MOST_PAGES:,} pages. Is the connection's host the "
        "API?",
        like=exchange,
    )
