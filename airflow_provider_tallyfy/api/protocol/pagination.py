"""Read a list to its end, page by page, without missing or repeating a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Page, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject

#: A list with more pages counts as endless: this is two million runs.
MOST_PAGES = 20_000


class Walk:
    """Reads one list. Send :attr:`next_request` until it is ``None``; give each exchange to :meth:`take`.

    Pages are requested by number, up to the page count that the server states. ``links.next`` is never followed: it
    names Tallyfy's public host even if another host was asked. People keep working meanwhile, so rows move. The walk
    remembers which positions of the list it has read. When the server's total changes, as many positions as rows may
    have moved become unknown again, and their pages are read again. Rows that were read before are left out. If the
    walk ends with fewer rows than the server counts, that is an error, never a short list.

    One change can't be detected: as many rows removed as added between the same two pages.

    :param request: the list request, without a page number.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._ids: set[Any] = set()
        self._places: list[tuple[int, int]] = []  # ranges of positions whose rows have been read
        self._size: int | None = None
        self._grown = 0
        self._idle = self._fruitful = self._read = 0
        #: Number of the page to read next; ``None`` = the list is read.
        self.next_page: int | None = 1
        self.total: int | None = None
        self.looked_at = 0

    @property
    def next_request(self) -> Request | None:
        """The request for the next page; ``None`` = the list is read."""
        if self.next_page is None:
            return None
        return replace(self._request, params=(*self._request.params, ("page", self.next_page)))

    def take(self, exchange: Exchange) -> list[dict[str, Any]]:
        """Take in one page; return its new rows.

        :raises Rejected: for a page that can't be read, and for a list that is incomplete.
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
                # New rows may be on positions that had been read before they came: at the front or at the end.
                self._places = [(self._grown, (last - 1) * (self._size or 1))]
                self._grown = 0
                self.next_page = self._first_unknown(last)
            else:
                raise self._short(exchange, f"Tallyfy counts {self.total} rows, but its pages had {self.looked_at}")
        # The limit depends on how many pages had new rows, not on how many pages the server says there are.
        self._fruitful += bool(fresh)
        self._idle = 0 if fresh else self._idle + 1
        if self.next_page is not None and self._idle > 10 + 2 * self._fruitful:
            raise self._short(
                exchange,
                "its pages repeat earlier rows: it changes faster than it is read, or Tallyfy ignores the page number",
            )
        self._read += 1
        if self.next_page is not None and self._read >= MOST_PAGES:
            raise endless(exchange)
        return fresh

    def _note(self, number: int, page: Page, progress: bool) -> int:
        """Remember which positions have been read; return the number of the last page."""
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
        """Rows were removed or added somewhere in the list, so all rows after them have moved by as many positions."""
        self._grown += max(change, 0)
        front = [(start, stop + min(change, 0)) for start, stop in self._places if start == 0]
        others = [(start + max(change, 0), stop + min(change, 0)) for start, stop in self._places if start > 0]
        self._places = [(start, stop) for start, stop in [*front, *others] if start < stop]

    def _first_unknown(self, last: int) -> int | None:
        """Return the number of the page with the first position that has not been read, if there is one."""
        known = next((stop for start, stop in self._places if start == 0), 0)
        number = known // (self._size or 1) + 1
        return number if number <= last else None

    def _short(self, exchange: Exchange, why: str) -> Rejected:
        return about(
            exchange.request,
            Kind.SERVER,
            f"{exchange.request.label}: the list is incomplete: {why}. "
            "A retry reads it again; an incomplete list is never used.",
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
    """Read a single page by its number.

    :raises Rejected: for a page that can't be read, and for a list with more than :data:`MOST_PAGES` pages.
    """
    exchange = yield replace(request, params=(*request.params, ("page", number)))
    if not exchange.ok:
        reject(exchange)
    page: Page = exchange.value
    if page.total_pages is not None and page.total_pages > MOST_PAGES:
        raise endless(exchange)
    return page


def endless(exchange: Exchange) -> Rejected:
    """Return the error for a list with more pages than any organization has."""
    return about(
        exchange.request,
        Kind.SERVER,
        f"{exchange.request.label}: the list does not end after {MOST_PAGES:,} pages. Is the connection's host the "
        "API?",
        like=exchange,
    )
