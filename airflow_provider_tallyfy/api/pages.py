"""Walking a list to its end: by page number, to the page count that the server names, losing and repeating nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api import envelope
from airflow_provider_tallyfy.api.problems import Kind, about, reject, unreadable
from airflow_provider_tallyfy.api.wire import Answer, Call, Exchange, Flow


class Walk:
    """The state of one walk. Ask for :attr:`next_call` until it is ``None``; give each exchange to :meth:`take`.

    ``links.next`` is never followed (it names Tallyfy's public host, whatever host was asked). People work while
    a walk goes on, so pages shift: rows seen before are left out; where the server's total shrinks, rows have
    moved up over the boundary of the last page, so the pages before it are read again; where it grows, new rows
    may stand at the front, so the front is read again. A walk that still holds fewer rows than the server counts
    is an error, never a short list.

    :param call: the list call, without a page number.
    :param key: the member that tells rows apart.
    """

    def __init__(self, call: Call, key: str = "id") -> None:
        self._call = call
        self._key = key
        self._seen: set[Any] = set()
        self._again: list[int] = []
        self._read_to = 0
        self._more = True
        self._first_total: int | None = None
        self._read_front = False
        self.total: int | None = None
        self.looked_at = 0

    @property
    def next_page(self) -> int | None:
        """Number of the page to read next, or ``None`` when the walk is over."""
        if self._again:
            return self._again[0]
        return self._read_to + 1 if self._more else None

    @property
    def next_call(self) -> Call | None:
        """The call for the page to read next, or ``None`` when the walk is over."""
        number = self.next_page
        if number is None:
            return None
        return replace(self._call, params=(*self._call.params, ("page", number)))

    def take(self, exchange: Exchange) -> list[dict[str, Any]]:
        """Read one page; return its rows that were not seen before.

        :raises Rejected: for a page that can't be read, and for a walk that comes up short.
        """
        if not (isinstance(exchange.reply, Answer) and exchange.ok):
            reject(exchange)
        try:
            page = envelope.page(exchange.reply)
        except envelope.Unreadable as fault:
            raise unreadable(exchange, fault) from None
        number = self.next_page
        assert number is not None
        fresh = [row for row in page.rows if self._is_new(row)]
        self.looked_at += len(fresh)
        self._plan(number, page, bool(fresh))
        if self.next_page is None and page.total is not None and self.looked_at < page.total:
            raise about(
                exchange.call,
                Kind.SERVER,
                f"{exchange.call.label}: the list came up short: Tallyfy counts {page.total} rows, its pages held "
                f"{self.looked_at}. A retry reads the list anew; nothing is made of a part of it.",
                like=exchange,
            )
        return fresh

    def _plan(self, number: int, page: envelope.Page, progress: bool) -> None:
        size = page.per_page or max(len(page.rows), 1)
        boundary = self._read_to  # up to here, pages were read before this one
        if self._again:
            self._again.pop(0)
        self._read_to = max(self._read_to, number)
        if number == self._read_to:
            if page.total_pages is not None:
                self._more = number < page.total_pages
            else:
                self._more = page.more and progress
        elif page.total_pages is not None:
            self._more = self._read_to < page.total_pages
        if page.total is None:
            return
        before, self.total = self.total, page.total
        self._first_total = page.total if self._first_total is None else self._first_total
        if before is not None and page.total < before:
            pages_back = -(-(before - page.total) // size)
            self._read_again(max(1, boundary - pages_back + 1), boundary)
        if self.next_page is None and self.looked_at < page.total and not self._read_front:
            self._read_front = True
            if page.total > self._first_total:
                self._read_again(1, min(-(-(page.total - self._first_total) // size), self._read_to))

    def _read_again(self, first: int, last: int) -> None:
        self._again = sorted({*self._again, *range(first, last + 1)})

    def _is_new(self, row: dict[str, Any]) -> bool:
        identity = row.get(self._key)
        if identity is None:
            return True
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True


def read_page(walk: Walk) -> Flow[list[dict[str, Any]]]:
    """Read the next page of a walk."""
    call = walk.next_call
    if call is None:
        return []
    return walk.take((yield call))
