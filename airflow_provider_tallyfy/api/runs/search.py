"""Find runs: look up titles, read the list, apply the filters to every row, and count what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_flag, check_text, check_texts, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, Param, Request
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page, read_page_number
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about
from airflow_provider_tallyfy.api.runs import rows as _rows
from airflow_provider_tallyfy.api.runs.filters import FILTERS, Asked
from airflow_provider_tallyfy.api.runs.model import Run, describe

MOST_PER_PAGE = 1000  # rows; Tallyfy's own clients never ask for more than 100


@dataclass
class FoundRuns(Sequence[Run]):
    """The result of a search: a sequence of rows, with the numbers of runs that were left out.

    :param looked_at: runs that Tallyfy returned.
    :param kept: runs that matched every filter.
    :param non_matching: runs left out because they do not match a filter that Tallyfy should have applied.
    :param undated: runs left out because the timestamp for a filter is missing or invalid.
    :param rows: the rows.
    :param reasons: number of runs left out, by filter.
    """

    looked_at: int = 0
    kept: int = 0
    non_matching: int = 0
    undated: int = 0
    rows: list[Run] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...

    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


class Search:
    """One pass over a list of runs. Perform :meth:`next_page` until it returns ``None``.

    Titles are looked up before the first page. Ids that no row shows are looked up after the last page, because a
    search for something that does not exist is an error, not an empty result.

    :param org: the organization.
    :param asked: the filters.
    :param include: further relations to return with each run.
    :raises ArgumentError: for an invalid value; nothing was sent.
    """

    def __init__(
        self,
        org: str,
        asked: Asked,
        *,
        include: Iterable[str] = (),
        form_fields_values: bool | None = None,
        sort: str = "created_at",
        per_page: int = PAGE_SIZE,
    ) -> None:
        if isinstance(per_page, bool) or not isinstance(per_page, int) or not 0 < per_page <= MOST_PER_PAGE:
            raise ArgumentError(f"per_page={show(per_page)} is not a whole number from 1 to {MOST_PER_PAGE}.")
        self.org = org
        self.asked = asked
        self.found = FoundRuns()
        #: The last page, including the runs that do not match.
        self.page: list[Run] = []
        self._relations = list(dict.fromkeys([*asked.relations, *check_texts("include", include)]))
        self._needed = list(asked.relations)
        self._form_fields_values = (
            None if form_fields_values is None else check_flag("form_fields_values", form_fields_values)
        )
        self._sort = check_text("sort", sort)
        self._per_page = per_page
        self._walk: Walk | None = None
        self._titles: dict[str, dict[str, str]] = {}
        self._shown: dict[str, set[str]] = {
            name: set() for name in asked.values if FILTERS[name].kind and FILTERS[name].shows
        }

    def next_page(self) -> Flow[list[Run] | None]:
        """Read a page and return its matching runs; ``None`` after the last page.

        :raises ArgumentError: for an unknown title or id.
        :raises Rejected: for a page that can't be read, and for rows that do not show a relation that was requested.
        """
        if self._walk is None:
            self.asked = yield from self._resolved()
            self._walk = Walk(self._request(self._relations, self.asked.query))
        if self._walk.next_request is None:
            yield from self.check_ids()
            return None
        self.page = yield from read_page(self._walk)
        return [run for run in self.page if self._keeps(run)]

    def check_ids(self) -> Flow[None]:
        """Look up the ids that no row has shown.

        :raises ArgumentError: for an id that does not exist.
        """
        for name, shown in self._shown.items():
            for identity in _as_list(self.asked.values[name]):
                if str(identity) not in shown:
                    yield from self._check_exists(name, str(identity))

    def titles_of(self, kind: titles.Kind) -> Flow[dict[str, str]]:
        """Return the titles of everything of a kind in the organization, by id. The list is read only once."""
        if kind.what not in self._titles:
            self._titles[kind.what] = yield from titles.read_kind(self.org, kind)
        return self._titles[kind.what]

    def require(self, relations: Iterable[str]) -> None:
        """Request these relations; a row that does not show them is an error."""
        self._needed = list(dict.fromkeys([*self._needed, *relations]))
        self._relations = list(dict.fromkeys([*self._relations, *relations]))

    def not_shown(self, why: str) -> Rejected:
        """Return the error for something that Tallyfy left out although it was requested."""
        return about(self._request(self._relations, {}), Kind.SERVER, f"GET /runs: {why}")

    def _request(self, relations: Iterable[str], query: Mapping[str, Param], per_page: int | None = None) -> Request:
        return run_endpoints.list_runs(
            self.org,
            include=relations,
            form_fields_values=self._form_fields_values,
            sort=self._sort,
            per_page=per_page or self._per_page,
            **query,
        )

    def _keeps(self, run: Run) -> bool:
        """Count a run, and return whether it matches."""
        for relation in self._needed:
            if not _rows.is_shown(run, relation):
                raise self.not_shown(
                    f"Tallyfy returned the run {describe(run)} without its {relation}, although they were requested "
                    f"(with={relation}). So it is unknown which {relation} the run has."
                )
        for name, shown in self._shown.items():
            shows = FILTERS[name].shows
            shown.update((shows and shows(run)) or ())
        self.found.looked_at += 1
        misfit = self.asked.misfit(run)
        if misfit is None:
            self.found.kept += 1
            return True
        self.found.reasons[self.asked.called.get(misfit, misfit)] += 1
        self.found.non_matching += self.asked.was_sent(misfit)
        self.found.undated += self.asked.undated(run, misfit)
        return False

    def _resolved(self) -> Flow[Asked]:
        """Turn titles into ids."""
        ids: dict[str, Any] = {}
        for name, value in self.asked.values.items():
            kind = FILTERS[name].kind
            if kind is None:
                continue
            wanted = [str(entry) for entry in _as_list(value)]
            # An excluded tag protects runs. A tag that does not exist protects none, and no row could reveal that.
            if name == "exclude_tags" or not all(_is_id(entry, kind) for entry in wanted):
                known = yield from self.titles_of(kind)
                plain = {entry: entry for entry in wanted if _is_id(entry, kind) and name != "exclude_tags"}
                called = self.asked.called[name]
                wanted, missing = titles.resolve(called, kind.what, wanted, {**plain, **known})
                if missing:
                    raise titles.unknown(called, kind.what, missing, known.values(), kind.called)
            ids[name] = wanted if isinstance(value, list) else wanted[0]
        return self.asked.with_ids(ids)

    def _check_exists(self, name: str, identity: str) -> Flow[None]:
        """Check that an id exists.

        Lists leave out archived and removed objects, but their runs remain: a run with the id proves it as well.
        """
        row = FILTERS[name]
        assert row.kind is not None
        try:
            known = yield from self.titles_of(row.kind)
        except Rejected as rejected:
            if rejected.problem.kind in (Kind.FORBIDDEN, Kind.NOT_FOUND):
                return  # this token may not read the list, so the id can't be checked
            raise
        if identity in known:
            return
        query: dict[str, Param] = {"archived": "true", row.sent or "owners": identity}
        request = self._request([row.relation] if row.relation else [], query, 1)
        page = yield from read_page_number(request, 1)
        if any(row.fits is None or (row.shows and identity in (row.shows(run) or ())) for run in page.rows):
            return
        raise titles.unknown(self.asked.called[name], row.kind.what, [identity], known.values(), row.kind.called)


def find(
    org: str,
    filters: Mapping[str, Any],
    now: datetime,
    *,
    limit: int | str | None = None,
    order: str | None = None,
    fields: Iterable[str] | None = None,
) -> Flow[FoundRuns]:
    """Find runs, and return the chosen fields of each.

    :param filters: by name, see :data:`~airflow_provider_tallyfy.api.runs.filters.FILTERS`; ``None`` = not given.
    :param now: ``stale_after`` is counted back from this time.
    :param limit: most rows. In an order that Tallyfy supports, reading stops there.
    :param order: one of :data:`~airflow_provider_tallyfy.api.runs.rows.ORDERS`; ``None`` = ``created_at``.
    :param fields: the fields of a row; ``None`` = :data:`~airflow_provider_tallyfy.api.runs.rows.FIELDS`.
    :raises ArgumentError: for an invalid value (nothing was sent), and for unknown titles and ids.
    """
    most = None if limit is None else check_limit("limit", limit)
    by = "created_at" if order is None else _rows.check_order("order", order)
    keep = _rows.check_fields("fields", _rows.FIELDS if fields is None else fields)
    search = Search(org, Asked.of(filters, now), sort=_rows.sort_for(by))
    relations = _rows.relations_for(keep)
    search.require(relations)
    kept = list(dict.fromkeys([*(name for name in keep if name not in _LABEL_FIELDS), *relations, by.lstrip("-")]))
    # Tallyfy's order is trusted only while the rows confirm it: otherwise the first rows might be the wrong ones.
    by_server = by in _rows.SERVER_ORDERS
    last: list[Run] = []
    runs: list[Run] = []
    while (page := (yield from search.next_page())) is not None:
        by_server, last = by_server and _rows.in_order([*last, *search.page], by), search.page[-1:]
        runs += [{name: run.get(name) for name in kept} for run in page]
        if by_server and most is not None and len(runs) >= most:
            yield from search.check_ids()
            break
    runs = (runs if by_server else _rows.arranged(runs, by))[:most]
    known = yield from _missing_titles(search, runs, keep)
    search.found.rows = [_rows.row_of(run, keep, known) for run in runs]
    return search.found


_LABEL_FIELDS = (*_rows.LABELS, *_rows.LABELS.values())


def _missing_titles(search: Search, runs: list[Run], fields: Iterable[str]) -> Flow[dict[str, dict[str, str]]]:
    """Look up the titles of tags and folders that the runs show without a title."""
    known: dict[str, dict[str, str]] = {}
    for label, kind in (("tags", titles.TAG), ("folders", titles.FOLDER)):
        missing = {identity: run for run in runs for identity in _rows.untitled(run, label)} if label in fields else {}
        if not missing:
            continue
        known[label] = yield from search.titles_of(kind)
        for identity, run in missing.items():
            if not known[label].get(identity):
                raise search.not_shown(
                    f"the run {describe(run)} has the {kind.what} {identity}, whose {kind.called} Tallyfy does not "
                    f"show. Use the field {_rows.LABELS[label]!r} instead of {label!r}."
                )
    return known


def check_limit(argument: str, value: object) -> int:
    """Return a whole number above 0; digits in a string are accepted."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ArgumentError(f"{argument}={show(value)} is not a whole number above 0.")
    return number


#: The options of a search, with the check of each.
OPTIONS = {"limit": check_limit, "order": _rows.check_order, "fields": _rows.check_fields}


def _is_id(text: str, kind: titles.Kind) -> bool:
    return text.isdigit() if kind is titles.MEMBER else titles.looks_like_id(text)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
