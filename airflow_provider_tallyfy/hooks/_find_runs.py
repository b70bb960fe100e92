"""Methods of the hook that find runs: read a whole list, or search it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any, NoReturn

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE
from airflow_provider_tallyfy.api.runs import search
from airflow_provider_tallyfy.api.runs.filters import Asked
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.runs.search import FoundRuns, Search
from airflow_provider_tallyfy.hooks._base import TallyfyBaseHook

_NO_FILTERS = ("self", "unknown", "include", "form_fields_values", "sort", "per_page", "limit", "order", "fields")


class FindRunsHook(TallyfyBaseHook):
    """Methods of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that find runs."""

    def iter_runs(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        archived: bool | str | None = None,
        owners: Iterable[int | str] | None = None,
        owner_id: int | str | None = None,
        template: str | None = None,
        checklist_id: str | None = None,
        folder: str | None = None,
        tags: Iterable[str] | None = None,
        tag: str | None = None,
        tag_ids: Iterable[str] | None = None,
        exclude_tags: Iterable[str] | None = None,
        untagged: bool | str | None = None,
        starred: bool | str | None = None,
        groups: Iterable[str] | None = None,
        type: str | None = None,
        task_status: str | None = None,
        name_pattern: str | None = None,
        stale_after: timedelta | str | None = None,
        stale_by: str | None = None,
        archived_after: datetime | date | str | None = None,
        archived_before: datetime | date | str | None = None,
        include: Iterable[str] = (),
        form_fields_values: bool | None = None,
        sort: str = "created_at",
        per_page: int = PAGE_SIZE,
        **unknown: NoReturn,
    ) -> Iterator[Run]:
        """Yield all matching runs as Tallyfy returns them, page by page.

        Sends one request per 100 runs, and one for each list in which a title is looked up. No run is yielded twice.
        If the pages hold fewer runs than Tallyfy counts, the iteration ends with an error. So it does if a filter
        names an id that no run shows and that Tallyfy does not know either.

        :param q: this and the other filters are described at :meth:`find_runs`.
        :param include: relations to return with each run (``tags``, ``folders``, ``tasks``, ``checklist`` ...).
        :param form_fields_values: return the form values too.
        :param sort: ``created_at``, ``-created_at`` or ``name``. The default keeps the pages stable while runs are
            added.
        :param per_page: rows per request, 1 to 100.
        :raises TallyfyArgumentError: for a bad value, and for a title or id that does not exist (the message names the
            nearest titles).
        """
        given = _filters(locals())  # first, while the arguments are the only local names
        walk = self._checked(
            Search,
            self.organization_id,
            self._checked(Asked.of, given, datetime.now(timezone.utc)),
            include=include,
            form_fields_values=form_fields_values,
            sort=sort,
            per_page=per_page,
        )
        return self._runs_of(walk)

    def _runs_of(self, walk: Search) -> Iterator[Run]:
        while (page := self._perform(walk.next_page())) is not None:
            yield from page

    def find_runs(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        archived: bool | str | None = None,
        owners: Iterable[int | str] | None = None,
        owner_id: int | str | None = None,
        template: str | None = None,
        checklist_id: str | None = None,
        folder: str | None = None,
        tags: Iterable[str] | None = None,
        tag: str | None = None,
        tag_ids: Iterable[str] | None = None,
        exclude_tags: Iterable[str] | None = None,
        untagged: bool | str | None = None,
        starred: bool | str | None = None,
        groups: Iterable[str] | None = None,
        type: str | None = None,
        task_status: str | None = None,
        name_pattern: str | None = None,
        stale_after: timedelta | str | None = None,
        stale_by: str | None = None,
        archived_after: datetime | date | str | None = None,
        archived_before: datetime | date | str | None = None,
        limit: int | str | None = None,
        order: str | None = None,
        fields: Iterable[str] | None = None,
        **unknown: NoReturn,
    ) -> FoundRuns:
        """Find runs by the filters of Tallyfy and by additional ones, and return the chosen fields of each.

        Every filter is checked again on the returned rows, because Tallyfy ignores parameters that it does not know. A
        row that lacks the field of a filter does not match. Only ``owners``, ``groups`` and ``task_status`` cannot be
        checked, because rows do not hold the values that Tallyfy compares.

        Sends one request per 100 runs of the list, one for each list (tags, templates, folders, members, groups) in
        which a title or an e-mail address is looked up, and at the end one for each id that no row shows. A title or id
        that does not exist is an error. Upper and lower case do not matter in titles. ``None`` means "not given".

        :param q: words of the run's name; Tallyfy does the search.
        :param status: ``active``, ``complete``, ``problem`` (with ``issue``), ``issue``, ``improvement``, ``delayed``,
            ``starred``, or ``archived`` (the same as ``archived="only"``).
        :param archived: ``False`` (default) = live runs, ``True`` = live and archived runs, ``"only"`` = archived
            runs.
        :param owners: ids or e-mail addresses of members; matches the run's owner *or* an assignee of one of its
            tasks.
        :param owner_id: id or e-mail address of the run's owner.
        :param template: title or id of the template.
        :param checklist_id: another name of ``template``, the one that Tallyfy's API uses.
        :param folder: name or id of a folder.
        :param tags: titles or ids of tags; finds runs that have any of them.
        :param tag: title or id of one tag.
        :param tag_ids: another name of ``tags``, the one that Tallyfy's API uses.
        :param exclude_tags: titles or ids of tags; finds runs that have none of them.
        :param untagged: ``True`` = runs without tags, ``False`` = runs with tags.
        :param starred: ``True`` = starred runs, ``False`` = runs without a star.
        :param groups: names or ids of groups.
        :param type: ``procedure``, ``form`` or ``document``.
        :param task_status: ``all``, ``in-progress`` or ``completed``.
        :param name_pattern: shell pattern for the whole name, such as ``"Onboarding*"``; case does not matter.
        :param stale_after: finds runs that did not change for longer than this: a ``timedelta`` or an ISO 8601 duration
            (``"P30D"``). A plain number is refused.
        :param stale_by: the timestamp that ``stale_after`` looks at: ``last_updated`` (default), ``completed_at``,
            ``created_at`` or ``started_at``.
        :param archived_after: finds runs archived at or after this time: a ``datetime``, a ``date`` (its midnight) or
            ISO 8601 text; UTC if it has no time zone. Implies ``archived="only"``.
        :param archived_before: finds runs archived before this time; otherwise like ``archived_after``.
        :param limit: maximum number of rows; where Tallyfy itself can sort by ``order``, no further page is read.
        :param order: ``created_at`` (default), ``name``, ``last_updated``, ``completed_at`` or ``started_at``;
            descending with a ``-`` before it.
        :param fields: the fields of a row besides ``id``; ``None`` = ``name``, ``status``, ``last_updated``. ``tags``
            is a list of titles, and adds the list of their ids as ``tag_ids``; ``folders`` adds ``folder_ids`` in the
            same way. Keep ``last_updated`` if you pass the rows to a bulk change, which skips runs that somebody
            modified since.
        :return: the rows, with the number of runs that were read and the reasons why others did not match.
        :raises TallyfyArgumentError: for a bad value, and for a title or id that does not exist (the message names the
            nearest titles).
        :raises TallyfyServerError: if a list is incomplete or cannot be read, and if rows lack the tags or folders that
            were requested with them.
        """
        given = _filters(locals())  # first, while the arguments are the only local names
        now = datetime.now(timezone.utc)
        return self._perform(search.find(self.organization_id, given, now, limit=limit, order=order, fields=fields))


def _filters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters among a method's arguments. Unknown names stay in, so that the search refuses them."""
    return {**{name: value for name, value in arguments.items() if name not in _NO_FILTERS}, **arguments["unknown"]}
