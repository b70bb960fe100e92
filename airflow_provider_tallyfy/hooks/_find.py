"""Find runs: walk a list, or search it."""

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
    """The part of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that finds runs."""

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
        """Yield runs as Tallyfy returns them, page by page, to the end of the list.

        One request per 100 runs, and one for each list in which a title is looked up. No run comes twice, and a list
        that comes up short of what Tallyfy counts is an error. The filters are those of :meth:`find_runs`.

        An id that no run has is looked up at the end: if nothing has it, the iteration ends with an error.

        :param q: see :meth:`find_runs`, as for all filters.
        :param include: relations to return with each run (``tags``, ``folders``, ``tasks``, ``checklist`` ...).
        :param form_fields_values: return form values too.
        :param sort: ``created_at``, ``-created_at`` or ``name``; the default keeps pages stable while runs are added.
        :param per_page: rows per request, 1 to 100.
        :raises TallyfyArgumentError: for a bad value, and for titles and ids that nothing has (naming the nearest).
        """
        given = _filters(locals())  # before any other name is bound
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
        """Find runs by Tallyfy's filters and by those that it lacks, keeping only the chosen fields.

        Every filter is checked again on the rows: Tallyfy ignores parameters that it does not know, and a clean-up must
        not rely on that. A row that does not show what a filter asks about does not match. No row shows what Tallyfy
        compares ``owners``, ``groups`` and ``task_status`` with, so these are taken on trust.

        One request per 100 runs of the list, one for each list (tags, templates, folders, members, groups) in which a
        title or an e-mail address is looked up, and at the end one for each id that no row shows: searching for
        something that does not exist is an error. Titles are found in any case of their letters. ``None`` = not given.

        :param q: words of the name, as Tallyfy searches.
        :param status: ``active``, ``complete``, ``problem`` (with ``issue``), ``issue``, ``improvement``, ``delayed``,
            ``starred``, or ``archived`` (the same as ``archived="only"``).
        :param archived: ``False`` (default) = live runs, ``True`` = archived ones too, ``"only"`` = archived ones
            alone.
        :param owners: ids or e-mail addresses of members; Tallyfy matches the run's owner *or* an assignee of one of
            its tasks.
        :param owner_id: id or e-mail address of the run's owner, exactly.
        :param template: title or id of the template.
        :param checklist_id: Tallyfy's own name of ``template``.
        :param folder: name or id of a folder.
        :param tags: titles or ids of tags: runs that have any of them.
        :param tag: title or id of one tag.
        :param tag_ids: Tallyfy's own name of ``tags``.
        :param exclude_tags: titles or ids of tags: only runs that have none of them.
        :param untagged: ``True`` = runs without tags, ``False`` = runs with tags.
        :param starred: ``True`` = starred runs, ``False`` = the others.
        :param groups: names or ids of groups.
        :param type: ``procedure``, ``form`` or ``document``.
        :param task_status: ``all``, ``in-progress`` or ``completed``.
        :param name_pattern: shell pattern for the whole name, letters in any case: ``"Onboarding*"``.
        :param stale_after: runs left alone for longer: a ``timedelta`` or ISO 8601 (``"P30D"``). A bare number is
            refused.
        :param stale_by: which timestamp says so: ``last_updated`` (default), ``completed_at``, ``created_at`` or
            ``started_at``.
        :param archived_after: runs archived at or after this: a ``datetime``, a ``date`` (its midnight) or ISO 8601
            text. What names no time zone is UTC. Finds archived runs without ``archived="only"``.
        :param archived_before: runs archived before this; likewise.
        :param limit: most rows; the walk ends there if the order is Tallyfy's.
        :param order: ``created_at`` (default), ``name``, ``last_updated``, ``completed_at`` or ``started_at``, with
            ``-`` before it for descending.
        :param fields: what a row keeps, beside ``id``; ``None`` = ``name``, ``status``, ``last_updated``. ``tags`` is a
            list of titles, and brings the list of their ids as ``tag_ids``; ``folders`` likewise, with ``folder_ids``.
            Keep ``last_updated`` if the rows are changed in bulk: it tells which runs were modified meanwhile.
        :return: a sequence of rows that also says how many runs were looked at, and why others were left out.
        :raises TallyfyArgumentError: for a bad value, and for titles and ids that nothing has (naming the nearest).
        :raises TallyfyServerError: for a list that comes up short or can't be read, and for rows that do not show the
            tags or folders that they were asked for.
        """
        given = _filters(locals())  # before any other name is bound
        now = datetime.now(timezone.utc)
        return self._perform(search.find(self.organization_id, given, now, limit=limit, order=order, fields=fields))


def _filters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The filters among a method's arguments; unknown ones stay among them, and are refused like bad values."""
    return {**{name: value for name, value in arguments.items() if name not in _NO_FILTERS}, **arguments["unknown"]}
